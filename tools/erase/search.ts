import { Buffer } from "node:buffer";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { ifThere } from "../../runtime/durable_file.ts";
import { Finder, type Wanted } from "./finder.ts";
import type { NeedleKind } from "./needles.ts";

/**
 * Looks for bytes in every file under some directories. Runs as a process of its own, which has no log open: SQLite's
 * files are read as bytes here, and closing such a file would take a process's own locks on it away.
 */

/** What a search is asked. What is wanted is personal data: it goes by standard input and never by arguments. */
export type SearchOrder = {
  readonly roots: readonly string[];
  readonly wanted: Wanted;
  /** The live dataset, where a line says itself whose it is; null where there is none. */
  readonly dataset: {
    readonly root: string;
    /** distinct_ids of the erased as lines have them. */
    readonly ids: readonly string[];
    /** When they were erased, in milliseconds since 1970: their later lines are new data. */
    readonly until: number;
  } | null;
};

export type Found = Readonly<Record<NeedleKind, number>>;

/** A file with something in it. */
export type FileFound = {
  readonly path: string;
  /** Of the erased, or of nobody that can be told. */
  readonly found: Found;
  /** Lines of other people in the live dataset, and lines that came after the erasure. */
  readonly others: number;
};

export type SearchResult = {
  /** In the order of the search's roots. */
  readonly roots: readonly SearchedRoot[];
  readonly files: readonly FileFound[];
};

export type SearchedRoot = Sums & {
  /** By first name below the root, the log's files by their own; SQLite's write-ahead logs count with their files. */
  readonly places: Readonly<Record<string, Sums>>;
};

type Sums = { readonly files: number; readonly bytes: number };

/** Starts the search in a process of its own and answers what it found. */
export async function searchEverything(order: SearchOrder): Promise<SearchResult> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-read", fileURLToPath(import.meta.url)],
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(encodeOrder(order)));
  await writer.close();
  const { success, stdout } = await child.output();
  if (!success) throw new Error("Cannot search what is left: the searching process failed, see above.");
  return JSON.parse(new TextDecoder().decode(stdout));
}

function encodeOrder(order: SearchOrder): string {
  const needles = order.wanted.needles.map((one) => ({
    ...one,
    bytes: Buffer.from(one.bytes).toString("base64"),
  }));
  return JSON.stringify({ ...order, wanted: { ...order.wanted, needles } });
}

function decodeOrder(text: string): SearchOrder {
  const order = JSON.parse(text);
  const needles = order.wanted.needles.map((one: { bytes: string }) => ({
    ...one,
    bytes: Buffer.from(one.bytes, "base64"),
  }));
  return { ...order, wanted: { ...order.wanted, needles } };
}

/** The search itself. */
export function search({ roots, wanted, dataset }: SearchOrder): SearchResult {
  const finder = new Finder(wanted);
  const files: FileFound[] = [];
  const sums = roots.map((root) => {
    const sum = { files: 0, bytes: 0 };
    const places: Record<string, { files: number; bytes: number }> = {};
    for (const path of filesUnder(root)) {
      const whose = dataset !== null && path.startsWith(`${dataset.root}/`) && path.endsWith(".jsonl")
        ? dataset
        : null;
      const looked = lookInto(path, { finder, whose });
      if (looked === null) continue;
      const place = places[placeOf(relative(root, path))] ??= { files: 0, bytes: 0 };
      for (const one of [sum, place]) {
        one.files++;
        one.bytes += looked.bytes;
      }
      const { found, others } = looked;
      if (others + hitsOf(found) > 0) files.push({ path, found, others });
    }
    return { ...sum, places };
  });
  return { roots: sums, files };
}

export function hitsOf({ id, address, prompt }: Found): number {
  return id + address + prompt;
}

/** Where a file is counted. */
export function placeOf(path: string): string {
  const slash = path.startsWith("log/") ? -1 : path.indexOf("/");
  return slash < 0 ? path.replace(/-(wal|shm)$/, "") : path.slice(0, slash + 1);
}

