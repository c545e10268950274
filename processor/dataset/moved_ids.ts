import { isScrubbed } from "../../contract/dead_letter.ts";
import { readLabel, recordId } from "../../contract/envelope.ts";
import { WEBHOOKS_TOPIC } from "../../contract/names.ts";
import { partitionOf } from "../../topic/partitioner.ts";
import type { TopicLog } from "../../topic/topic.ts";
import { DedupWindow } from "./core/dedup_window.ts";
import { type LookBack, lookBacks } from "./core/added_partitions.ts";
import type { AdoptedCount, PartitionCount } from "./core/added_partitions.ts";

/** Ids that lie in other partitions than their keys go to by now, for the first `dedupWindow` offsets after a change. */
export type MovedIds = {
  has(id: string, at: { readonly offset: number; readonly redrives: number }): boolean;
};

/** Of a topic whose partitions were never added to. */
export const NO_MOVED_IDS: MovedIds = { has: () => false };

/** By partition, what of the last `dedupWindow` offsets before one change lies elsewhere. */
type ByPartition = ReadonlyMap<number, DedupWindow>;

/**
 * Reads the ids around each change once for all partitions of a process; they are kept until it ends, at most
 * `dedupWindow` of each partition, 40 bytes each.
 */
export class MovedIdsReader {
  readonly #read = new Map<string, Promise<ByPartition>>();

  constructor(private readonly log: TopicLog, private readonly dedupWindow: number) {}

  /** For the records of `partition` from `nextOffset` on. */
  async of(
    partition: number,
    { counts, adopted = [], nextOffset }: {
      readonly counts: readonly PartitionCount[];
      readonly adopted?: readonly AdoptedCount[] | undefined;
      readonly nextOffset: number;
    },
  ): Promise<MovedIds> {
    const { dedupWindow } = this;
    const wanted = lookBacks(partition, { counts, adopted, dedupWindow })
      .filter(({ until }) => nextOffset < until);
    if (wanted.length === 0) return NO_MOVED_IDS;
    const looks = await Promise.all(wanted.map(async (look) => {
      const ids = (await this.#idsOf(look)).get(partition);
      return { ...look, ids };
    }));
    return {
      has: (id, { offset, redrives }) =>
        looks.some(({ from, until, ids }) =>
          offset >= from && offset < until && ids !== undefined && ids.holds(id, redrives)
        ),
    };
  }

  #idsOf(look: LookBack): Promise<ByPartition> {
    const name = `${look.count}: ${look.ends.join()}`;
    let ids = this.#read.get(name);
    if (!ids) {
      this.#read.set(name, ids = this.#readIds(look));
      ids.catch(() => this.#read.delete(name));
    }
    return ids;
  }

  async #readIds({ count, ends }: LookBack): Promise<ByPartition> {
    const found = new Map<number, DedupWindow>();
    const seed = crypto.getRandomValues(new Uint32Array(1))[0]!;
    for (const [partition, until] of ends.entries()) {
      const from = Math.max(0, until - this.dedupWindow);
      const unreadable = () => Promise.resolve("skip" as const);
      const range = { partition, from, until, unreadable };
      for await (const { records } of this.log.read(WEBHOOKS_TOPIC, range)) {
        for (const record of records) {
          const home = record.key === null ? 0 : partitionOf(record.key, count);
          if (home === partition || isScrubbed(record)) continue;
          const label = readLabel(record.headers);
          const ids = found.get(home) ?? new DedupWindow(Infinity, seed);
          found.set(home, ids);
          ids.seen(recordId(label, record.value), { offset: ids.fedTo, redrives: label.redrives });
        }
      }
    }
    return found;
  }
}
