import { join } from "node:path";
import {
  makePrivateDirectory,
  PRIVATE,
  removeIfThere,
  replaceFile,
  syncDirectory,
  tryRemove,
} from "../../runtime/durable_file.ts";

/** The names in a spool directory and how they are made durable. Nothing here knows what a record is. */

/** A place in the spool: everything before it has been drained. */
export type SpoolMark = { readonly segment: number; readonly bytes: number };

const SEGMENT_NAME = /^(\d{12})\.spool$/;
const MARK_NAME = "mark.json";
/** What a disk must take to count as one that takes records: more than most webhooks. */
const PROBE_BYTES = 64 * 1024;

/** The spool's directory on disk and its numbered segments. What it creates is for its owner alone: 0600, 0700. */
export class SpoolFiles {
  constructor(readonly directory: string) {}

  segmentPath(segment: number): string {
    return join(this.directory, `${String(segment).padStart(12, "0")}.spool`);
  }

  /** Makes the directory where it is missing and answers the numbers of the segments in it, in order. */
  async enter(): Promise<readonly number[]> {
    makePrivateDirectory(this.directory);
    const segments: number[] = [];
    for await (const entry of Deno.readDir(this.directory)) {
      const match = SEGMENT_NAME.exec(entry.name);
      if (match) segments.push(Number(match[1]));
    }
    return segments.sort((a, b) => a - b);
  }

  /**
   * A new, empty segment, open for writing; its name is durable. What a failed write left under this name, which was
   * promised to nobody, makes room for it.
   */
  async create(segment: number): Promise<Deno.FsFile> {
    const path = this.segmentPath(segment);
    const file = await Deno.open(path, { create: true, truncate: true, write: true, ...PRIVATE });
    try {
      await syncDirectory(this.directory);
      return file;
    } catch (error) {
      file.close();
      tryRemove(path);
      throw error;
    }
  }

  /** Cuts a segment to its first `bytes` bytes, durably, through a descriptor of its own. */
  async cut(segment: number, bytes: number): Promise<void> {
    using file = await Deno.open(this.segmentPath(segment), { write: true });
    await file.truncate(bytes);
    await file.sync();
  }

  /** Bytes from `from` up to at most `until` of a segment. */
  async read(segment: number, { from, until }: { from: number; until: number }): Promise<Uint8Array> {
    const bytes = new Uint8Array(until - from);
    using file = await Deno.open(this.segmentPath(segment), { read: true });
    await file.seek(from, Deno.SeekMode.Start);
    let filled = 0;
    while (filled < bytes.length) {
      const read = await file.read(bytes.subarray(filled));
      if (read === null) break;
      filled += read;
    }
    return bytes.subarray(0, filled);
  }

  async size(segment: number): Promise<number> {
    return (await Deno.stat(this.segmentPath(segment))).size;
  }

  remove(segment: number): void {
    removeIfThere(this.segmentPath(segment));
  }

  /** Rejects where the disk takes nothing now; leaves nothing behind. */
  async probe(): Promise<void> {
    const path = join(this.directory, "probe.tmp");
    try {
      using file = await Deno.open(path, { create: true, truncate: true, write: true, ...PRIVATE });
      await writeAll(file, new Uint8Array(PROBE_BYTES));
      await file.syncData();
    } finally {
      tryRemove(path);
    }
  }

  /** The mark; null where there is none, or none that can be read: then everything counts as not drained. */
  async readMark(): Promise<SpoolMark | null> {
    try {
      const mark = JSON.parse(await Deno.readTextFile(join(this.directory, MARK_NAME)));
      return Number.isSafeInteger(mark.segment) && Number.isSafeInteger(mark.bytes) ? mark : null;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound || error instanceof SyntaxError) return null;
      throw error;
    }
  }

  async writeMark(mark: SpoolMark): Promise<void> {
    const bytes = new TextEncoder().encode(JSON.stringify(mark) + "\n");
    await replaceFile(join(this.directory, MARK_NAME), bytes, PRIVATE);
  }

  /** Keeps bytes beside the spool under `refused/`, durably; the same name again replaces them. Answers the path. */
  async setAside(name: string, bytes: Uint8Array): Promise<string> {
    const directory = join(this.directory, "refused");
    makePrivateDirectory(directory);
    await syncDirectory(this.directory);
    const path = join(directory, name);
    await replaceFile(path, bytes, PRIVATE);
    return path;
  }
}

/** Writes all bytes, however many writes the system makes of it; without fsync. */
export async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.length;) written += await file.write(bytes.subarray(written));
}
