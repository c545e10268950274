import type { UnreadableRecords } from "../../topic.ts";
import {
  BATCH_LENGTH_MIN,
  BatchHead,
  type BatchRecords,
  type EntryHead,
  LAST_OFFSET_DELTA_AT,
  LENGTH_COUNTS_FROM,
  MAGIC_AT,
} from "./batch.ts";
import { ByteReader, MalformedError } from "./byte_reader.ts";
import { OldMessages, oldTimestamp } from "./old_messages.ts";
import type { KafkaRecord } from "./record.ts";

/** A transaction that its producer took back: its records from `firstOffset` on, up to the control batch that says so. */
export type AbortedTransaction = { readonly producerId: number; readonly firstOffset: number };

/** How much more may be taken: records, bytes of their values, bytes of the batches that they keep in memory. */
export type Room = { records: number; bytes: number; unpackedBytes: number };

/** What is taken is counted down; the batch that reaches the bound of unpacked bytes is the last one opened. */
export function roomFor(records: number, bytes: number): Room {
  return { records, bytes, unpackedBytes: UNPACKED_BYTES_MAX };
}

/** Bytes to which what is taken at once may unpack. */
const UNPACKED_BYTES_MAX = 32 * 1024 * 1024;
/** Bytes to which one batch may unpack: a megabyte of one letter packs into a hundred bytes. */
export const BATCH_UNPACKED_BYTES_MAX = 64 * 1024 * 1024;
/** Bytes of a batch that cannot be read that are shown of it. */
const SHOWN_BYTES_MAX = 1024 * 1024;
/** The shortest message of the oldest format. */
const LENGTH_MIN = 14;
const HEAD_BYTES = MAGIC_AT + 1;

/**
 * What a fetch brought of one partition, as it lies in the log: entries of any format, the last of which may be cut off.
 * An entry is unpacked when it is reached. Control batches and records of aborted transactions are passed over, as
 * Kafka's own consumer does at `read_committed`; an entry that cannot be read stops at itself, until it is skipped.
 */
export class RecordSet {
  readonly partition: number;
  /** Where to go on behind everything that is whole here; known without unpacking any of it. */
  readonly nextOffset: number;
  /** What it holds in memory, packed. */
  readonly bytesHeld: number;
  #unreadable: UnreadableRecords | null = null;
  readonly #bytes: Uint8Array;
  readonly #aborted: AbortedProducers;
  readonly #from: number;
  /** Where the entries that are whole end. */
  readonly #wholeEnd: number;
  /** What is wrong behind them; null where nothing is, or only the end is cut off. */
  readonly #broken: string | null;
  #at = 0;
  #entry: EntryHead | null = null;
  #open: BatchRecords | OldMessages | null = null;
  #position: number;

  constructor(bytes: Uint8Array, { partition, from, aborted = [] }: {
    readonly partition: number;
    readonly from: number;
    readonly aborted?: readonly AbortedTransaction[];
  }) {
    this.partition = partition;
    this.bytesHeld = bytes.length;
    this.#bytes = bytes;
    this.#from = this.#position = from;
    this.#aborted = new AbortedProducers(aborted);
    const { end, nextOffset, broken } = scan(bytes, from);
    this.#wholeEnd = end;
    this.#broken = broken;
    this.nextOffset = nextOffset;
  }

  /** Everything below it has been taken, or is none of ours. */
  get position(): number {
    return this.#position;
  }

  /** True once all has been taken, and nothing stands in the way. */
  get isEmpty(): boolean {
    const end = this.#broken === null ? this.#wholeEnd : this.#bytes.length;
    return this.#unreadable === null && this.#open === null && this.#at >= end;
  }

  /** Where nothing more can be taken before it is skipped. */
  get unreadable(): UnreadableRecords | null {
    return this.#unreadable;
  }

