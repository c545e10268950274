import { dirname, join } from "node:path";
import { DatasetStateError } from "../core/state_error.ts";
import { GROUP_READS, ifThere, syncDirectory, writeAll } from "../../../runtime/durable_file.ts";

/** Descriptors of a partition that stay open: a chunk may touch a file per record, and a process may have 1,024 of them. */
const OPEN_FILES_MAX = 64;
/** Syncs of a partition that are under way at once; each takes up to two descriptors more. */
const SYNCS_MAX = 32;

/**
 * The growing files of one partition: appends at a known place and makes it durable. After a rejection it is good for
 * nothing but `close`: a descriptor whose sync failed once may report success the second time without any data on disk.
 */
export class JsonlFiles {
  /** Descriptors by path, the one used longest ago first. */
  readonly #open = new Map<string, { readonly file: Deno.FsFile; bytes: number }>();
  readonly #touched = new Set<string>();
  readonly #newNames = new Set<string>();

  constructor(private readonly root: string) {}

  /** Writes behind the `bytes` that the file has by its manifest; answers how many it has then. */
  append(path: string, { bytes, text }: { readonly bytes: number; readonly text: Uint8Array }): number {
    const open = this.#at(path, bytes);
    writeAll(open.file, text);
    open.bytes = bytes + text.length;
    this.#touched.add(path);
    return open.bytes;
  }

  /** A file whose descriptor has made room for others is opened anew: what was written by any of them is synced. */
  async sync(): Promise<void> {
    await inTurns(this.#touched, async (path) => {
      const open = this.#open.get(path);
      if (open) return await open.file.syncData();
      using file = Deno.openSync(join(this.root, path), { write: true });
      await file.syncData();
    });
    await inTurns(this.#newNames, syncDirectory);
    this.#touched.clear();
    this.#newNames.clear();
  }

  close(): void {
    for (const { file } of this.#open.values()) file.close();
    this.#open.clear();
  }

  #at(path: string, bytes: number): { readonly file: Deno.FsFile; bytes: number } {
    const known = this.#open.get(path);
    if (known?.bytes === bytes) {
      this.#open.delete(path);
      this.#open.set(path, known);
      return known;
    }
    if (known) throw new Error(`Cannot write "${path}" at byte ${bytes}: this process is at ${known.bytes}.`);
    if (this.#open.size >= OPEN_FILES_MAX) this.#closeOldest();
    const opened = { file: this.#openAt(path, bytes), bytes };
    this.#open.set(path, opened);
    return opened;
  }

  #openAt(path: string, bytes: number): Deno.FsFile {
    const whole = join(this.root, path);
    if (bytes === 0) this.#makeName(whole);
    const file = Deno.openSync(whole, { write: true, create: bytes === 0, mode: GROUP_READS.file });
    const { size } = file.statSync();
    if (size < bytes) {
      file.close();
      throw shortFile(whole, { size, bytes });
    }
    if (size > bytes) file.truncateSync(bytes);
    file.seekSync(bytes, Deno.SeekMode.Start);
    return file;
  }

  /** Every directory on the way down may be new; its name is durable when its parent has been synced. */
  #makeName(whole: string): void {
    Deno.mkdirSync(dirname(whole), { recursive: true, mode: GROUP_READS.directory });
    for (let at = dirname(whole); at.length >= this.root.length; at = dirname(at)) this.#newNames.add(at);
  }

  #closeOldest(): void {
    for (const [path, { file }] of this.#open) {
      file.close();
      this.#open.delete(path);
      return;
    }
  }
}

/** {@link SYNCS_MAX} at once; rejects once those under way have ended. */
async function inTurns(paths: ReadonlySet<string>, sync: (path: string) => Promise<void>): Promise<void> {
  const all = [...paths];
  for (let from = 0; from < all.length; from += SYNCS_MAX) {
    const turn = await Promise.allSettled(all.slice(from, from + SYNCS_MAX).map(sync));
    const failed = turn.find((one) => one.status === "rejected");
    if (failed) throw failed.reason;
  }
}

/** Cuts a file back to what its manifest says of it. */
export function cutBack(root: string, { path, bytes }: { path: string; bytes: number }): void {
  const whole = join(root, path);
  const size = ifThere(() => Deno.statSync(whole).size) ?? 0;
  if (size < bytes) throw shortFile(whole, { size, bytes });
  if (size > bytes) Deno.truncateSync(whole, bytes);
}

function shortFile(path: string, { size, bytes }: { size: number; bytes: number }): DatasetStateError {
  return new DatasetStateError(
    "dataset_file_short",
    `Cannot go on with "${path}": it has ${size} bytes and its manifest says ${bytes}. Something else has written to ` +
      `the dataset, or the disk has lost data. Rebuild it with \`deno task replay\`.`,
  );
}
