import { type DeadLetter, type LetterSource, readDeadLetterEntry } from "../../contract/dead_letter.ts";
import type { DeadLetterView } from "../../contract/processor_api.ts";
import { DEAD_LETTER_TOPIC } from "../../contract/names.ts";
import { LogSetupError, type TopicLog, type TopicRecord } from "../../topic/topic.ts";
import { readsOn } from "./positions.ts";

/** A letter with what became of it. */
export type ListedLetter = DeadLetter & {
  /** Its copy has been published: it is listed only where all are asked for. */
  readonly redriven: boolean;
  /** An operator has set it aside for good, with these words: likewise. */
  readonly dismissed: { readonly words: string } | null;
};

/**
 * The dead-letter topic as a list, folded record by record: one letter per source position (repeats are not listed),
 * redriven and dismissed ones marked, those of erased persons gone.
 */
export class DeadLetterList {
  readonly #letters = new Map<string, DeadLetter>();
  /** Ids of the letters by source; empty for one that an erasure has taken. */
  readonly #sources = new Map<string, string>();
  readonly #done = new Set<string>();
  /** The operator's words by letter; of several marks the last holds. */
  readonly #dismissed = new Map<string, string>();
  /** Letters that wait, by reason: status asks for them all the time, however many strangers have made. */
  readonly #waiting = new Map<string, number>();
  /** Letters that there have been, by step. */
  readonly #ever = new Map<string, number>();
  /** Raw end offset when a letter's redrive began. */
  readonly #begun = new Map<string, number>();
  /** Reads up to the topic's end of this moment; a topic that is not there yet holds nothing. */
  readonly catchUp: () => Promise<void>;

  constructor(log: TopicLog) {
    this.catchUp = readsOn(log, { end: () => endOf(log), apply: (record) => this.#apply(record) });
  }

  /** Letters in their order; redriven and dismissed ones only where `all` is set. */
  letters({ all }: { readonly all: boolean }): readonly ListedLetter[] {
    return [...this.#letters.values()]
      .map((letter) => {
        const words = this.#dismissed.get(letter.id);
        return {
          ...letter,
          redriven: this.#done.has(letter.id),
          dismissed: words === undefined ? null : { words },
        };
      })
      .filter(({ redriven, dismissed }) => all || (!redriven && dismissed === null));
  }

  /** Why this position has had a letter; null: it has none, "" where an erasure has taken it. */
  reasonAt(source: LetterSource): string | null {
    const id = this.#sources.get(sourceText(source));
    return id === undefined ? null : this.#letters.get(id)?.reason ?? "";
  }

  /** Source positions that have had a letter. */
  get ever(): number {
    return this.#sources.size;
  }

  /** The same by step, in the letters' own words. */
  everByStep(): ReadonlyMap<string, number> {
    return this.#ever;
  }

  /** Where a redrive of this letter has begun without an end: the raw partition's end offset of that moment; else null. */
  begunAt(id: string): number | null {
    return this.#done.has(id) ? null : this.#begun.get(id) ?? null;
  }

  /** Listed letters by reason, the most frequent first. */
  byReason(): Record<string, number> {
    return mostFirst(this.#waiting);
  }

  #count(id: string, by: 1 | -1): void {
    const reason = this.#done.has(id) || this.#dismissed.has(id) ? undefined : this.#letters.get(id)?.reason;
    if (reason === undefined) return;
    const count = (this.#waiting.get(reason) ?? 0) + by;
    if (count > 0) this.#waiting.set(reason, count);
    else this.#waiting.delete(reason);
  }

  #apply(record: TopicRecord): void {
    const entry = readDeadLetterEntry(record);
    if (entry.is === "redrive") {
      const { mark, letter, endOffset } = entry.redrive;
      if (mark === "done") {
        this.#count(letter, -1);
        this.#done.add(letter);
        return;
      }
      // The first beginning stands: a copy that was published after it lies above it.
      if (!this.#begun.has(letter)) this.#begun.set(letter, endOffset ?? 0);
    } else if (entry.is === "dismissed") {
      const { letter, words } = entry.dismissal;
      this.#count(letter, -1);
      this.#dismissed.set(letter, words);
    } else if (entry.is === "letter") {
      const source = sourceText(entry.letter.source);
      if (this.#sources.has(source)) return;
      this.#sources.set(source, entry.letter.id);
      this.#letters.set(entry.letter.id, entry.letter);
      this.#ever.set(entry.letter.step, (this.#ever.get(entry.letter.step) ?? 0) + 1);
      this.#count(entry.letter.id, 1);
    } else if (entry.is === "erased") {
      const source = sourceText(entry.source);
      const id = this.#sources.get(source) ?? "";
      this.#count(id, -1);
      this.#letters.delete(id);
      this.#sources.set(source, "");
    }
  }
}

/** The most frequent reason first. */
export function countsByReason(letters: readonly ListedLetter[]): Record<string, number> {
  const counts = new Map<string, number>();
  for (const { reason } of letters) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  return mostFirst(counts);
}

function mostFirst(counts: ReadonlyMap<string, number>): Record<string, number> {
  return Object.fromEntries([...counts].sort((a, b) => b[1] - a[1]));
}

/** A letter as it is told outside, without anything of its record. */
export function letterView(
  { id, reason, step, source, firstSeen, redrives, redriven, dismissed, unread }: ListedLetter,
): DeadLetterView {
  const { topic, partition, offset } = source;
  return {
    ...{ id, reason, step, topic, partition, offset, firstSeen, redrives, redriven },
    ...(dismissed === null ? {} : { dismissed }),
    ...(unread === undefined ? {} : { unread }),
  };
}

/** The letter of this id (`partition:offset` in the dead-letter topic), redriven ones too; null where there is none. */
export function findLetter(list: DeadLetterList, id: string): ListedLetter | null {
  return list.letters({ all: true }).find((letter) => letter.id === id) ?? null;
}

function sourceText({ topic, partition, offset }: LetterSource): string {
  return `${topic}:${partition}:${offset}`;
}

async function endOf(log: TopicLog): Promise<number> {
  try {
    return (await log.bounds(DEAD_LETTER_TOPIC))[0]?.endOffset ?? 0;
  } catch (error) {
    if (error instanceof LogSetupError) return 0;
    throw error;
  }
}
