import { type RedriveMark, redriveMarkRecord, redrivenHeaders } from "../contract/dead_letter.ts";
import { readLabel, recordId } from "../contract/envelope.ts";
import { DEAD_LETTER_TOPIC, WEBHOOKS_TOPIC } from "../contract/names.ts";
import type { FaultPoint } from "../contract/fault_point.ts";
import type { DeadLetterList, ListedLetter } from "../processor/dead_letter_list.ts";
import type { RecordToPublish, TopicLog, TopicRecord } from "../topic/topic.ts";

/**
 * Redriving: a letter's record goes into the raw topic once more, with one redrive more in its header.
 *
 * Around the copy lie two marks in the dead-letter topic: `begun`, with the raw partition's end offset, and `done`. A
 * redrive that was killed between them is finished by the next: it looks for its copy from that offset on, and
 * publishes one only where there is none.
 */
export type RedriveOptions = {
  readonly log: TopicLog;
  readonly list: DeadLetterList;
  /** Milliseconds since 1970, for the marks. */
  readonly now: number;
  readonly reach: FaultPoint;
};

export type RedriveOutcome = {
  readonly letter: ListedLetter;
  readonly is: "redriven" | "already_there" | "refused";
};

/** A record that failed this often is not helped by another round. */
export const REDRIVES_MAX = 3;
/** Letters whose marks and copies go out together. */
const REDRIVEN_AT_ONCE_MAX = 100;

/** True where the letter has been round often enough. */
export function isWornOut(letter: ListedLetter): boolean {
  return letter.redrives >= REDRIVES_MAX;
}

/** Redrives letters in their order; worn-out ones are refused, the others go on. */
export async function redrive(
  letters: readonly ListedLetter[],
  options: RedriveOptions,
): Promise<RedriveOutcome[]> {
  const outcomes: RedriveOutcome[] = letters.filter(isWornOut).map((letter) => ({ letter, is: "refused" }));
  const willing = letters.filter((letter) => !isWornOut(letter));
  for (let at = 0; at < willing.length; at += REDRIVEN_AT_ONCE_MAX) {
    outcomes.push(...await redriveTogether(willing.slice(at, at + REDRIVEN_AT_ONCE_MAX), options));
  }
  return outcomes;
}

async function redriveTogether(
  letters: readonly ListedLetter[],
  options: RedriveOptions,
): Promise<RedriveOutcome[]> {
  const { log, list, reach } = options;
  const fresh = letters.filter((letter) => list.begunAt(letter.id) === null);
  await begin(fresh, options);
  reach("redrive.begun");
  const found = new Set<string>();
  for (const letter of letters) {
    const from = list.begunAt(letter.id);
    if (from !== null && await copyIsThere(log, { letter, from })) found.add(letter.id);
  }
  const missing = letters.filter((letter) => !found.has(letter.id));
  if (missing.length > 0) {
    await log.publish(
      WEBHOOKS_TOPIC,
      await Promise.all(missing.map((one) => copyOf(log, one))),
    );
  }
  reach("redrive.copied");
  await mark(letters.map(({ id }) => ({ mark: "done", letter: id, endOffset: null })), options);
  reach("redrive.done");
  return letters.map((letter) => ({ letter, is: found.has(letter.id) ? "already_there" : "redriven" }));
}

async function begin(letters: readonly ListedLetter[], options: RedriveOptions): Promise<void> {
  if (letters.length === 0) return;
  const bounds = await options.log.bounds(WEBHOOKS_TOPIC);
  await mark(
    letters.map(({ id, source }) => ({
      mark: "begun",
      letter: id,
      endOffset: bounds[source.partition]!.endOffset,
    })),
    options,
  );
}

async function mark(marks: readonly RedriveMark[], { log, now }: RedriveOptions): Promise<void> {
  await log.publish(DEAD_LETTER_TOPIC, marks.map((one) => redriveMarkRecord(one, now)));
}

/** The copy carries the letter's bytes as they were, into the partition that its source lay in. */
async function copyOf(log: TopicLog, letter: ListedLetter): Promise<RecordToPublish> {
  const { key, value, timestamp } = await letterRecord(log, letter);
  return { key, value, timestamp, headers: redrivenHeaders(letter), partition: letter.source.partition };
}

async function copyIsThere(
  log: TopicLog,
  { letter, from }: { readonly letter: ListedLetter; readonly from: number },
): Promise<boolean> {
  const { partition } = letter.source;
  const until = (await log.bounds(WEBHOOKS_TOPIC))[partition]!.endOffset;
  const wanted = recordId(readLabel(letter.headers), (await letterRecord(log, letter)).value);
  for await (const { records } of log.read(WEBHOOKS_TOPIC, { partition, from, until })) {
    for (const { headers, value } of records) {
      const label = readLabel(headers);
      if (label.redrives === letter.redrives + 1 && recordId(label, value) === wanted) return true;
    }
  }
  return false;
}

/** The record of a letter in the dead-letter topic: the source's key, value and timestamp as they were. */
export async function letterRecord(log: TopicLog, { id }: { readonly id: string }): Promise<TopicRecord> {
  const [partition, offset] = id.split(":").map(Number) as [number, number];
  for await (
    const { records } of log.read(DEAD_LETTER_TOPIC, { partition, from: offset, until: offset + 1 })
  ) {
    if (records[0]) return records[0];
  }
  throw new Error(`Cannot read dead letter "${id}": it is no longer in ${DEAD_LETTER_TOPIC}.`);
}
