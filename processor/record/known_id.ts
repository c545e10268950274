import { editedIn, isScrubbed } from "../../contract/dead_letter.ts";
import { readEnvelope } from "../../contract/envelope.ts";
import type { KeyedHashes } from "../../contract/keyed_hash.ts";
import { WEBHOOKS_TOPIC } from "../../contract/names.ts";
import type { TopicLog, TopicRecord } from "../../topic/topic.ts";
import { ownTime } from "./event_time.ts";

/** Whose a record is, as the dataset has it, or why that is not said: `personal`: the distinct_id is personal data itself. */
export type KnownId = { readonly id: string } | { readonly why: "personal" | "record_gone" };

/** What a record is asked with. */
export type WhoseRecord = {
  readonly subject: string;
  readonly position: { readonly partition: number; readonly offset: number };
};

/** Whom a record names: by its key, as ingest has given it; an edited copy keeps its source's, whoever it names now. */
export function namedIn(
  { key, value, headers }: Pick<TopicRecord, "key" | "value" | "headers">,
): string | null {
  const edited = editedIn(headers) === null ? null : readEnvelope(value);
  if (edited?.ok) return edited.envelope.distinctId;
  return key === null ? null : new TextDecoder().decode(key);
}

/** The own time of the event in a record, in ISO 8601, UTC; null where it has none that is believed, or is no PostHog event. */
export function ownTimeIn({ value, timestamp }: Pick<TopicRecord, "value" | "timestamp">): string | null {
  const read = readEnvelope(value);
  return read.ok ? ownTime(read.envelope.timestamp, timestamp) : null;
}

/** Reads the distinct_id of a subject off one of its records, since whoever keeps offers has keyed hashes only. */
export async function knownId(
  log: TopicLog,
  { position: { partition, offset }, subject, hashes, lineId, signal }: WhoseRecord & {
    readonly hashes: Pick<KeyedHashes, "subject">;
    /** A distinct_id as the dataset has it. */
    readonly lineId: (distinctId: string) => string | Promise<string>;
    /** Gives up, as if the record were gone. */
    readonly signal?: AbortSignal;
  },
): Promise<KnownId> {
  const unreadable = () => Promise.resolve("skip" as const);
  const range = { partition, from: offset, until: offset + 1, unreadable, ...(signal ? { signal } : {}) };
  for await (const { records } of log.read(WEBHOOKS_TOPIC, range)) {
    const record = records.find((record) => record.offset === offset);
    if (record === undefined || isScrubbed(record)) continue;
    const distinctId = namedIn(record);
    // The topic may have been made again: then another's record lies there.
    if (distinctId === null || hashes.subject(distinctId) !== subject) continue;
    const id = await lineId(distinctId);
    return id === distinctId ? { id } : { why: "personal" };
  }
  return { why: "record_gone" };
}
