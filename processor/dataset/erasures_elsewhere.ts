import { isErasure, readLabel } from "../../contract/envelope.ts";
import { WEBHOOKS_TOPIC } from "../../contract/names.ts";
import { NoLeaderError, type PartitionBounds, type TopicLog } from "../../topic/topic.ts";
import {
  elsewhere,
  type ErasedSubjects,
  joinErased,
  NOBODY,
  readErasure,
  withErasure,
} from "../record/erasure.ts";
import type { DatasetTree } from "./store.ts";

/**
 * Erasures that lie in other partitions than the one that asks: a partition that was added later has no record of those
 * before it, and its late events must give no line either.
 */
export class ErasuresElsewhere {
  /** By partition, of records that its manifest had not behind it when they were read. */
  readonly #ahead = new Map<number, ErasedSubjects>();
  readonly #next = new Map<number, number>();
  #reading: Promise<void> = Promise.resolve();

  constructor(private readonly log: TopicLog) {}

  /** What the other partitions of the tree have kept. */
  kept(tree: DatasetTree, { partition, partitions }: Asking): ErasedSubjects {
    let found = NOBODY;
    for (let other = 0; other < partitions; other++) {
      if (other === partition) continue;
      found = joinErased(joinErased(found, tree.erasedIn(other)), this.#ahead.get(other) ?? NOBODY);
    }
    return elsewhere(found);
  }

  /**
   * The same, and what lies in the log behind their manifests up to its end of this moment; that is read once for all
   * partitions of a process. Not read where the tree was begun with this partition on an empty topic: every erasure
   * since has a record in it too. One that has no leader now is passed over: whoever writes it takes up its erasures when
   * it is back, and this partition learns them from its manifest, as all that come while it is open.
   */
  async known(
    tree: DatasetTree,
    { partition, partitions }: Asking,
  ): Promise<ErasedSubjects> {
    const [first] = tree.counts();
    const isFirst = first !== undefined && partition < first.count && first.ends.every((end) => end === 0);
    if (!isFirst) {
      for (let other = 0; other < partitions; other++) {
        if (other !== partition) await this.#readAhead(tree, other);
      }
    }
    return this.kept(tree, { partition, partitions });
  }

  #readAhead(tree: DatasetTree, partition: number): Promise<void> {
    return this.#reading = this.#reading.catch(() => {}).then(async () => {
      try {
        await this.#readNow(tree, await this.log.boundsOf(WEBHOOKS_TOPIC, partition));
      } catch (error) {
        if (!(error instanceof NoLeaderError)) throw error;
      }
    });
  }

  async #readNow(
    tree: DatasetTree,
    { partition, startOffset, endOffset: until }: PartitionBounds,
  ): Promise<void> {
    const from = Math.max(startOffset, tree.nextOffsetOf(partition) ?? 0, this.#next.get(partition) ?? 0);
    // What nobody can read stops its own partition; so does an open transaction, and what lies behind is known from there.
    const unreadable = () => Promise.resolve("skip" as const);
    const range = { partition, from, until, unreadable, endsAtOpenTransaction: true };
    for await (const { records, nextOffset } of this.log.read(WEBHOOKS_TOPIC, range)) {
      for (const { headers, value, offset } of records) {
        const erasure = isErasure(readLabel(headers)) ? readErasure(value) : null;
        if (!erasure) continue;
        const known = this.#ahead.get(partition) ?? NOBODY;
        this.#ahead.set(partition, withErasure(known, { ...erasure, offset }));
      }
      this.#next.set(partition, nextOffset);
    }
  }
}

type Asking = { readonly partition: number; readonly partitions: number };
