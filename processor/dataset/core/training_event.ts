import { isObject, type PosthogEnvelope } from "../../../contract/envelope.ts";
import { type KnownValues, NO_KNOWN_VALUES } from "../../sanitise/mod.ts";

/** An event as the dataset needs it, still raw: prompt, reason, and what the sanitiser knows of its person. */
export type TrainingEvent = {
  readonly prompt: string;
  /** Null where the event gives none, or something that is no text. */
  readonly reason: string | null;
  readonly known: KnownValues;
};

/** A training event, or why this event is none, in words for the dead letter. */
export type TrainingEventOutcome =
  | { readonly ok: true; readonly event: TrainingEvent }
  | { readonly ok: false; readonly reason: string };

/** Reads `properties.input_prompt` and `properties.failure_reason`. */
export function parseTrainingEvent(envelope: PosthogEnvelope): TrainingEventOutcome {
  const { input_prompt: prompt, failure_reason: reason } = envelope.properties;
  if (prompt === undefined) return { ok: false, reason: "properties.input_prompt is missing" };
  if (typeof prompt !== "string") return { ok: false, reason: "properties.input_prompt is no text" };
  return {
    ok: true,
    event: { prompt, reason: typeof reason === "string" ? reason : null, known: knownValues(envelope) },
  };
}

/**
 * What the event itself says of its person: e-mail, names and phone of `person.properties` and `$set`, and `$ip`. Never
 * `person.name`: PostHog puts the distinct_id there.
 */
export function knownValues(envelope: PosthogEnvelope): KnownValues {
  const set = envelope.properties.$set;
  const sources = isObject(set) ? [envelope.person.properties, set] : [envelope.person.properties];
  const known = {
    emails: texts(sources, EMAIL),
    names: texts(sources, NAMES),
    phones: texts(sources, PHONE),
    ips: texts([envelope.properties], IP),
  };
  const some = known.emails.length + known.names.length + known.phones.length + known.ips.length > 0;
  return some ? known : NO_KNOWN_VALUES;
}

const EMAIL = ["email"] as const;
const NAMES = ["name", "first_name", "last_name"] as const;
const PHONE = ["phone"] as const;
const IP = ["$ip"] as const;
const NONE: readonly string[] = [];

function texts(
  sources: readonly Readonly<Record<string, unknown>>[],
  names: readonly string[],
): readonly string[] {
  let found: string[] | null = null;
  for (const source of sources) {
    for (const name of names) {
      const value = source[name];
      if (typeof value !== "string" || value === "") continue;
      if (found === null) found = [value];
      else if (!found.includes(value)) found.push(value);
    }
  }
  return found ?? NONE;
}