  /** When the first entry that is wanted came, in milliseconds since 1970; nothing is unpacked for it. */
  get firstTimestamp(): number | null {
    const entry = this.#at < this.#wholeEnd ? readHead(this.#bytes, this.#at) : null;
    if (entry === null) return null;
    return entry.magic < 2 ? oldTimestamp(this.#bytes, entry) : new BatchHead(this.#bytes, entry).timestamp;
  }

  /** Takes what there is room for, up to the first entry that cannot be read. */
  take(room: Room): KafkaRecord[] {
    const records: KafkaRecord[] = [];
    try {
      while (this.#unreadable === null && (this.#open !== null || this.#openNext(room))) {
        if (room.records <= 0 || room.bytes <= 0) break;
        const record = this.#open!.next();
        if (record !== null) this.#checkOrder(record);
        if (record !== null && record.offset >= this.#from) {
          records.push(record);
          room.records--;
          room.bytes -= record.value.length;
          this.#position = record.offset + 1;
        }
        if (this.#open!.isDone) this.#close();
      }
    } catch (error) {
      this.#stop((error as Error).message);
    }
    return records;
  }

  /** Brokers take batches whose records say any offset; by one that is too high everything behind it would count as read. */
  #checkOrder({ offset }: KafkaRecord): void {
    const { magic, firstOffset, lastOffset } = this.#entry!;
    const first = magic < 2 ? 0 : firstOffset;
    const isRepeated = offset >= this.#from && offset < this.#position;
    if (offset >= first && offset <= lastOffset && !isRepeated) return;
    throw new MalformedError(
      `a record says offset ${offset} behind ${this.#position - 1} in a batch from ${first} to ${lastOffset}`,
    );
  }

  /** Passes over what {@link unreadable} says. */
  skip(): void {
    const { nextOffset } = this.#unreadable!;
    this.#unreadable = null;
    this.#position = Math.max(this.#position, nextOffset);
    if (this.#entry === null) this.#at = this.#bytes.length;
    else {
      this.#aborted.skipped(this.#bytes, this.#entry);
      this.#close();
    }
  }

  /** Opens the next entry that brings records; false where there is none, or no room to unpack it. */
  #openNext(room: Room): boolean {
    while (this.#at < this.#wholeEnd && room.unpackedBytes > 0) {
      const entry = this.#entry = readHead(this.#bytes, this.#at)!;
      if (entry.lastOffset >= this.#from && this.#begin(entry)) {
        room.unpackedBytes -= this.#open!.unpackedBytes;
        if (!this.#open!.isDone) return true;
      }
      this.#close();
    }
    if (this.#at < this.#wholeEnd || this.#broken === null || this.#at >= this.#bytes.length) return false;
    throw new MalformedError(this.#broken);
  }

  /** False where it holds nothing for a reader. */
  #begin(entry: EntryHead): boolean {
    const bytesMax = BATCH_UNPACKED_BYTES_MAX;
    if (entry.magic > 2) throw new MalformedError(`its format has the unknown number ${entry.magic}`);
    if (entry.magic < 2) {
      this.#open = new OldMessages(this.#bytes, entry, { partition: this.partition, bytesMax });
      return true;
    }
    const head = new BatchHead(this.#bytes, entry);
    const isOfNoUse = this.#aborted.passOver(head);
    head.check();
    if (isOfNoUse) return false;
    this.#open = head.records(this.partition, bytesMax);
    return true;
  }

  #close(): void {
    const { end, lastOffset } = this.#entry!;
    this.#position = Math.max(this.#position, lastOffset + 1);
    this.#at = end;
    this.#entry = this.#open = null;
  }

  #stop(why: string): void {
    const entry = this.#entry;
    const at = entry?.at ?? this.#at;
    // A batch of which some records have been taken is unreadable from there on.
    const offset = entry === null
      ? this.#position
      : Math.max(entry.firstOffset, this.#open ? Math.min(this.#position, entry.lastOffset) : 0);
    this.#unreadable = {
      partition: this.partition,
      offset,
      nextOffset: entry === null ? offset + 1 : entry.lastOffset + 1,
      reason: `the record batch cannot be read: ${why}`,
      bytes: this.#bytes.slice(at, Math.min(entry?.end ?? Infinity, at + SHOWN_BYTES_MAX)),
    };
  }
}

/** The front of the entry at `at`; null where it is cut off. Throws where no entry can begin so. */
function readHead(bytes: Uint8Array, at: number): EntryHead | null {
  if (bytes.length - at < HEAD_BYTES) return null;
  const reader = new ByteReader(bytes, at);
  const [firstOffset, length] = [reader.int64(), reader.int32()];
  const magic = bytes[at + MAGIC_AT]!;
  const end = at + LENGTH_COUNTS_FROM + length;
  const lengthMin = magic === 2 ? BATCH_LENGTH_MIN : LENGTH_MIN;
  if (length < lengthMin) {
    throw new MalformedError(`its length is ${length} bytes, and the least is ${lengthMin}`);
  }
  if (end > bytes.length) return null;
  if (magic !== 2) return { at, end, magic, firstOffset, lastOffset: firstOffset };
  const delta = new ByteReader(bytes, at + LAST_OFFSET_DELTA_AT).int32();
  return { at, end, magic, firstOffset, lastOffset: firstOffset + Math.max(0, delta) };
}

/** Looks at the fronts of all entries. */
function scan(bytes: Uint8Array, from: number): { end: number; nextOffset: number; broken: string | null } {
  let end = 0;
  let nextOffset = from;
  try {
    for (let entry; (entry = readHead(bytes, end)) !== null; end = entry.end) {
      nextOffset = Math.max(nextOffset, entry.lastOffset + 1);
    }
  } catch (error) {
    return { end, nextOffset: nextOffset + 1, broken: (error as Error).message };
  }
  // Brokers send at least one entry whole, however large; without it there would be no way on.
  const isCutOff = end === 0 && bytes.length > 0;
  return isCutOff
    ? { end, nextOffset: nextOffset + 1, broken: "the broker sent only a part of it" }
    : { end, nextOffset, broken: null };
}

/** Whose records are to be left out at the place that has been reached; told of every batch, in order. */
class AbortedProducers {
  readonly #aborted = new Set<number>();
  readonly #coming: AbortedTransaction[];

  constructor(transactions: readonly AbortedTransaction[]) {
    this.#coming = [...transactions].sort((a, b) => b.firstOffset - a.firstOffset);
  }

  /** True where a reader gets nothing of the batch: it is of an aborted transaction, or only ends one. */
  passOver(batch: BatchHead): boolean {
    while (this.#coming.length > 0 && this.#coming.at(-1)!.firstOffset <= batch.entry.lastOffset) {
      this.#aborted.add(this.#coming.pop()!.producerId);
    }
    if (batch.isControl) {
      if (batch.endsByAbort()) this.#aborted.delete(batch.producerId);
      return true;
    }
    return batch.isTransactional && this.#aborted.has(batch.producerId);
  }

  /** What may have ended an aborted transaction must not hide what its producer wrote later. */
  skipped(bytes: Uint8Array, entry: EntryHead): void {
    const head = entry.magic === 2 ? new BatchHead(bytes, entry) : null;
    if (head?.isControl) this.#aborted.delete(head.producerId);
  }
}
