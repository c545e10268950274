import type { FetchedRecords } from "./fetcher.ts";
import { type RecordSet, roomFor } from "./records/record_set.ts";
import type { RecordBatch, TopicRecord, UnreadableRecords } from "../topic.ts";

/** Bytes fetched ahead per partition, as they are packed: while a batch is handled the next is on its way. */
const AHEAD_BYTES_MAX = 1024 * 1024;

/** A partition that a member of a group owns now, and what has been fetched ahead of it, packed as it came. */
export class OwnedPartition {
  readonly gone = new AbortController();
  work: Promise<void> | null = null;
  /** False once the group has given the partition to another member, or may have. */
  isOurs = true;
  /** What is to be committed, or was: everything below it is done. */
  nextOffset: number | null = null;
  /** Changes whenever what is on its way must not be used any more. */
  epoch = 0;
  fetchFrom = 0;
  /** Why its records cannot be had now. */
  trouble: string | null = null;
  /** Its handler wants it assigned anew. */
  isToBeginAnew = false;
  /** Fetches that failed in a row. */
  failures = 0;
  /** Where it stands, because they cannot be read. */
  standing: UnreadableRecords | null = null;
  #flowing = false;
  #paused = false;
  #ahead: RecordSet[] = [];
  #aheadBytes = 0;
  #position = 0;
  #endOffset = 0;
  #arrived = () => {};

  constructor(readonly partition: number) {}

  /** Everything below it has been handed over. */
  get position(): number {
    return this.#position;
  }

  startAt(offset: number): void {
    this.epoch++;
    this.#flowing = true;
    this.fetchFrom = this.#position = offset;
    this.#clear();
  }

  stopFetching(): void {
    this.epoch++;
    this.#flowing = false;
    this.standing = null;
    this.#clear();
  }

  skipTo(startOffset: number): void {
    if (this.fetchFrom < startOffset) this.fetchFrom = startOffset;
  }

  skipUnreadable(): void {
    this.#ahead[0]?.skip();
  }

  pause(): void {
    this.failures++;
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
  }

  wantsMore(): boolean {
    return this.#flowing && !this.#paused && this.#aheadBytes < AHEAD_BYTES_MAX;
  }

  push({ records, endOffset }: FetchedRecords): void {
    this.#endOffset = endOffset;
    if (records.nextOffset === this.fetchFrom) return;
    this.fetchFrom = records.nextOffset;
    this.#ahead.push(records);
    this.#aheadBytes += records.bytesHeld;
    this.#arrived();
  }

  wake(): void {
    this.#arrived();
  }

  /**
   * The next batch within the bounds as soon as there is one, without records where only the position has moved; or
   * what stands in the way. Null where the partition has gone, or is to begin anew.
   */
  async next(recordsMax: number, bytesMax: number): Promise<RecordBatch | UnreadableRecords | null> {
    while (!this.gone.signal.aborted && !this.isToBeginAnew) {
      const next = this.#take(recordsMax, bytesMax);
      if (next !== null) return next;
      await new Promise<void>((resolve) => this.#arrived = resolve);
    }
    return null;
  }

  #take(recordsMax: number, bytesMax: number): RecordBatch | UnreadableRecords | null {
    const room = roomFor(recordsMax, bytesMax);
    const records: TopicRecord[] = [];
    const before = this.#position;
    for (let set; (set = this.#ahead[0]) !== undefined; this.#dropFirst()) {
      for (const record of set.take(room)) records.push(record);
      this.#position = set.position;
      if (!set.isEmpty) break;
    }
    if (this.#position > before) {
      const { partition } = this;
      return { partition, records, nextOffset: this.#position, endOffset: this.#endOffset };
    }
    return this.#ahead[0]?.unreadable ?? null;
  }

  #dropFirst(): void {
    this.#aheadBytes -= this.#ahead.shift()!.bytesHeld;
  }

  #clear(): void {
    this.#ahead = [];
    this.#aheadBytes = 0;
  }
}
