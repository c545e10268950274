import { isErasure, readLabel } from "../../contract/envelope.ts";
import { WEBHOOKS_TOPIC } from "../../contract/names.ts";
import {
  elsewhere,
  type ErasedSubjects,
  type Erasure,
  NOBODY,
  readErasure,
  withErasure,
} from "../../processor/record/erasure.ts";
import type { ReadOptions, TopicLog, TopicRecord } from "../../topic/topic.ts";
import { addRecords, type Progress } from "./progress.ts";

/** An erasure record of one partition. */
export type ErasureAt = Erasure & { readonly offset: number };

/** The offsets of one partition that a replay covers: from ≤ offset < until. */
export type PartitionRange = { readonly partition: number; readonly from: number; readonly until: number };

/** What a look through the topic counts within the ranges. */
export type Counted = { readonly records: number; readonly letters: number };

/**
 * Looks through the topic before anything is written: every erasure up to its end, whatever the range, so that no line of
 * an erased person comes back even for a moment; and how much there is to do.
 */
export class TopicScan {
  readonly #erasures = new Map<number, ErasureAt[]>();
  readonly #next = new Map<number, number>();

  constructor(private readonly log: TopicLog, private readonly unreadable: ReadOptions["unreadable"]) {}

  /** Erasures of a partition in their order. */
  erasuresIn(partition: number): readonly ErasureAt[] {
    return this.#erasures.get(partition) ?? [];
  }

  /** What all other partitions' erasures say in this one, up to where the last look ended. */
  erasedElsewhere(partition: number): ErasedSubjects {
    const others = [...this.#erasures].filter(([other]) => other !== partition);
    return elsewhere(others.flatMap(([, erasures]) => erasures).reduce<ErasedSubjects>(withErasure, NOBODY));
  }

  /** Goes on from where the last look ended, up to the topic's end of this moment; `look` sees each new record. */
  async catchUp(look: (record: TopicRecord) => void = () => {}): Promise<void> {
    const bounds = await this.log.bounds(WEBHOOKS_TOPIC);
    await Promise.all(bounds.map(async ({ partition, startOffset, endOffset: until }) => {
      const from = Math.max(startOffset, this.#next.get(partition) ?? 0);
      const range = { partition, from, until, unreadable: this.unreadable };
      for await (const { records } of this.log.read(WEBHOOKS_TOPIC, range)) {
        for (const record of records) {
          this.#note(record);
          look(record);
        }
      }
      this.#next.set(partition, until);
    }));
  }

  #note(record: TopicRecord): void {
    if (!isErasure(readLabel(record.headers))) return;
    const erasure = readErasure(record.value);
    if (!erasure) return;
    const erasures = this.#erasures.get(record.partition) ?? [];
    this.#erasures.set(record.partition, erasures);
    erasures.push({ ...erasure, offset: record.offset });
  }
}

/** The first look, of an unknown size: the topic's erasures, and what of it lies in the ranges and within the times. */
export async function firstLook(
  scan: TopicScan,
  { ranges, inTime, hasLetter, progress }: {
    readonly ranges: readonly PartitionRange[];
    readonly inTime: (record: TopicRecord) => boolean;
    readonly hasLetter: (partition: number, offset: number) => boolean;
    readonly progress: Progress;
  },
): Promise<Counted> {
  const counted = { records: 0, letters: 0 };
  const byPartition = new Map(ranges.map((range) => [range.partition, range]));
  progress.begin("looking for erasures", { records: 0 });
  await scan.catchUp((record) => {
    addRecords(progress, [record]);
    const { partition, offset } = record;
    const range = byPartition.get(partition);
    if (!range || offset < range.from || offset >= range.until || !inTime(record)) return;
    counted.records++;
    if (hasLetter(partition, offset)) counted.letters++;
  });
  progress.end();
  return counted;
}
