import type { RecordHeaders, RecordToPublish } from "../topic.ts";

/**
 * A broker refuses times that are too far from its own (`message.timestamp.before.max.ms`, `after.max.ms`: an hour ahead
 * on Kafka since 3.6). Such a record is published with the nearest time that is taken and keeps its own in a header;
 * whoever reads it here gets it back as it was published.
 */

/** ISO 8601, UTC, with milliseconds. */
export const OWN_TIME_HEADER = "received-at";

/** The times that a broker takes now, in milliseconds since 1970. */
export type TakenTimes = { readonly from: number; readonly until: number };

/** Brokers' clocks differ, and the earliest time moves on while a record is on its way, in ms. */
const MARGIN_MS_MAX = 10_000;
/** How far ahead Kafka takes a time by default, since 3.6, in ms. */
const AHEAD_MS_MAX = 3_600_000;
/** The settings of a topic that bound its times. */
export const TIME_SETTINGS = [
  "message.timestamp.before.max.ms",
  "message.timestamp.after.max.ms",
  "message.timestamp.difference.max.ms",
] as const;

/** What Kafka writes into its refusal: "The timestamp should be within [1764201600000, 1764208800000]". */
const RANGE = /timestamp should be within \[(-?\d{1,19}), (-?\d{1,19})\]/;

/** The times that a broker's words name; null where they name none. */
export function takenTimesIn(words: string): TakenTimes | null {
  const match = RANGE.exec(words);
  if (!match) return null;
  const [from, until] = [Number(match[1]), Number(match[2])];
  // Without a bound ahead, 2^63 - 1 ms, the broker's sum overflows.
  return { from, until: until < from ? Infinity : until };
}

/** The same by a topic's settings, as far as this machine's clock is right; for brokers of fewer words. */
export function takenTimesBy(settings: ReadonlyMap<string, string>, now: number): TakenTimes {
  const bound = (name: string, otherwise: number) => Number(settings.get(name) ?? otherwise);
  const within = bound("message.timestamp.difference.max.ms", Infinity);
  return {
    from: now - bound("message.timestamp.before.max.ms", within),
    until: now + bound("message.timestamp.after.max.ms", Math.min(within, AHEAD_MS_MAX)),
  };
}

/** The records with times that are taken; those that are not get the nearest. */
export function atTakenTimes(
  records: readonly RecordToPublish[],
  { from, until }: TakenTimes,
): readonly RecordToPublish[] {
  const margin = Math.min(MARGIN_MS_MAX, Math.floor((until - from) / 4));
  return records.map((record) => {
    const { timestamp, headers } = record;
    const taken = Math.min(Math.max(timestamp, from + margin), until - margin);
    // A time that no calendar has cannot be written down.
    if (taken === timestamp || Math.abs(timestamp) > 8.64e15) return record;
    const own = new Date(timestamp).toISOString();
    return { ...record, timestamp: taken, headers: { ...headers, [OWN_TIME_HEADER]: own } };
  });
}

/** A record's own time and the headers that it was published with; null where no header keeps one. */
export function ownTimeIn(
  headers: RecordHeaders,
): { readonly timestamp: number; readonly headers: RecordHeaders } | null {
  const { [OWN_TIME_HEADER]: text, ...others } = headers;
  if (text === undefined) return null;
  const timestamp = Date.parse(text);
  if (Number.isNaN(timestamp) || new Date(timestamp).toISOString() !== text) return null;
  return { timestamp, headers: others };
}
