import {
  editedHeaders,
  type RedriveMark,
  redriveMarkRecord,
  redrivenHeaders,
} from "../../contract/dead_letter.ts";
import { readEnvelope } from "../../contract/envelope.ts";
import type { FaultPoint } from "../../runtime/fault_point.ts";
import { DEAD_LETTER_TOPIC, WEBHOOKS_TOPIC } from "../../contract/names.ts";
import { RecordRefusedError, type RecordToPublish, type TopicLog } from "../../topic/topic.ts";
import type { DeadLetterList, ListedLetter } from "./list.ts";
import { letterRecords } from "./records.ts";
import { dismissedText } from "./refused.ts";
import { type GoingOn, letterIds, whoGoesOn } from "./redrive_search.ts";

/**
 * Redriving: a letter's record goes into the raw topic once more, with one redrive more in its header.
 *
 * Around the copy lie two marks in the dead-letter topic: `begun`, with the raw partition's end offset, and `done`. A
 * redrive that was killed between them is finished by the next: it looks for its copy from that offset on, and
 * publishes one only where there is none. The caller holds the dataset's maintenance lock and has read the list under
 * it ({@link redriveUnderLock}): of two redrives at a time each would publish a copy.
 */
export type RedriveOptions = {
  readonly log: TopicLog;
  readonly list: DeadLetterList;
  /** Milliseconds since 1970, for the marks. */
  readonly now: number;
  /** `DEDUP_WINDOW`: a redelivery that came later than so many offsets was no repeat, and has the event already. */
  readonly dedupWindow: number;
  readonly faultPoint: FaultPoint;
  /** By letter, what its copy holds in place of its own value: somebody has edited it. Default: none. */
  readonly edits?: ReadonlyMap<string, Uint8Array>;
  /** Called with what is durable, some letters at a time. Default: nobody is told before the end. */
  readonly onOutcomes?: (outcomes: readonly RedriveOutcome[]) => void;
};

/**
 * `already_there`: the event goes on in another record, a copy of a redrive that was killed or a redelivery that came
 * too late to be a repeat; the letter is done without a copy. `refused`: the letter stays, `why` says it in words.
 */
export type RedriveOutcome =
  | { readonly letter: ListedLetter; readonly is: "redriven" | "already_there"; readonly why: null }
  | { readonly letter: ListedLetter; readonly is: "refused"; readonly why: string };

/** A record that failed this often is not helped by another round. */
export const REDRIVES_MAX = 3;
/** Letters whose marks go out together. */
const REDRIVEN_AT_ONCE_MAX = 100;
/** Copies that are held in memory at a time, in bytes of their values; one record may have twice as many as 1 MiB. */
const COPIES_BYTES_MAX = 4 * 1024 * 1024;

export const WORN_OUT = `after ${REDRIVES_MAX} rounds another one does not help`;

/** Whether a letter has been redriven as often as is allowed: it is refused from then on. */
export function isWornOut(letter: { readonly redrives: number }): boolean {
  return letter.redrives >= REDRIVES_MAX;
}

/**
 * Why a letter is refused whatever the topic holds, in words; null where it is not. One that another round does not help may
 * be helped by an edit.
 */
export function whyNever(letter: ListedLetter, { edited = false } = {}): string | null {
  if (letter.dismissed) return dismissedText(letter.dismissed);
  if (letter.unread) return "what was set aside could not be read, so there is no record to publish again";
  return isWornOut(letter) && !edited ? WORN_OUT : null;
}

/** Redrives letters in their order; worn-out ones are refused, the others go on. */
export async function redrive(
  letters: readonly ListedLetter[],
  options: RedriveOptions,
): Promise<RedriveOutcome[]> {
  if (letters.length === 0) return [];
  const partitions = await options.log.partitions(WEBHOOKS_TOPIC);
  const outcomes: RedriveOutcome[] = [];
  const willing: ListedLetter[] = [];
  for (const letter of letters) {
    // An edited copy of a worn-out letter may have been cut short: then any redrive of it brings that to its end.
    const edited = options.edits?.has(letter.id) || options.list.begunAt(letter.id) !== null;
    const why = refusalReason(letter, { partitions, edited });
    if (why === null) willing.push(letter);
    else outcomes.push(refused(letter, why));
  }
  options.onOutcomes?.(outcomes);
  const ids = await letterIds(options.log, willing);
  const there = await whoGoesOn(willing, { ...options, ids });
  const isHelped = (letter: ListedLetter) =>
    there.has(letter.id) || !isWornOut(letter) || options.edits?.has(letter.id);
  const wornOut = willing.filter((letter) => !isHelped(letter)).map((letter) => refused(letter, WORN_OUT));
  options.onOutcomes?.(wornOut);
  outcomes.push(...wornOut);
  const going = willing.filter(isHelped);
  for (let at = 0; at < going.length; at += REDRIVEN_AT_ONCE_MAX) {
    const together = going.slice(at, at + REDRIVEN_AT_ONCE_MAX);
    const these = await redriveTogether(together, { ...options, ids, there });
    options.onOutcomes?.(these);
    outcomes.push(...these);
  }
  return outcomes;
}

