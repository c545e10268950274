import { Buffer } from "node:buffer";
import { dirname, join } from "node:path";
import { isObject, orNull } from "../../../contract/envelope.ts";
import type { FaultPoint } from "../../../runtime/fault_point.ts";
import type { FileEntries, FileEntry } from "../store.ts";
import {
  GROUP_READS,
  ifThere,
  makePrivateDirectory,
  syncDirectory,
  writeAll,
} from "../../../runtime/durable_file.ts";
import { type CountedLine, FigureCounter } from "../core/figures.ts";
import { lineBlocksOf } from "./reader.ts";

/**
 * Rewrites files of the dataset without some persons' lines. Other people's lines stay as they are, byte for byte.
 *
 * First every touched file is written anew beside the tree's own files (`_manifest/p00003.erasing/<n>.tmp`, n its
 * place among the touched), then the manifest says where it leads, then they are renamed into place.
 */

const LINE_FEED = new Uint8Array([10]);
const TIMESTAMP_KEY = `{"timestamp":"`;
const DISTINCT_ID_KEY = new TextEncoder().encode(`,"distinct_id":`);

/** What a rewriting of files without the erased people's lines needs. */
export type Rewrite = {
  readonly root: string;
  /** Where the rewritten files wait. */
  readonly directory: string;
  /** True for a line's distinct_id and time, in milliseconds since 1970, of someone who was erased. */
  theirs(distinctId: string, time: () => number): boolean;
  heartbeat(): Promise<void>;
  readonly faultPoint: FaultPoint;
};

/** Writes the touched files anew and answers their new entries, in the order of their places; durable. */
export async function rewriteWithout(entries: FileEntries, rewrite: Rewrite): Promise<FileEntries> {
  const touched: Record<string, FileEntry> = {};
  makePrivateDirectory(rewrite.directory);
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
    const from = temporaryOf(directory, place++);
    ifThere(() => Deno.renameSync(from, target));
    directories.add(dirname(target));
    faultPoint("erase.renamed");
  }
  for (const one of directories) await syncDirectory(one);
}

function temporaryOf(directory: string, place: number): string {
  return join(directory, `${place}.tmp`);
}

async function holdsTheirs(path: string, entry: FileEntry, rewrite: Rewrite): Promise<boolean> {
  for await (const lines of linesOf(path, { entry, rewrite })) {
    if (lines.some((line) => isTheirs(line, rewrite))) return true;
  }
  return false;
}

async function copyWithout(
  path: string,
  { entry, temporary, rewrite }: { entry: FileEntry; temporary: string; rewrite: Rewrite },
): Promise<FileEntry> {
  const file = Deno.openSync(temporary, {
    create: true,
    write: true,
    truncate: true,
    mode: GROUP_READS.file,
  });
  let { bytes, records } = { bytes: 0, records: 0 };
  const placeholders = { ...entry.placeholders };
  const figures = new FigureCounter();
  try {
    for await (const lines of linesOf(path, { entry, rewrite })) {
      const kept: Uint8Array[] = [];
      for (const line of lines) {
        if (isTheirs(line, rewrite)) subtractPlaceholders(placeholders, line);
        else {
          kept.push(line);
          figures.add(countedOf(line));
        }
      }
      const text = Buffer.concat(kept.flatMap((line) => [line, LINE_FEED]));
      writeAll(file, text);
      bytes += text.length;
      records += kept.length;
    }
    await file.syncData();
  } finally {
    file.close();
  }
  const { sanitiserVersions } = entry;
  return { bytes, records, placeholders, sanitiserVersions, figures: figures.figures() };
}

/**
 * Counted anew, so that no reason is left that only the erased had, and those come up that stood behind it. A line that is none
 * of ours does not stop an erasure.
 */
function countedOf(line: Uint8Array): CountedLine {
  const fields = orNull((): unknown => JSON.parse(new TextDecoder().decode(line)));
  const { failure_reason: reason, input_prompt: prompt } = isObject(fields) ? fields : {};
  return {
    reason: typeof reason === "string" ? reason : null,
    promptLength: typeof prompt === "string" ? prompt.length : 0,
  };
}

function isTheirs(line: Uint8Array, { theirs }: Rewrite): boolean {
  return theirs(distinctIdOf(line), () => timeOf(line));
}

/** The first field of a line, which has no other form. */
function timeOf(line: Uint8Array): number {
  const text = new TextDecoder().decode(line.subarray(TIMESTAMP_KEY.length, TIMESTAMP_KEY.length + 40));
  return Date.parse(text.slice(0, text.indexOf('"')));
}

/** The last field of a line, read without parsing the rest: `"` in any field before it is escaped. */
function distinctIdOf(line: Uint8Array): string {
  const at = lastIndexOf(line, DISTINCT_ID_KEY) + DISTINCT_ID_KEY.length;
  return JSON.parse(new TextDecoder().decode(line.subarray(at, -1)));
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

/** The lines of a file, several at a time; a heartbeat after each block of them. */
async function* linesOf(
  path: string,
  { entry, rewrite }: { readonly entry: FileEntry; readonly rewrite: Rewrite },
): AsyncGenerator<readonly Uint8Array[]> {
  const file = Deno.openSync(join(rewrite.root, path), { read: true });
  // Whatever a line's length: what is not copied here is gone.
  for await (const { lines } of lineBlocksOf(file, entry.bytes, { lineBytesMax: Infinity })) {
    yield lines;
    await rewrite.heartbeat();
  }
}
