import { OFFSETS_PER_FILE, parseDatasetPath, partitionPrefix } from "../../processor/dataset/core/path.ts";
import type { ObjectsConfig } from "../../processor/dataset/objects/config.ts";
import { openS3 } from "../../processor/dataset/objects/s3/client.ts";
import { openReader } from "../../processor/dataset/reading/open.ts";
import { type DatasetReader, DatasetReplacedError, pathsOf } from "../../processor/dataset/reading/reader.ts";
import { DatasetReadError } from "../../processor/dataset/core/read_error.ts";
import { type S3Kind, type S3Server, startS3, whyNoS3 } from "./s3/servers.ts";
import { datasetFiles, type Line } from "./pipeline.ts";

/** Where the dataset of one DATA_DIR lies: what processes are told of it, and what a test sees there. */
export type DatasetPlace = {
  readonly env: Readonly<Record<string, string>>;
  /** The lines by the file that a directory has for them (event, day, partition), in their order; nothing that is not named. */
  files(): Promise<Map<string, string>>;
  /** Files or objects beside what is named, such as a crash leaves; of a directory null: its files are cut back. */
  beside(): Promise<readonly string[] | null>;
  /** What lies there outside DATA_DIR and is found to hold something, named or not. */
  holding(finds: (bytes: Uint8Array) => boolean): Promise<readonly string[]>;
  /** The same dataset once more, for a copy of its DATA_DIR. */
  copyFor(dataDir: string): Promise<DatasetPlace>;
};

/** Hands out places; `stop` ends what they lie on. */
export type DatasetPlaces = { at(dataDir: string): DatasetPlace; stop(): Promise<void> };

/** So short that nobody waits for an object to end. */
const OBJECT_AGE = "200ms";
/** Readings that an erasure or a replay overtakes in a row. */
const READINGS_MAX = 5;

/** A process that a test stops in the middle of a request would hold up the other server, which answers one at a time. */
const KIND: S3Kind = "versitygw";

/** Why no dataset can lie in a bucket on this machine; null where it can. */
export const whyNoBucket = await whyNoS3(KIND);

/** Both, for `describe.each`. */
export const DATASET_PLACES: readonly {
  readonly name: string;
  readonly isBucket: boolean;
  readonly why: string | null;
}[] = [
  { name: "a directory", isBucket: false, why: null },
  { name: "a bucket", isBucket: true, why: whyNoBucket },
];

/** A bucket has one server for all of its places, each with a prefix of its own. */
export async function openPlaces({ isBucket }: { readonly isBucket: boolean }): Promise<DatasetPlaces> {
  if (!isBucket) return { at: inDirectory, stop: () => Promise.resolve() };
  const s3 = await startS3(KIND);
  return { at: () => inBucket(s3), stop: () => s3.stop() };
}

function inDirectory(dataDir: string): DatasetPlace {
  return {
    env: {},
    files: () => Promise.resolve(datasetFiles(dataDir)),
    beside: () => Promise.resolve(null),
    holding: () => Promise.resolve([]),
    copyFor: (copy) => Promise.resolve(inDirectory(copy)),
  };
}

function inBucket(s3: S3Server): DatasetPlace {
  const prefix = `d${crypto.randomUUID()}`;
  const config: ObjectsConfig = { ...s3.config, prefix };
  return {
    env: { ...s3.env, DATASET_URL: `s3://${config.bucket}/${prefix}`, DATASET_OBJECT_AGE: OBJECT_AGE },
    files: async () => await reading(config, filesOf) ?? new Map(),
    beside: async () =>
      await reading(config, async (reader) => (await reader.audit()).beside.map(({ file }) => file)) ?? [],
    async holding(finds) {
      const found: string[] = [];
      for await (const { key, bytes } of objectsOf(config)) if (finds(bytes)) found.push(key);
      return found;
    },
    async copyFor() {
      const copy = inBucket(s3);
      const to = await openS3({ ...config, prefix: copy.env.DATASET_URL!.split("/").at(-1)! });
      for await (const { key, bytes } of objectsOf(config)) await to.put(key, bytes);
      to.close();
      return copy;
    },
  };
}

/** Undefined where there is no dataset yet. */
async function reading<T>(
  objects: ObjectsConfig,
  read: (reader: DatasetReader) => Promise<T>,
): Promise<T | undefined> {
  for (let left = READINGS_MAX;; left--) {
    let reader: DatasetReader | null = null;
    try {
      reader = await openReader({ datasetDir: "", objects });
      return await read(reader);
    } catch (error) {
      if (!(error instanceof DatasetReadError)) throw error;
      if (reader === null && /none has been written there/.test(error.message)) return undefined;
      // Another build, or an erasure, has come meanwhile: that one is read.
      if (left === 0 || !(error instanceof DatasetReplacedError || reader?.isReplaced())) throw error;
    } finally {
      reader?.close();
    }
  }
}

async function filesOf(reader: DatasetReader): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for (const path of pathsOf(reader)) {
    const opened = await reader.open(path);
    if (opened === null) continue;
    const decoder = new TextDecoder();
    let text = "";
    for await (const block of opened.blocks()) text += decoder.decode(block, { stream: true });
    const { partition, fileNumber: firstOffset } = parseDatasetPath(path)!;
    const number = String(Math.floor(firstOffset / OFFSETS_PER_FILE)).padStart(4, "0");
    const file = `${path.slice(0, path.lastIndexOf("/"))}/${partitionPrefix(partition)}-${number}.jsonl`;
    files.set(file, (files.get(file) ?? "") + text);
  }
  return files;
}

async function* objectsOf(config: ObjectsConfig) {
  const store = await openS3(config);
  try {
    const keys = await Array.fromAsync(store.list(""), ({ key }) => key);
    for (const key of keys) {
      const bytes = await store.get(key);
      if (bytes !== null) yield { key, bytes };
    }
  } finally {
    store.close();
  }
}

/** Of every file. */
export async function linesAt(place: DatasetPlace): Promise<Line[]> {
  return [...(await place.files()).values()].flatMap((text) =>
    text.split("\n").filter(Boolean).map((line) => JSON.parse(line))
  );
}
