import { Buffer } from "node:buffer";
import { join } from "node:path";
import { ifThere, isThere } from "../../../runtime/durable_file.ts";
import type { DatasetListing, DatasetTail } from "../../../contract/processor_api.ts";
import { parseDatasetPath } from "../core/path.ts";
import { SANITISER_VERSION } from "../../sanitise/mod.ts";
import type { FileEntries, FileEntry } from "../store.ts";
import { readEntries, readSnapshot } from "./snapshot.ts";

/** The dataset as its manifests have it, for readers beside the writers: no lock, and never a byte beyond a manifest. */

/** Bytes that a tail reads at most, however many lines were asked for. */
const TAIL_BYTES_MAX = 8 * 1024 * 1024;
/** A replay may put another tree in the place of the one that is being read, and remove that. */
const ATTEMPTS = 3;

/** Counts per dataset partition, by event and date; empty where no writer has started yet. */
export function listDataset(datasetDir: string): DatasetListing {
  return listEntries(withRoot(datasetDir, readEntries) ?? {});
}

/** The last lines of a file, whole and oldest first; null where the manifests don't name it. `lines` from 1. */
export function tailDataset(
  datasetDir: string,
  { file, lines }: { readonly file: string; readonly lines: number },
): DatasetTail | null {
  const path = parseDatasetPath(file);
  if (!path) return null;
  return withRoot(datasetDir, (root) => {
    const entry = readSnapshot(root, path.partition).entries[file];
    return entry ? readTail(join(root, file), { file, lines, entry }) : null;
  });
}

function listEntries(entries: FileEntries): DatasetListing {
  const listing: DatasetListing = {
    records: 0,
    bytes: 0,
    files: 0,
    sanitiserVersion: SANITISER_VERSION,
    partitions: [],
  };
  const partitions = new Map<string, DatasetListing["partitions"][number]>();
  for (const [path, entry] of Object.entries(entries)) {
    const { event, date } = parseDatasetPath(path)!;
    if (entry.records === 0) continue;
    const key = `${date}/${event}`;
    const partition = partitions.get(key) ??
      { event, date, records: 0, bytes: 0, files: 0, placeholders: {}, paths: [] };
    partitions.set(key, partition);
    for (const sum of [listing, partition]) {
      sum.records += entry.records;
      sum.bytes += entry.bytes;
      sum.files++;
    }
    for (const [entity, count] of Object.entries(entry.placeholders)) {
      partition.placeholders[entity] = (partition.placeholders[entity] ?? 0) + count;
    }
    partition.paths.push(path);
  }
  for (const key of [...partitions.keys()].sort()) listing.partitions.push(partitions.get(key)!);
  for (const partition of listing.partitions) partition.paths.sort();
  return listing;
}

function readTail(
  whole: string,
  { file, lines, entry }: { readonly file: string; readonly lines: number; readonly entry: FileEntry },
): DatasetTail {
  const opened = Deno.openSync(whole, { read: true });
  try {
    // An erasure may be about to put a shorter file here, or has just done it.
    const bytes = Math.min(entry.bytes, opened.statSync().size);
    const text = readEnd(opened, { bytes, lines });
    const found = text.split("\n").slice(0, -1).slice(-lines);
    const { records } = entry;
    return { file, records, bytes: entry.bytes, lines: found, firstLine: records - found.length + 1 };
  } finally {
    opened.close();
  }
}

/** The end of the first `bytes`, from a line's beginning on, with at least `lines` lines where there are so many. */
function readEnd(file: Deno.FsFile, { bytes, lines }: { bytes: number; lines: number }): string {
  for (let length = 64 * 1024;; length *= 2) {
    const from = Math.max(0, bytes - Math.min(length, TAIL_BYTES_MAX));
    const block = readRange(file, { from, bytes: bytes - from });
    const begin = from === 0 ? 0 : block.indexOf(10) + 1;
    const end = block.lastIndexOf(10) + 1;
    const enough = from === 0 || length >= TAIL_BYTES_MAX || countLines(block.subarray(begin, end)) >= lines;
    if (enough) return block.toString("utf8", begin, Math.max(begin, end));
  }
}

function readRange(file: Deno.FsFile, { from, bytes }: { from: number; bytes: number }): Buffer {
  const block = Buffer.alloc(bytes);
  file.seekSync(from, Deno.SeekMode.Start);
  let filled = 0;
  while (filled < bytes) {
    const read = file.readSync(block.subarray(filled));
    if (read === null) break;
    filled += read;
  }
  return block.subarray(0, filled);
}

function countLines(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) count++;
  return count;
}

function withRoot<T>(datasetDir: string, look: (root: string) => T): T | null {
  for (let attempt = 1;; attempt++) {
    const root = ifThere(() => Deno.realPathSync(datasetDir));
    if (root === null || !isThere(join(root, "_manifest"))) return null;
    try {
      return look(root);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound) || attempt === ATTEMPTS) throw error;
    }
  }
}
