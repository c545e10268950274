import { Buffer } from "node:buffer";
import { dirname, join } from "node:path";
import type { FaultPoint } from "../../../runtime/fault_point.ts";
import type { FileEntries, FileEntry } from "../store.ts";
import { syncDirectory, writeAll } from "../../../runtime/durable_file.ts";

/**
 * Rewrites files of the dataset without some persons' lines. Other people's lines stay as they are, byte for byte.
 *
 * First every touched file is written anew beside the tree's own files (`_manifest/p00003.erasing/<n>.tmp`, n its
 * place among the touched), then the manifest says where it leads, then they are renamed into place.
 */

/** Bytes read at once. */
const BLOCK_BYTES = 1024 * 1024;
const DISTINCT_ID_KEY = new TextEncoder().encode(`,"distinct_id":`);

/** What a rewriting of files without the erased people's lines needs. */
export type Rewrite = {
  readonly root: string;
  /** Where the rewritten files wait. */
  readonly directory: string;
  /** True for a distinct_id, as a line has it, of someone who was erased. */
  theirs(distinctId: string): boolean;
  heartbeat(): Promise<void>;
  readonly faultPoint: FaultPoint;
};

/** Writes the touched files anew and answers their new entries, in the order of their places; durable. */
export async function rewriteWithout(entries: FileEntries, rewrite: Rewrite): Promise<FileEntries> {
  const touched: Record<string, FileEntry> = {};
  Deno.mkdirSync(rewrite.directory, { recursive: true });
  for (const [path, entry] of Object.entries(entries)) {
    const temporary = temporaryOf(rewrite.directory, Object.keys(touched).length);
    const kept = entry.bytes > 0 && await holdsTheirs(path, entry, rewrite)
      ? await copyWithout(path, { entry, temporary, rewrite })
      : null;
    if (kept) {
      touched[path] = kept;
      rewrite.faultPoint("erase.temp");
    }
    await rewrite.heartbeat();
  }
  await syncDirectory(rewrite.directory);
  await syncDirectory(dirname(rewrite.directory));
  return touched;
}

/** Renames the rewritten files into place, those too that an earlier run has left, and makes the names durable. */
export async function putInPlace(
  touched: FileEntries,
  { root, directory, faultPoint }: Pick<Rewrite, "root" | "directory" | "faultPoint">,
): Promise<void> {
  const directories = new Set<string>();
  let place = 0;
  for (const path of Object.keys(touched)) {
    const target = join(root, path);
    renameIfThere(temporaryOf(directory, place++), target);
    directories.add(dirname(target));
    faultPoint("erase.renamed");
  }
  for (const one of directories) await syncDirectory(one);
}

function temporaryOf(directory: string, place: number): string {
  return join(directory, `${place}.tmp`);
}

function renameIfThere(from: string, to: string): void {
  try {
    Deno.renameSync(from, to);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

async function holdsTheirs(path: string, entry: FileEntry, rewrite: Rewrite): Promise<boolean> {
  for await (const lines of blocksOf(join(rewrite.root, path), { bytes: entry.bytes, ...rewrite })) {
    if (lines.some((line) => rewrite.theirs(distinctIdOf(line)))) return true;
  }
  return false;
}

async function copyWithout(
  path: string,
  { entry, temporary, rewrite }: { entry: FileEntry; temporary: string; rewrite: Rewrite },
): Promise<FileEntry> {
  const file = Deno.openSync(temporary, { create: true, write: true, truncate: true });
  let { bytes, records } = { bytes: 0, records: 0 };
  const placeholders = { ...entry.placeholders };
  try {
    for await (const lines of blocksOf(join(rewrite.root, path), { bytes: entry.bytes, ...rewrite })) {
      const kept: Uint8Array[] = [];
      for (const line of lines) {
        if (rewrite.theirs(distinctIdOf(line))) subtractPlaceholders(placeholders, line);
        else kept.push(line);
      }
      const text = Buffer.concat(kept);
      writeAll(file, text);
      bytes += text.length;
      records += kept.length;
    }
    await file.syncData();
  } finally {
    file.close();
  }
  return { bytes, records, placeholders, sanitiserVersions: entry.sanitiserVersions };
}

/** The last field of a line, read without parsing the rest: `"` in any field before it is escaped. */
function distinctIdOf(line: Uint8Array): string {
  const at = lastIndexOf(line, DISTINCT_ID_KEY) + DISTINCT_ID_KEY.length;
  const end = line.length - (line[line.length - 1] === 10 ? 2 : 1);
  return JSON.parse(new TextDecoder().decode(line.subarray(at, end)));
}

function lastIndexOf(line: Uint8Array, wanted: Uint8Array): number {
  for (let at = line.length - wanted.length; at >= 0; at--) {
    let same = 0;
    while (same < wanted.length && line[at + same] === wanted[same]) same++;
    if (same === wanted.length) return at;
  }
  throw new Error("Cannot read a line of the dataset: it has no distinct_id.");
}

/**
 * Takes a removed line's placeholders off the counts. Counted where they stand as text: a person who typed one
 * themselves is the only way to be off, and a count never falls below 0.
 */
function subtractPlaceholders(placeholders: Record<string, number>, line: Uint8Array): void {
  for (const [, entity] of new TextDecoder().decode(line).matchAll(/<([A-Z][A-Z0-9_]{1,40})>/g)) {
    const left = placeholders[entity!];
    if (left === undefined) continue;
    if (left > 1) placeholders[entity!] = left - 1;
    else delete placeholders[entity!];
  }
}

/** The lines of a file's first `bytes`, each with its line feed, block by block: those that end in it. */
async function* blocksOf(
  path: string,
  { bytes, heartbeat }: { readonly bytes: number; heartbeat(): Promise<void> },
): AsyncGenerator<readonly Uint8Array[]> {
  const file = Deno.openSync(path, { read: true });
  try {
    let rest = new Uint8Array();
    for (let left = bytes; left > 0;) {
      const block = new Uint8Array(rest.length + Math.min(BLOCK_BYTES, left));
      block.set(rest);
      const read = file.readSync(block.subarray(rest.length));
      if (read === null) return;
      left -= read;
      const filled = block.subarray(0, rest.length + read);
      const lines = splitLines(filled);
      rest = filled.slice(lines.reduce((sum, line) => sum + line.length, 0));
      yield lines;
      await heartbeat();
    }
  } finally {
    file.close();
  }
}

function splitLines(bytes: Uint8Array): Uint8Array[] {
  const lines: Uint8Array[] = [];
  let from = 0;
  for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, from)) {
    lines.push(bytes.subarray(from, end + 1));
    from = end + 1;
  }
  return lines;
}

/** Removes what an erasure that never came to its manifest has left. */
export function removeLeftovers(directory: string): void {
  try {
    Deno.removeSync(directory, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
