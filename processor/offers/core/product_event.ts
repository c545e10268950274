import { isScrubbed, type ReadRecord } from "../../../contract/dead_letter.ts";
import {
  idFromBody,
  isErasure,
  isObject,
  orNull,
  type PosthogEnvelope,
  readEnvelope,
  readLabel,
} from "../../../contract/envelope.ts";
import { EMAIL_PROOF } from "../../../contract/email_proof.ts";
import { isNobody } from "../../../contract/nobody.ts";
import { EMAIL_UNSUBSCRIBED, FEATURE_USED } from "../../../contract/product_events.ts";
import { readUnsubscribe, type UnsubscribeClaims } from "../../../contract/unsubscribe_token.ts";
import { readErasure } from "../../record/erasure.ts";
import { eventTime, receivedTime } from "../../record/event_time.ts";
import type { MergeHow, Position } from "../../facts/facts.ts";
import { readRecipient } from "./mailbox.ts";

/** What a record of `posthog.webhooks` means for offers: an input of the offers, parsed once. Still holds plain ids. */
export type OfferInput =
  /** `glance`: see `processor/offers/core/glance.ts`; missing where nobody took one. */
  | { readonly is: "event"; readonly event: ProductEvent; readonly glance?: string | null }
  | {
    readonly is: "unsubscribe";
    readonly claims: UnsubscribeClaims;
    readonly position: Position;
    readonly receivedAt: number;
  }
  | {
    readonly is: "erasure";
    readonly subjects: readonly string[];
    readonly position: Position;
    /** When the erasure was asked for. */
    readonly at: number;
  }
  /** No event; the dataset writer sets such a record aside, here it only counts. */
  | { readonly is: "ignored"; readonly reason: string };

/** What the offers read of an event; times in milliseconds since 1970. */
export type ProductEvent = {
  /** The event's uuid, else derived from its bytes: what makes a repeat recognisable. */
  readonly id: string;
  readonly distinctId: string;
  readonly personId: string | null;
  readonly position: Position;
  readonly receivedAt: number;
  /** When the user acted; received time where the event does not say or lies more than a day ahead of it. */
  readonly eventAt: number;
  readonly isUse: boolean;
  /** The event itself is an opt-out; one by property lies in `said`. */
  readonly isOptOut: boolean;
  /** The merge that it asks PostHog for; null where it asks for none, or for one that nobody is joined by. */
  readonly merge: AskedMerge | null;
  /** What `$set`, the person's properties and `$set_once` say, in that order; empty where none says anything of these. */
  readonly said: readonly Said[];
  readonly isBackfill: boolean;
};

/** A merge that an event asks PostHog for: `other` into the person of the event's own id. */
export type AskedMerge = {
  readonly other: string;
  readonly how: MergeHow;
  /** What came as the proof of it; null where none did. */
  readonly proof: string | null;
};

/** What one bag of person properties says about mail. */
export type Said = {
  /** As it was written; null where there is none that a mail could be sent to. */
  readonly email: string | null;
  /** `email_opt_out` or `unsubscribed` says yes, see {@link saysYes}. */
  readonly optsOut: boolean;
  /** What came as the proof beside it; null where none did. */
  readonly proof: string | null;
};

/** The parts of a record that this file reads. */
export type SourceRecord = Omit<ReadRecord, "key">;

/** What one record means. Never throws: whatever lies in the topic is an input or is ignored. */
export function readOfferInput(record: SourceRecord): OfferInput {
  const label = readLabel(record.headers);
  const position: Position = { partition: record.partition, offset: record.offset };
  if (isScrubbed(record)) return { is: "ignored", reason: "scrubbed" };
  if (isErasure(label)) {
    const erasure = readErasure(record.value);
    if (erasure === null) return { is: "ignored", reason: "erasure that names nobody" };
    return { is: "erasure", ...erasure, position };
  }
  if (label.source === "unsubscribe") {
    const claims = orNull(() => readUnsubscribe(record.value));
    if (claims === null) return { is: "ignored", reason: "unsubscribe record without claims" };
    return { is: "unsubscribe", claims, position, receivedAt: receivedTime(record.timestamp) };
  }
  const outcome = readEnvelope(record.value);
  if (!outcome.ok) return { is: "ignored", reason: outcome.reason };
  const { envelope } = outcome;
  const event: ProductEvent = {
    id: label.id ?? envelope.uuid ?? idFromBody(record.value),
    distinctId: envelope.distinctId,
    personId: envelope.person.id,
    position,
    receivedAt: receivedTime(record.timestamp),
    eventAt: eventTime(envelope.timestamp, record.timestamp),
    isUse: envelope.event === FEATURE_USED,
    isOptOut: envelope.event === EMAIL_UNSUBSCRIBED,
    merge: mergeIn(envelope),
    said: saidIn(envelope),
    isBackfill: label.source === "backfill",
  };
  return { is: "event", event };
}

/** `$set` was written with this very event; `person.properties` may be a snapshot from before it. */
function saidIn({ properties, person }: PosthogEnvelope): readonly Said[] {
  const found: Said[] = [];
  for (const bag of [properties.$set, person.properties]) {
    if (!isObject(bag)) continue;
    const email = readRecipient(bag.email) === null ? null : bag.email as string;
    const optsOut = isOptOutIn(bag);
    if (email !== null || optsOut) found.push({ email, optsOut, proof: textOf(bag[EMAIL_PROOF]) });
  }
  // It gives no address, which PostHog may have had before; an opt-out that PostHog did not keep counts, to be safe.
  const once = properties.$set_once;
  if (isObject(once) && isOptOutIn(once)) {
    found.push({ email: null, optsOut: true, proof: null });
  }
  return found;
}

/** Whether an event itself writes an opt-out into its person's properties. */
export function writesOptOut({ $set, $set_once }: PosthogEnvelope["properties"]): boolean {
  return [$set, $set_once].some((bag) => isObject(bag) && isOptOutIn(bag));
}

function isOptOutIn(bag: Readonly<Record<string, unknown>>): boolean {
  return saysYes(bag.email_opt_out) || saysYes(bag.unsubscribed);
}

const YES: ReadonlySet<string> = new Set(["true", "t", "1", "yes", "y", "on"]);
/** Longest text that is looked at, in UTF-16 units; longer ones say nothing. */
const YES_LENGTH_MAX = 64;

/** True, also as forms, spreadsheets and other programs write it into a property: `"true"`, `1`, `"Yes"`, in any case. */
function saysYes(value: unknown): boolean {
  if (typeof value === "string") {
    return value.length <= YES_LENGTH_MAX && YES.has(value.trim().toLowerCase());
  }
  return value === true || value === 1;
}

function textOf(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

/** Events that ask for a merge: how, and the property that names the other id. */
export const MERGES: Readonly<Record<string, { readonly how: MergeHow; readonly names: string }>> = {
  $identify: { how: "identify", names: "$anon_distinct_id" },
  $create_alias: { how: "alias", names: "alias" },
  $merge_dangerously: { how: "dangerous", names: "alias" },
};

function mergeIn({ event, distinctId, properties }: PosthogEnvelope): AskedMerge | null {
  const asks = Object.hasOwn(MERGES, event) ? MERGES[event] : undefined;
  const other = asks && properties[asks.names];
  if (typeof other !== "string" || other === distinctId || isNobody(other) || isNobody(distinctId)) {
    return null;
  }
  return { other: other.toWellFormed(), how: asks!.how, proof: textOf(properties[EMAIL_PROOF]) };
}
