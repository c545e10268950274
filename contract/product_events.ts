/**
 * Names of the product's own events. Imports nothing: `web/` is its own root and imports this file by path.
 */

/** A user used a feature; the fifth distinct one earns the discount offer. */
export const FEATURE_USED = "feature_used";
/** A generation failed; its prompt and reason become training data. */
export const GENERATION_FAILED = "generation_failed";
/** A person wants no more mail: from our own unsubscribe door or from PostHog. */
export const EMAIL_UNSUBSCRIBED = "email_unsubscribed";
/** A person's data must go. Only a record with the header `source: erase`, which the erase command sets, means it. */
export const ERASE = "$erase";

/** Events of PostHog's own that say who somebody is. */
const WHO = new Set(["$identify", "$set", "$create_alias", "$merge_dangerously"]);

/** True of events that say who somebody is, and of no other. */
export function saysWho(event: string): boolean {
  return WHO.has(event);
}

/** Whether the way of an event is told: the product's own, and those that say who somebody is; not PostHog's other ones. */
export function isTold(event: string): boolean {
  return !event.startsWith("$") || saysWho(event);
}
