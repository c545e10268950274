import type { CommitObject } from "../core/commit.ts";
import { countedOf, isTheirs, subtractPlaceholders, type Theirs } from "../core/line_filter.ts";
import { type Compression, directoryOf, parseDatasetPath } from "../core/path.ts";
import { NO_FIGURES } from "../core/figures.ts";
import { GatheredObject, type PackedObject, packObject } from "./gathering.ts";
import { objectLines } from "./lines.ts";
import type { ObjectStore } from "./object_store.ts";

type Place = { readonly store: ObjectStore; readonly build: string };

const LINE_FEED = new Uint8Array([10]);

/** Whether an object holds a line of the erased. */
export async function holdsTheirs(
  { path }: CommitObject,
  { store, build, theirs }: Place & { readonly theirs: Theirs },
): Promise<boolean> {
  for await (const lines of objectLines(store, { build, path })) {
    if (lines.some((line) => isTheirs(line, theirs))) return true;
  }
  return false;
}

/** The object without their lines, the others byte for byte; null where none is left. */
export async function withoutTheirs(
  { path, placeholders, sanitiserVersion }: CommitObject,
  { store, build, theirs, compression }: Place & {
    readonly theirs: Theirs;
    readonly compression: Compression;
  },
): Promise<PackedObject | null> {
  const kept = new GatheredObject(directoryOf(path), parseDatasetPath(path)!.fileNumber, sanitiserVersion);
  Object.assign(kept.placeholders, placeholders);
  for await (const lines of objectLines(store, { build, path })) {
    for (const line of lines) {
      if (isTheirs(line, theirs)) {
        subtractPlaceholders(kept.placeholders, line);
        continue;
      }
      kept.add({ records: 1, text: [line, LINE_FEED], placeholders: {}, figures: NO_FIGURES });
      kept.figures.add(countedOf(line));
    }
  }
  return kept.records === 0 ? null : await packObject(kept, compression);
}
