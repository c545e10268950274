import {
  dismissalRecord,
  erasedMarkRecord,
  type LetterSource,
  readDeadLetterEntry,
} from "../../contract/dead_letter.ts";
import { DEAD_LETTER_TOPIC, WEBHOOKS_TOPIC } from "../../contract/names.ts";
import type { FaultPoint } from "../../runtime/fault_point.ts";
import { letterRecord } from "../../processor/dead_letters/mod.ts";
import { LogSetupError, type RecordPosition, type TopicLog, type TopicRecord } from "../../topic/topic.ts";
import type { LogScrubber } from "../../topic/sqlite/scrub.ts";
import { everyRecord, isTheirRecord, type Judging, recordNamesThem } from "./person.ts";

/** The dead letters of the erased: what is to go, and what has gone. */
export type ErasedLetters = {
  /** Source positions in the raw topic; their letters are listed no more. */
  readonly sources: readonly LetterSource[];
  /** Records of the dead-letter topic that were emptied; null where the log cannot do that. */
  readonly scrubbed: number | null;
};

export type EraseLettersOptions = Judging & {
  /** Offset of the erasure's record by raw partition: what was set aside from behind it is new. */
  readonly below: (partition: number) => number;
  /** Milliseconds since 1970, for the marks. */
  readonly now: number;
  /** Null where the log keeps its bytes. */
  readonly scrubber: LogScrubber | null;
  readonly faultPoint: FaultPoint;
};

/** Marks whose publishing shares one call. */
const MARKED_AT_ONCE_MAX = 100;

/**
 * What an operator said at a dismissal may name them: the mark goes with their letter; of somebody else's a mark without
 * words takes its place first, so that it stays dismissed.
 *
 * First every source is marked as erased, so that its letters leave every list and no replay sets it aside again, then
 * their records are emptied. Killed in between, another run finds the rest; a source is marked once.
 */
export async function eraseLetters(log: TopicLog, options: EraseLettersOptions): Promise<ErasedLetters> {
  const { sources, unmarked, positions, wordsOf } = await findLetters(log, options);
  for (let at = 0; at < unmarked.length; at += MARKED_AT_ONCE_MAX) {
    const some = unmarked.slice(at, at + MARKED_AT_ONCE_MAX);
    await log.publish(DEAD_LETTER_TOPIC, some.map((source) => erasedMarkRecord(source, options.now)));
  }
  for (const letter of wordsOf) {
    await log.publish(DEAD_LETTER_TOPIC, [dismissalRecord({ letter, words: "" }, options.now)]);
  }
  options.faultPoint("erasing.marked");
  const scrubbed = await options.scrubber?.scrub(DEAD_LETTER_TOPIC, positions) ?? null;
  // Also after a run that was killed behind its scrubbing.
  if (positions.length > 0 || sources.length > 0) await options.scrubber?.rewrite(DEAD_LETTER_TOPIC);
  options.faultPoint("erasing.scrubbed");
  return { sources, scrubbed };
}

type Finding = Judging & Pick<EraseLettersOptions, "below">;

/**
 * Their letters' sources, those of them that have no mark yet, where the letters lie, repeats too, and the dismissals of
 * their letters or with their names; `wordsOf`: other people's letters whose last dismissal names them.
 */
export async function findLetters(log: TopicLog, finding: Finding) {
  const sources = new Map<string, LetterSource>();
  const marked = new Set<string>();
  const positions: RecordPosition[] = [];
  const theirs = new Set<string>();
  const wordsOf = new Set<string>();
  for await (const record of lettersIn(log)) {
    const entry = readDeadLetterEntry(record);
    if (entry.is === "erased") marked.add(textOf(entry.source));
    if (entry.is === "dismissed") {
      const { letter } = entry.dismissal;
      const namesThem = recordNamesThem(record, finding.finder);
      if (theirs.has(letter) || namesThem) {
        positions.push({ partition: record.partition, offset: record.offset });
      }
      if (namesThem && !theirs.has(letter)) wordsOf.add(letter);
      else wordsOf.delete(letter);
    }
    if (entry.is !== "letter") continue;
    const { letter, letter: { source } } = entry;
    if (source.topic !== WEBHOOKS_TOPIC || source.offset >= finding.below(source.partition)) continue;
    // A letter without bytes had no room for them beside its headers: they lie at its source.
    const whole = record.value.length > 0
      ? record
      : await letterRecord(log, { ...letter, redriven: false, edited: false, dismissed: null });
    if (!isTheirRecord(whole ?? record, finding)) continue;
    const { partition, offset } = record;
    positions.push({ partition, offset });
    sources.set(textOf(source), source);
    theirs.add(letter.id);
  }
  const unmarked = [...sources].flatMap(([text, source]) => marked.has(text) ? [] : [source]);
  return { sources: [...sources.values()], unmarked, positions, wordsOf };
}

async function* lettersIn(log: TopicLog): AsyncGenerator<TopicRecord> {
  try {
    yield* everyRecord(log, DEAD_LETTER_TOPIC, () => {});
  } catch (error) {
    // No topic, no letters.
    if (!(error instanceof LogSetupError)) throw error;
  }
}

function textOf({ topic, partition, offset }: LetterSource): string {
  return `${topic}:${partition}:${offset}`;
}
