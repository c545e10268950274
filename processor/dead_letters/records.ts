import { isScrubbed } from "../../contract/dead_letter.ts";
import { DEAD_LETTER_TOPIC } from "../../contract/names.ts";
import { LogSetupError, type TopicLog, type TopicRecord } from "../../topic/topic.ts";
import type { ListedLetter } from "./list.ts";

/** A letter and its record: the source's key, value and timestamp as they were; null where the log has them no more. */
export type LetterRecord = { readonly letter: ListedLetter; readonly record: TopicRecord | null };

/** Offsets between two letters that are read over; beyond that it is cheaper to begin anew. */
const READ_OVER_MAX = 500;

/** The records of letters, in the order of their offsets; letters that lie near each other are read in one go. */
export async function* letterRecords(
  log: TopicLog,
  letters: readonly ListedLetter[],
): AsyncGenerator<LetterRecord> {
  const sorted = letters.map((letter) => ({ letter, offset: offsetOf(letter) }))
    .sort((a, b) => a.offset - b.offset);
  for (let begin = 0; begin < sorted.length;) {
    let end = begin + 1;
    while (end < sorted.length && sorted[end]!.offset - sorted[end - 1]!.offset <= READ_OVER_MAX) end++;
    yield* readRun(log, sorted.slice(begin, end));
    begin = end;
  }
}

/** The record of one letter. */
export async function letterRecord(log: TopicLog, letter: ListedLetter): Promise<TopicRecord | null> {
  for await (const { record } of letterRecords(log, [letter])) return record;
  return null;
}

async function* readRun(
  log: TopicLog,
  run: readonly { readonly letter: ListedLetter; readonly offset: number }[],
): AsyncGenerator<LetterRecord> {
  let at = 0;
  const range = { partition: 0, from: run[0]!.offset, until: run.at(-1)!.offset + 1, unreadable: passOver };
  for await (const { records } of log.read(DEAD_LETTER_TOPIC, range)) {
    for (const record of records) {
      while (at < run.length && run[at]!.offset < record.offset) {
        yield { letter: run[at++]!.letter, record: null };
      }
      if (at >= run.length || run[at]!.offset !== record.offset) continue;
      const { letter } = run[at++]!;
      if (isScrubbed(record)) yield { letter, record: null };
      else if (record.value.length > 0 || letter.unread) yield { letter, record };
      else yield { letter, record: await sourceRecord(log, letter) };
    }
  }
  for (; at < run.length; at++) yield { letter: run[at]!.letter, record: null };
}

/** A record that fills its topic's limit leaves no room for a letter's headers: its letter is empty, it lies at its source. */
async function sourceRecord(log: TopicLog, { source }: ListedLetter): Promise<TopicRecord | null> {
  const { topic, partition, offset } = source;
  try {
    const range = { partition, from: offset, until: offset + 1, unreadable: passOver };
    for await (const { records } of log.read(topic, range)) {
      const record = records.find((record) => record.offset === offset);
      if (record) return isScrubbed(record) ? null : record;
    }
  } catch (error) {
    if (!(error instanceof LogSetupError)) throw error;
  }
  return null;
}

/** What cannot be read is as good as gone: the letter says so. */
const passOver = () => Promise.resolve("skip" as const);

/** Where in the dead-letter topic a letter lies. */
export function offsetOf({ id }: { readonly id: string }): number {
  return Number(id.slice(id.indexOf(":") + 1));
}
