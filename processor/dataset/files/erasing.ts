import { Buffer } from "node:buffer";
import { dirname, join } from "node:path";
import type { FaultPoint } from "../../../runtime/fault_point.ts";
import type { FileEntries, FileEntry } from "../store.ts";
import {
  GROUP_READS,
  ifThere,
  makePrivateDirectory,
  syncDirectory,
  writeAll,
} from "../../../runtime/durable_file.ts";
import { FigureCounter } from "../core/figures.ts";
import { countedOf, isTheirs, subtractPlaceholders, type Theirs } from "../core/line_filter.ts";
import { lineBlocksOf } from "../reading/reader.ts";
import { blocksOf } from "./reader.ts";

/**
 * Rewrites files of the dataset without some persons' lines. Other people's lines stay as they are, byte for byte.
 *
 * First every touched file is written anew beside the tree's own files (`_manifest/p00003.erasing/<n>.tmp`, n its
 * place among the touched), then the manifest says where it leads, then they are renamed into place.
 */

const LINE_FEED = new Uint8Array([10]);

/** What a rewriting of files without the erased people's lines needs. */
export type Rewrite = {
  readonly root: string;
  /** Where the rewritten files wait. */
  readonly directory: string;
  readonly theirs: Theirs;
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
    if (lines.some((line) => isTheirs(line, rewrite.theirs))) return true;
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
        if (isTheirs(line, rewrite.theirs)) subtractPlaceholders(placeholders, line);
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

/** The lines of a file, several at a time; a heartbeat after each block of them. */
async function* linesOf(
  path: string,
  { entry, rewrite }: { readonly entry: FileEntry; readonly rewrite: Rewrite },
): AsyncGenerator<readonly Uint8Array[]> {
  const file = Deno.openSync(join(rewrite.root, path), { read: true });
  // Whatever a line's length: what is not copied here is gone.
  for await (const { lines } of lineBlocksOf(blocksOf(file, entry.bytes), { lineBytesMax: Infinity })) {
    yield lines;
    await rewrite.heartbeat();
  }
}
