import { Buffer } from "node:buffer";
import type { EnvelopeRecord } from "../../contract/envelope.ts";
import type { FaultPoint } from "../../runtime/fault_point.ts";
import { tryRemove } from "../../runtime/durable_file.ts";
import { decodeFrame, encodeFrame } from "./frame.ts";
import { SpoolFiles, type SpoolMark, writeAll } from "./files.ts";
import { RefusedWebhooks } from "./refused.ts";

/**
 * Where webhooks wait while the log cannot take them: append-only files in `DATA_DIR/spool/`, drained in their order.
 *
 * - `append` resolves when the record is on disk (fsync); appends made at the same time share one write and one fsync.
 * - What was appended survives kill -9 and power loss; a torn tail, which nobody was promised, is cut at the next open.
 * - The mark moves only after the log has acknowledged. Between the two a crash publishes records again: repeats are
 *   allowed, loss is not.
 * - A file is deleted when all of it is drained, and nothing is ever appended to a file of an earlier run.
 * - After an I/O error no descriptor is trusted any more: the file is cut back, or goes where nothing is left of it, and
 *   the next append begins a new one.
 */
export class Spool {
  readonly #files: SpoolFiles;
  /** What the log refused for good. It may take as many bytes again as what waits. */
  readonly refused: RefusedWebhooks;
  /** What lies on disk, in order; the last one may be open. */
  readonly #segments: Segment[] = [];
  #mark: SpoolMark = { segment: 0, bytes: 0 };
  #lastSegment = 0;
  /** The newest of what waited when it was opened, oldest first; none once they were asked for. */
  #waited: readonly EnvelopeRecord[] = [];
  #open: { readonly segment: Segment; readonly file: Deno.FsFile } | null = null;

  #queue: QueuedFrame[] = [];
  #queuedBytes = 0;
  #flushing: Promise<void> | null = null;
  #pendingRecords = 0;
  #state: SpoolState = "taking";
  #closed = false;
  #wake: () => void = () => {};