/** Regular files, without following links: what a link leads to is under DATA_DIR too, or is not. */
function* filesUnder(directory: string): Generator<string> {
  for (const { name, isDirectory, isFile } of ifThere(() => [...Deno.readDirSync(directory)]) ?? []) {
    if (isDirectory) yield* filesUnder(join(directory, name));
    else if (isFile) yield join(directory, name);
  }
}

const BLOCK_BYTES = 4 * 1024 * 1024;
/** What tells on either side whether a word is whole: a local part, with its escapes. */
const CONTEXT_BYTES = 2_048;

type Looked = { bytes: number; found: Record<NeedleKind, number>; others: number };

/** Null where the file has gone since its directory was read. */
function lookInto(
  path: string,
  { finder, whose }: { readonly finder: Finder; readonly whose: SearchOrder["dataset"] },
): Looked | null {
  using file = ifThere(() => Deno.openSync(path, { read: true }));
  if (file === null) return null;
  const looked: Looked = { bytes: 0, found: { id: 0, address: 0, prompt: 0 }, others: 0 };
  for (const { at, kind } of hitsIn(file, finder, (bytes) => looked.bytes += bytes)) {
    if (whose !== null && isOthersLine(lineAt(file, at), whose)) looked.others++;
    else looked.found[kind]++;
  }
  return looked;
}

/** Every hit with its place in the file; blocks overlap by what a needle and its neighbours may take. */
function* hitsIn(
  file: Deno.FsFile,
  finder: Finder,
  read: (bytes: number) => void,
): Generator<{ readonly at: number; readonly kind: NeedleKind }> {
  const buffer = new Uint8Array(CONTEXT_BYTES + BLOCK_BYTES + finder.bytesMax + CONTEXT_BYTES);
  for (let from = 0;; from += BLOCK_BYTES) {
    const begin = Math.max(0, from - CONTEXT_BYTES);
    const bytes = buffer.subarray(0, readAt(file, begin, buffer));
    const end = Math.min(from + BLOCK_BYTES, begin + bytes.length);
    for (const hit of finder.find(bytes)) {
      const at = begin + hit.at;
      if (at >= from && at < end) yield { at, kind: hit.kind };
    }
    read(end - from);
    if (end < from + BLOCK_BYTES) return;
  }
}

/** Reads into the whole of `into`, or up to the file's end; answers how many bytes. */
function readAt(file: Deno.FsFile, at: number, into: Uint8Array): number {
  file.seekSync(at, Deno.SeekMode.Start);
  let filled = 0;
  while (filled < into.length) {
    const read = file.readSync(into.subarray(filled));
    if (read === null) break;
    filled += read;
  }
  return filled;
}

/** The whole line around a place. */
function lineAt(file: Deno.FsFile, at: number): string {
  for (let reach = 64 * 1024;; reach *= 2) {
    const from = Math.max(0, at - reach);
    const bytes = Buffer.alloc(2 * reach);
    const text = bytes.subarray(0, readAt(file, from, bytes));
    const begin = text.lastIndexOf(10, at - from - 1) + 1;
    const end = text.indexOf(10, at - from);
    const isWhole = (begin > 0 || from === 0) && (end >= 0 || text.length < bytes.length);
    if (isWhole) return text.toString("utf8", begin, end < 0 ? text.length : end);
  }
}

/** True for a line that says that it is somebody else's, or came after the erasure. */
export function isOthersLine(line: string, { ids, until }: NonNullable<SearchOrder["dataset"]>): boolean {
  try {
    const { distinct_id: distinctId, timestamp } = JSON.parse(line);
    return typeof distinctId === "string" && (!ids.includes(distinctId) || Date.parse(timestamp) > until);
  } catch {
    return false;
  }
}

if (import.meta.main) {
  console.log(JSON.stringify(search(decodeOrder(await new Response(Deno.stdin.readable).text()))));
}
