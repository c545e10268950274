import { dismissalRecord } from "../../contract/dead_letter.ts";
import type { DismissAnswer } from "../../contract/processor_api.ts";
import { DEAD_LETTER_TOPIC } from "../../contract/names.ts";
import type { FaultPoint } from "../../runtime/fault_point.ts";
import type { TopicLog } from "../../topic/topic.ts";
import type { DeadLetterList, ListedLetter } from "./list.ts";
import { letterIds, whoGoesOn } from "./redrive_search.ts";

/**
 * Dismissing: a mark in the dead-letter topic takes a letter out of the list for good. The letter stays as it lies, so its
 * source still has one, gives no line, and is passed over where it could not be read. The caller holds the dataset's
 * maintenance lock and has read the list under it, so that no redrive publishes what is being dismissed.
 */
export type DismissOptions = {
  readonly log: TopicLog;
  readonly list: DeadLetterList;
  /** Why, for whoever reads the list later. */
  readonly words: string;
  /** Milliseconds since 1970, for the mark. */
  readonly now: number;
  /** See {@link RedriveOptions}. */
  readonly dedupWindow: number;
  readonly faultPoint: FaultPoint;
};

export type DismissOutcome = DismissAnswer["outcome"];

/** Dismisses one letter; with anything but `dismissed` nothing was published. */
export async function dismiss(letter: ListedLetter, options: DismissOptions): Promise<DismissOutcome> {
  const { log, list, words, now, faultPoint } = options;
  if (letter.redriven) return "redriven";
  if (letter.dismissed) return "already_dismissed";
  if (list.begunAt(letter.id) !== null) {
    const ids = await letterIds(log, [letter]);
    if ((await whoGoesOn([letter], { ...options, ids })).has(letter.id)) return "half_redriven";
  }
  faultPoint("dismiss.decided");
  await log.publish(DEAD_LETTER_TOPIC, [dismissalRecord({ letter: letter.id, words }, now)]);
  faultPoint("dismiss.marked");
  return "dismissed";
}