  private constructor(private readonly options: SpoolOptions) {
    this.#files = new SpoolFiles(options.directory);
    this.refused = new RefusedWebhooks(this.#files, options.bytesMax);
  }

  /** Opens the spool, repairs its last file and counts what waits. Rejects where the directory cannot be used. */
  static async open(options: SpoolOptions): Promise<Spool> {
    const spool = new Spool(options);
    await spool.#recover();
    return spool;
  }

  /** Records appended, or about to be, that the log has not acknowledged. While it is above 0, new ones queue behind. */
  get pendingRecords(): number {
    return this.#pendingRecords;
  }

  /** The newest records that waited when it was opened, {@link WAITED_MAX} at most, oldest first; once only. */
  takeWaited(): readonly EnvelopeRecord[] {
    const waited = this.#waited;
    this.#waited = [];
    return waited;
  }

  /** Bytes on disk and about to be there. */
  get bytes(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.bytes, this.#queuedBytes);
  }

  /** Whether the next append can be expected to succeed, as far as the last one showed. */
  get state(): SpoolState {
    return this.#state === "taking" && this.bytes >= this.options.bytesMax ? "full" : this.#state;
  }

  /**
   * Resolves when the record is durable. Rejects with {@link SpoolFullError}, or with the error of the disk; then the
   * record will not be published from here.
   */
  append(record: EnvelopeRecord): Promise<void> {
    const frame = encodeFrame(record);
    if (this.#closed) return Promise.reject(new Error("Cannot append to the spool: it is closed."));
    if (this.bytes + frame.length > this.options.bytesMax) {
      return Promise.reject(new SpoolFullError(this.options));
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ frame, resolve, reject });
      this.#queuedBytes += frame.length;
      this.#pendingRecords++;
      this.#flushing ??= this.#flush();
    });
  }

  /** Up to where everything is drained. */
  get mark(): SpoolMark {
    return this.#mark;
  }

  /**
   * The oldest records behind `after` (default: the mark), at most so many; null where none is on disk. Reading again gives
   * them again.
   */
  async read(
    bounds: { recordsMax: number; bytesMax: number },
    after: SpoolMark = this.#mark,
  ): Promise<SpoolBatch | null> {
    for (const segment of this.#segments) {
      const from = segment.number === after.segment ? after.bytes : 0;
      if (segment.number < after.segment || from >= segment.bytes) continue;
      const near = Math.min(segment.bytes, from + bounds.bytesMax);
      let bytes = await this.#files.read(segment.number, { from, until: near });
      // One record alone may be larger than the bound.
      if (decodeFrame(bytes, 0).is === "torn") {
        bytes = await this.#files.read(segment.number, { from, until: segment.bytes });
      }
      const records = decodeAll(bytes, bounds.recordsMax);
      if (records.length > 0) {
        const end = { segment: segment.number, bytes: from + records.at(-1)!.end };
        return {
          records: records.map(({ record }) => record),
          starts: records.map((r) => from + r.start),
          end,
        };
      }
      // What lies before it is not drained yet.
      if (after !== this.#mark) return null;
      await this.#setDamageAside(segment, from);
    }
    return null;
  }

  /** Moves the mark behind a batch that the log has acknowledged, durably, and deletes files that are done with. */
  async markDrained(batch: SpoolBatch): Promise<void> {
    // Another process may own the directory by now; the batch comes again, which is allowed.
    if (this.#closed) return;
    await this.#files.writeMark(batch.end);
    this.#mark = batch.end;
    this.#pendingRecords -= batch.records.length;
    const segment = this.#segments.find(({ number }) => number === batch.end.segment);
    if (segment) segment.records -= batch.records.length;
    this.#deleteDrained();
  }

  /** Keeps a record that the log will never take in `refused/`; answers the path. Rejects where that is full too. */
  async setAside(record: EnvelopeRecord, { at, reason }: { at: string; reason: string }): Promise<string> {
    return await this.refused.keep(record, { at, reason });
  }

  /** After a failed write, without waiting for the next record: whether the disk takes again. */
  async lookAgain(): Promise<void> {
    if (this.#state !== "failing" || this.#flushing) return;
    await this.#files.probe().then(() => this.#state = "taking", () => {});
  }

  /** Resolves when something waits to be drained, or `signal` aborts. */
  async untilPending(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && !this.#segments.some((segment) => this.#undrained(segment) > 0)) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const wake = this.#wake = () => resolve();
      signal.addEventListener("abort", wake);
      await promise;
      signal.removeEventListener("abort", wake);
    }
  }

  /** Flushes what was appended and closes; what waits is drained by the next run. */
  async close(): Promise<void> {
    this.#closed = true;
    while (this.#flushing) await this.#flushing;
    this.#open?.file.close();
    this.#open = null;
  }

  async #flush(): Promise<void> {
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const frames = this.#take();
      const bytes = frames.reduce((sum, { frame }) => sum + frame.length, 0);
      try {
        await this.#write(Buffer.concat(frames.map(({ frame }) => frame)), frames.length);
        this.#queuedBytes -= bytes;
        this.#state = "taking";
        this.options.faultPoint("spool.appended");
        for (const { resolve } of frames) resolve();
        this.#wake();
      } catch (error) {
        this.#queuedBytes -= bytes;
        this.#pendingRecords -= frames.length;
        this.#state = "failing";
        for (const { reject } of frames) reject(error);
      }
    }
    this.#flushing = null;
  }

  #take(): QueuedFrame[] {
    let bytes = 0;
    let count = 0;
    while (count < this.#queue.length && (count === 0 || bytes < FLUSH_BYTES_MAX)) {
      bytes += this.#queue[count++]!.frame.length;
    }
    return this.#queue.splice(0, count);
  }

  async #write(bytes: Uint8Array, records: number): Promise<void> {
    const { segment, file } = await this.#writable();
    try {
      await writeAll(file, bytes);
      await file.syncData();
      if (this.#open?.segment !== segment) {
        throw new Error("Cannot append to the spool: its file was damaged.");
      }
    } catch (error) {
      await this.#abandon(segment);
      throw error;
    }
    segment.bytes += bytes.length;
    segment.records += records;
  }

  async #writable(): Promise<{ readonly segment: Segment; readonly file: Deno.FsFile }> {
    if (this.#open && this.#open.segment.bytes >= this.options.segmentBytes) {
      this.#open.file.close();
      this.#open = null;
    }
    if (this.#open) return this.#open;
    const segment: Segment = { number: this.#lastSegment + 1, bytes: 0, records: 0 };
    const file = await this.#files.create(segment.number);
    this.#lastSegment = segment.number;
    this.#segments.push(segment);
    return this.#open = { segment, file };
  }

  /**
   * What a failed write left behind was promised to nobody. If it cannot be cut now, the next open does it. A file that
   * holds nothing else goes, and its number is free: no mark names it. So a full disk keeps no file per refused webhook.
   */
  async #abandon(segment: Segment): Promise<void> {
    if (this.#open?.segment !== segment) return;
    this.#open.file.close();
    this.#open = null;
    if (segment.bytes === 0) {
      this.#segments.splice(this.#segments.indexOf(segment), 1);
      tryRemove(this.#files.segmentPath(segment.number));
      this.#lastSegment = segment.number - 1;
      return;
    }
    await this.#files.cut(segment.number, segment.bytes).catch(() => {});
  }

  #deleteDrained(): void {
    for (const segment of [...this.#segments]) {
      if (this.#undrained(segment) > 0) return;
      if (segment === this.#open?.segment) {
        if (this.#flushing) return;
        this.#open.file.close();
        this.#open = null;
      }
      this.#segments.splice(this.#segments.indexOf(segment), 1);
      this.#files.remove(segment.number);
    }
  }

  #undrained(segment: Segment): number {
    if (segment.number < this.#mark.segment) return 0;
    return segment.bytes - (segment.number === this.#mark.segment ? this.#mark.bytes : 0);
  }

  async #recover(): Promise<void> {
    const numbers = await this.#files.enter();
    this.#mark = await this.#files.readMark() ?? this.#mark;
    // A number is never used twice: a mark of an earlier file must not be taken for one of a later file.
    this.#lastSegment = Math.max(this.#mark.segment, ...numbers);
    for (const number of numbers) {
      const segment: Segment = { number, bytes: await this.#files.size(number), records: 0 };
      this.#segments.push(segment);
      if (this.#undrained(segment) > 0) await this.#repair(segment);
      this.#pendingRecords += segment.records;
    }
    this.#deleteDrained();
  }

  /** Counts the records of a segment and cuts off what follows the last whole one. */
  async #repair(segment: Segment): Promise<void> {
    const from = segment.number === this.#mark.segment ? this.#mark.bytes : 0;
    const bytes = await this.#files.read(segment.number, { from, until: segment.bytes });
    const records = decodeAll(bytes, Infinity);
    segment.records = records.length;
    // Without their values, which are views into a whole file.
    const newest = records.slice(-WAITED_MAX).map(({ record }) => ({ ...record, value: NO_BYTES }));
    this.#waited = [...this.#waited, ...newest].slice(-WAITED_MAX);
    const end = records.at(-1)?.end ?? 0;
    const rest = decodeFrame(bytes, end);
    if (rest.is === "damaged") return await this.#setDamageAside(segment, from + end);
    if (rest.is !== "torn") return;
    this.options.report("info", `spool: cut ${bytes.length - end} bytes of an unfinished append`);
    await this.#files.cut(segment.number, from + end);
    segment.bytes = from + end;
  }

  /** Bytes that cannot be read as records may hold some that were promised: a person has to look. */
  async #setDamageAside(segment: Segment, from: number): Promise<void> {
    const bytes = await this.#files.read(segment.number, { from, until: segment.bytes });
    const path = await this.#files.setAside(`${segment.number}-${from}.damaged`, bytes);
    this.options.report(
      "error",
      `Cannot read the spool beyond byte ${from} of "${
        this.#files.segmentPath(segment.number)
      }": the disk changed it. ` +
        `${bytes.length} bytes are kept in "${path}"; bring lost events back with \`deno task backfill\`.`,
    );
    await this.#abandon(segment);
    const before = segment.records;
    segment.records = 0;
    this.#pendingRecords -= before;
    await this.#files.cut(segment.number, from);
    segment.bytes = from;
  }
}

export type SpoolOptions = {
  readonly directory: string;
  /** Bytes of all files together. */
  readonly bytesMax: number;
  /** Bytes after which a new file is begun. */
  readonly segmentBytes: number;
  readonly faultPoint: FaultPoint;
  readonly report: (level: "info" | "warn" | "error", text: string) => void;
};

/** Whether the spool takes records; `full` ends as it drains, `failing` once a write succeeds again. */
export type SpoolState = "taking" | "full" | "failing";

/** Records in their order; `starts` are their places in the file, `end` is the mark behind them. */
export type SpoolBatch = {
  readonly records: readonly EnvelopeRecord[];
  readonly starts: readonly number[];
  readonly end: SpoolMark;
};

/** SPOOL_MAX_BYTES is reached. */
export class SpoolFullError extends Error {
  override name = "SpoolFullError";
  readonly code = "spool_full";
  constructor({ directory, bytesMax }: { readonly directory: string; readonly bytesMax: number }) {
    super(
      `Cannot append to the spool "${directory}": it holds ${bytesMax} bytes. Bring the log back, or raise SPOOL_MAX_BYTES.`,
    );
  }
}

/** `bytes` that are durable, `records` in them that are not drained. */
type Segment = { readonly number: number; bytes: number; records: number };

type QueuedFrame = {
  readonly frame: Uint8Array;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
};

const NO_BYTES = new Uint8Array();
/** Records that a start tells of. */
const WAITED_MAX = 200;
/** Bytes that share one write and one fsync at most. */
const FLUSH_BYTES_MAX = 8 * 1024 * 1024;

function decodeAll(bytes: Uint8Array, recordsMax: number) {
  const records: { readonly record: EnvelopeRecord; readonly start: number; readonly end: number }[] = [];
  for (let start = 0; records.length < recordsMax;) {
    const frame = decodeFrame(bytes, start);
    if (frame.is !== "record") break;
    records.push({ record: frame.record, start, end: frame.end });
    start = frame.end;
  }
  return records;
}