function refusalReason(
  letter: ListedLetter,
  { partitions, edited }: { readonly partitions: number; readonly edited: boolean },
): string | null {
  const { topic, partition } = letter.source;
  const never = whyNever(letter, { edited });
  if (never !== null) return never;
  return topic === WEBHOOKS_TOPIC && partition < partitions ? null : `${WEBHOOKS_TOPIC} has no such source`;
}

function refused(letter: ListedLetter, why: string): RedriveOutcome {
  return { letter, is: "refused", why };
}

async function redriveTogether(
  letters: readonly ListedLetter[],
  options: RedriveOptions & { readonly there: GoingOn; readonly ids: ReadonlyMap<string, string> },
): Promise<RedriveOutcome[]> {
  const { there, list, faultPoint, edits } = options;
  const missing = letters.filter(({ id }) => !there.has(id));
  await begin(missing.filter(({ id }) => list.begunAt(id) === null), options);
  faultPoint("redrive.begun");
  const notTaken = await publishCopies(missing, options);
  faultPoint("redrive.copied");
  const done = letters.filter(({ id }) => !notTaken.has(id));
  // Which copy it is, ours or that of a redrive that was cut short, decides whether it is an edited one.
  const isEdited = ({ id }: ListedLetter) => there.get(id)?.edited ?? edits?.has(id) ?? false;
  await mark(
    done.map((letter) => ({ mark: "done", letter: letter.id, endOffset: null, edited: isEdited(letter) })),
    options,
  );
  faultPoint("redrive.done");
  return letters.map((letter) => {
    const why = notTaken.get(letter.id);
    if (why !== undefined) return refused(letter, why);
    return { letter, is: there.has(letter.id) ? "already_there" : "redriven", why: null };
  });
}

async function begin(letters: readonly ListedLetter[], options: RedriveOptions): Promise<void> {
  if (letters.length === 0) return;
  const bounds = await options.log.bounds(WEBHOOKS_TOPIC);
  const begun = letters.map(({ id: letter, source }): RedriveMark => {
    const { endOffset } = bounds[source.partition]!;
    return { mark: "begun", letter, endOffset };
  });
  await mark(begun, options);
}

async function mark(marks: readonly RedriveMark[], { log, now }: RedriveOptions): Promise<void> {
  if (marks.length === 0) return;
  await log.publish(DEAD_LETTER_TOPIC, marks.map((one) => redriveMarkRecord(one, now)));
}

type Copy = { readonly letter: ListedLetter; readonly record: RecordToPublish };

/** Publishes a copy of each letter; answers by id why one could not be. */
async function publishCopies(
  letters: readonly ListedLetter[],
  { log, edits, ids }: RedriveOptions & { readonly ids: ReadonlyMap<string, string> },
): Promise<ReadonlyMap<string, string>> {
  const notTaken = new Map<string, string>();
  let copies: Copy[] = [];
  let bytes = 0;
  const flush = async () => {
    for (const [{ letter }, what] of await publishTogether(copies, log)) {
      notTaken.set(letter.id, `the raw topic takes no record of its ${what}`);
    }
    copies = [];
    bytes = 0;
  };
  for await (const { letter, record } of letterRecords(log, letters)) {
    if (record === null) {
      notTaken.set(letter.id, "its bytes are no longer in the log");
      continue;
    }
    // The key too, whatever an edit says of the person: by keys that lie elsewhere added partitions are told.
    const { key, timestamp } = record;
    const edit = edits?.get(letter.id);
    const value = edit ?? record.value;
    const headers = edit === undefined ? redrivenHeaders(letter) : headersOfEdit(letter, { edit, ids });
    copies.push({ letter, record: { key, value, timestamp, headers, partition: letter.source.partition } });
    bytes += value.length;
    if (bytes >= COPIES_BYTES_MAX) await flush();
  }
  await flush();
  return notTaken;
}

function headersOfEdit(
  letter: ListedLetter,
  { edit, ids }: { readonly edit: Uint8Array; readonly ids: ReadonlyMap<string, string> },
) {
  const outcome = readEnvelope(edit);
  return editedHeaders(letter, {
    id: ids.get(letter.id)!,
    event: outcome.ok ? outcome.envelope.event : null,
  });
}

const REFUSED_FOR = { record_too_large: "size", timestamp_refused: "time", record_invalid: "kind" } as const;

/** Answers the copies that the topic will never take, and what of them: a redrive's header may be one too many. */
async function publishTogether(
  copies: readonly Copy[],
  log: TopicLog,
): Promise<readonly (readonly [Copy, string])[]> {
  if (copies.length === 0) return [];
  try {
    await log.publish(WEBHOOKS_TOPIC, copies.map(({ record }) => record));
    return [];
  } catch (error) {
    if (!(error instanceof RecordRefusedError) || error.code === "not_authorised") throw error;
    if (copies.length === 1) return [[copies[0]!, REFUSED_FOR[error.code]]];
  }
  const refused: (readonly [Copy, string])[] = [];
  for (const copy of copies) refused.push(...await publishTogether([copy], log));
  return refused;
}
