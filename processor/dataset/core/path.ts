import { idFromBody, orNull } from "../../../contract/envelope.ts";

/**
 * Where a line lies below DATASET_DIR: `event=<name>/date=<UTC day>/p<partition>-<file number>.jsonl`, Hive partitions
 * as DuckDB, pandas and Spark read them. A function of the record alone, so that a replay cuts at the same places.
 *
 * On object storage, in the same directories: `p<partition>-<first offset>-<commit>-<random>.jsonl`, packed with `.gz` or `.zst`.
 */

/** Offsets of one topic partition that share a file per dataset partition. */
export const OFFSETS_PER_FILE = 250_000;

/** Longest directory name of an event; file systems end at 255 bytes. */
const EVENT_DIRECTORY_BYTES_MAX = 200;
const encoder = new TextEncoder();
const DIRECTORY = /event=([A-Za-z0-9_%~-]{1,244})\/date=(\d{4}-\d\d-\d\d)/.source;
const PATH = new RegExp(`^${DIRECTORY}/p(\\d{5,16})-(\\d{4,16})\\.jsonl$`);
const OBJECT_PATH = new RegExp(
  `^${DIRECTORY}/p(\\d{5,16})-(\\d{20})-(\\d{20})-[0-9a-f]{16}\\.jsonl(?:\\.(gz|zst))?$`,
);

/** What a path says. `event` is as in the directory's name, decoded where it was not cut. */
export type DatasetPath = {
  readonly event: string;
  readonly date: string;
  readonly partition: number;
  /** Of an object its first offset: whichever it is, of one partition's paths the lower one holds the lower offsets. */
  readonly fileNumber: number;
  /** Number of the commit that may name this object; undefined for a file. */
  readonly commit?: number | undefined;
  /** How an object is packed; undefined for a file. */
  readonly compression?: Compression | undefined;
};

export type Compression = "none" | "gzip" | "zstd";

const SUFFIXES: Readonly<Record<Compression, string>> = { none: "", gzip: ".gz", zstd: ".zst" };

/** Number of the file that holds an offset's line: which 250,000 of the partition it lies in. */
export function fileNumberOf(offset: number): number {
  return Math.floor(offset / OFFSETS_PER_FILE);
}

/** `timestamp` is the line's, ISO 8601 in UTC, whose first ten characters are the day. */
export function datasetPath(
  event: string,
  { timestamp, partition, offset }: {
    readonly timestamp: string;
    readonly partition: number;
    readonly offset: number;
  },
): string {
  return `event=${encodeEventName(event)}/date=${timestamp.slice(0, 10)}/${partitionPrefix(partition)}-${
    String(fileNumberOf(offset)).padStart(4, "0")
  }.jsonl`;
}

/** `p00003`: begins the names of a partition's files and is its manifest's name. */
export function partitionPrefix(partition: number): string {
  return `p${String(partition).padStart(5, "0")}`;
}

/** Where the manifest of a partition lies in its tree. */
export function manifestPath(partition: number): string {
  return `_manifest/${partitionPrefix(partition)}.json`;
}

/** `event=…/date=…` of any path below the dataset. */
export function directoryOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}

/** `firstOffset`: none of its lines has a lower one. `random`: 16 hex digits, so that no two uploads meet. */
export function objectPath(
  directory: string,
  { partition, firstOffset, commit, random, compression }: {
    readonly partition: number;
    readonly firstOffset: number;
    readonly commit: number;
    readonly random: string;
    readonly compression: Compression;
  },
): string {
  const name = [partitionPrefix(partition), digits(firstOffset, 20), digits(commit, 20), random].join("-");
  return `${directory}/${name}.jsonl${SUFFIXES[compression]}`;
}

/** A number as names on object storage have it, so that they sort as numbers do. */
export function digits(value: number, count: 10 | 20): string {
  return String(value).padStart(count, "0");
}

/** The parts of a path that {@link datasetPath} or {@link objectPath} made; null for any other text, `..` among them. */
export function parseDatasetPath(path: string): DatasetPath | null {
  const match = PATH.exec(path) ?? OBJECT_PATH.exec(path);
  if (!match) return null;
  const parts = {
    event: orNull(() => decodeURIComponent(match[1]!)) ?? match[1]!,
    date: match[2]!,
    partition: Number(match[3]),
    fileNumber: Number(match[4]),
  };
  if (match.length === 5) return parts;
  const compression = match[6] === "gz" ? "gzip" : match[6] === "zst" ? "zstd" : "none";
  return { ...parts, commit: Number(match[5]), compression };
}

/** Paths with the newest lines first, as far as a path tells. */
export function newestFirst(paths: readonly string[]): readonly string[] {
  return paths.map(placeOf).sort((a, b) => isBefore(a, b) ? -1 : 1).map(({ path }) => path);
}

type Place = ReturnType<typeof placeOf>;

/** A path as {@link isBefore} orders it. */
export function placeOf(path: string) {
  return { ...parseDatasetPath(path)!, path };
}

/** True where the lines of the first are newer, as far as a path tells. */
export function isBefore(a: Place, b: Place): boolean {
  if (a.date !== b.date) return a.date > b.date;
  if (a.fileNumber !== b.fileNumber) return a.fileNumber > b.fileNumber;
  if (a.partition !== b.partition) return a.partition < b.partition;
  return a.path < b.path;
}

/**
 * An event name as part of a directory's name: every byte of its UTF-8 that is no letter, digit, `_` or `-` becomes
 * `%XX`. A name that would be longer than 200 bytes so is cut between two characters at 160 and ends in `~` and 32 hex
 * digits made of the SHA-256 of the whole name (those of {@link idFromBody}); `~` itself is always encoded, so no two
 * names meet.
 */
export function encodeEventName(event: string): string {
  if (/^[A-Za-z0-9_-]{1,200}$/.test(event)) return event;
  const parts = Array.from(event, encodeCharacter);
  const whole = parts.join("");
  if (whole.length <= EVENT_DIRECTORY_BYTES_MAX) return whole;
  let cut = "";
  for (const part of parts) {
    if (cut.length + part.length > 160) break;
    cut += part;
  }
  return `${cut}~${idFromBody(encoder.encode(event)).replaceAll("-", "")}`;
}

function encodeCharacter(character: string): string {
  if (/^[A-Za-z0-9_-]$/.test(character)) return character;
  let encoded = "";
  for (const byte of encoder.encode(character)) {
    encoded += `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return encoded;
}
