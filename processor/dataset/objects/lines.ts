import { Readable } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { type Compression, parseDatasetPath } from "../core/path.ts";
import { damaged } from "../core/commit.ts";
import { DatasetStateError } from "../core/state_error.ts";
import { lineBlocksOf } from "../reading/reader.ts";
import type { ObjectStore } from "./object_store.ts";

/** The lines of an object, without their line feeds, several at a time; what was named and is missing stops loudly. */
export async function* objectLines(
  store: ObjectStore,
  { build, path }: { readonly build: string; readonly path: string },
): AsyncGenerator<readonly Uint8Array[]> {
  const body = await store.read(`${build}/${path}`);
  if (body === null) throw missingObject(store, `${build}/${path}`);
  const text = unpacked(body.blocks, parseDatasetPath(path)!.compression ?? "none");
  for await (const { lines, rest } of lineBlocksOf(text, { lineBytesMax: Infinity })) {
    if (rest > 0) throw damaged(`${build}/${path}`, "it ends within a line");
    yield lines;
  }
}

/**
 * An object that a commit names is not there. Whoever reads beside others looks first whether a later commit has removed it.
 */
export class ObjectMissingError extends DatasetStateError {
  override name = "ObjectMissingError";
}

export function missingObject(store: ObjectStore, key: string): ObjectMissingError {
  return new ObjectMissingError(
    "dataset_file_short",
    `Cannot read "${key}" in ${store.place}: a commit names it and it is missing. Something else has deleted it. Put it ` +
      `back from an earlier version or a backup, or rebuild the dataset with \`deno task replay\`.`,
  );
}

/** As it was before it was packed. */
export function unpacked(
  blocks: AsyncIterable<Uint8Array>,
  compression: Compression,
): AsyncIterable<Uint8Array> {
  if (compression === "none") return blocks;
  const unpacking = compression === "gzip" ? createGunzip() : createZstdDecompress();
  const source = Readable.from(copies(blocks));
  source.on("error", (error) => unpacking.destroy(error));
  return source.pipe(unpacking);
}

/** A block is good until the next one, and a stream takes several. */
async function* copies(blocks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const block of blocks) yield block.slice();
}
