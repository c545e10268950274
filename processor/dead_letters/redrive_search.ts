import { editedIn } from "../../contract/dead_letter.ts";
import { readLabel, recordId } from "../../contract/envelope.ts";
import { WEBHOOKS_TOPIC } from "../../contract/names.ts";
import type { TopicLog, TopicRecord } from "../../topic/topic.ts";
import type { DeadLetterList, ListedLetter } from "./list.ts";
import { DeadLetterIndex } from "./positions.ts";
import { letterRecords } from "./records.ts";

/** Ids of the letters' events by letter: the header's, else derived from the record as everywhere. */
export async function letterIds(
  log: TopicLog,
  letters: readonly ListedLetter[],
): Promise<ReadonlyMap<string, string>> {
  const ids = new Map<string, string>();
  const unnamed = letters.filter(({ headers }) => readLabel(headers).id === undefined);
  for (const { id, headers } of letters) if (headers.id !== undefined) ids.set(id, headers.id);
  for await (const { letter, record } of letterRecords(log, unnamed)) {
    if (record) ids.set(letter.id, recordId(readLabel(letter.headers), record.value));
  }
  return ids;
}

/** A letter whose event is looked for in its partition, from `from` on. */
type Wanted = {
  readonly letter: ListedLetter;
  readonly id: string;
  readonly from: number;
  /** Offset of the last record that was a repeat of the letter's source, or the source. */
  last: number;
};

/** Letters by id whose event goes on, and whether it does in an edited copy. */
export type GoingOn = ReadonlyMap<string, { readonly edited: boolean }>;

/**
 * The letters whose event goes on in another record of the raw topic, so that no copy is to be published. Two kinds:
 *
 * - the copy of a redrive that was killed before its `done`: it carries more redrives, and lies at or above the end
 *   offset that the `begun` names;
 * - a redelivery that came later than the dedup window reaches, and so was no repeat of the source: it gave its line, or
 *   has a letter of its own. Beside it a copy would be the event's second line. Only letters that are older than the
 *   window are looked for, from their source on, because repeats keep the window open.
 *
 * One pass over each partition, for all letters together.
 */
export async function whoGoesOn(
  letters: readonly ListedLetter[],
  { log, list, ids, dedupWindow }: {
    readonly log: TopicLog;
    readonly list: DeadLetterList;
    readonly ids: ReadonlyMap<string, string>;
    readonly dedupWindow: number;
  },
): Promise<GoingOn> {
  const found = new Map<string, { readonly edited: boolean }>();
  if (letters.length === 0) return found;
  const bounds = await log.bounds(WEBHOOKS_TOPIC);
  const wantedBy = Map.groupBy(
    letters.flatMap((letter): Wanted[] => {
      const id = ids.get(letter.id);
      const { partition, offset } = letter.source;
      const isOld = bounds[partition]!.endOffset - offset > dedupWindow;
      const from = isOld ? offset + 1 : list.begunAt(letter.id);
      return id === undefined || from === null ? [] : [{ letter, id, from, last: offset }];
    }),
    ({ letter }) => letter.source.partition,
  );
  // Where something stands unread a copy may lie behind it: no redrive before it has been set aside.
  const { unreadable } = new DeadLetterIndex(log);
  for (const [partition, wanted] of wantedBy) {
    const from = wanted.reduce((lowest, one) => Math.min(lowest, one.from), Infinity);
    const byId = Map.groupBy(wanted, ({ id }) => id);
    const until = bounds[partition]!.endOffset;
    for await (const { records } of log.read(WEBHOOKS_TOPIC, { partition, from, until, unreadable })) {
      for (const record of records) {
        const edited = editedIn(record.headers);
        for (const { id } of goingOnIn(record, { byId, dedupWindow })) {
          // The copy of a letter that was itself of an edited record says which one that was.
          if (!found.has(id)) found.set(id, { edited: edited === id });
        }
      }
    }
  }
  return found;
}

function goingOnIn(
  { offset, headers, value }: TopicRecord,
  { byId, dedupWindow }: {
    readonly byId: ReadonlyMap<string, readonly Wanted[]>;
    readonly dedupWindow: number;
  },
): readonly ListedLetter[] {
  const label = readLabel(headers);
  return (byId.get(recordId(label, value)) ?? []).filter((one) => {
    if (offset < one.from) return false;
    if (label.redrives > one.letter.redrives || offset - one.last > dedupWindow) return true;
    one.last = offset;
    return false;
  }).map(({ letter }) => letter);
}
