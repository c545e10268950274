import { join } from "node:path";
import { ifThere, isThere } from "../../../runtime/durable_file.ts";
import type {
  DatasetListing,
  DatasetPage,
  DatasetTail,
  PipelineStatus,
} from "../../../contract/processor_api.ts";
import { parseDatasetPath } from "../core/path.ts";
import { SANITISER_VERSION } from "../../sanitise/mod.ts";
import type { MinuteCount } from "../core/received.ts";
import type { FileEntries, FileEntry, PartitionManifest } from "../store.ts";
import { type DatasetFigures, figuresOf } from "./figures.ts";
import { linesBefore } from "./lines.ts";
import { manifestPartitions } from "./manifest.ts";
import { newestFirst } from "./search.ts";
import { entryIn, type PartitionSnapshot, SnapshotReader } from "./snapshot.ts";

/** The dataset as its manifests have it, for readers beside the writers: no lock, and never a byte beyond a manifest. */

/** Files of a dataset partition that a page names, the newest; its count has all. */
const PATHS_PER_PAGE_ROW_MAX = 24;
/** A replay may put another tree in the place of the one that is being read, and remove that. */
const ATTEMPTS = 3;

/** Counts per dataset partition, by event and date; empty where no writer has started yet. */
export function listDataset(datasetDir: string): DatasetListing {
  return new DatasetView(datasetDir).list();
}

/** As {@link DatasetView.tail}. */
export function tailDataset(
  datasetDir: string,
  wanted: { readonly file: string; readonly lines: number },
): DatasetTail | null {
  return new DatasetView(datasetDir).tail(wanted);
}

/** Which dataset partitions a page has: the newest, those older than `before`, or those right above `after`. */
export type PageQuery = {
  readonly limit: number;
  readonly before: string | null;
  readonly after: string | null;
};

/**
 * The dataset looked at again and again, by status and page: what has not changed since is not read anew, and totals cost
 * the manifests' entries, not those that are sealed.
 */
export class DatasetView {
  #reader: SnapshotReader | null = null;
  #last: Look | null = null;

  constructor(private readonly datasetDir: string) {}

  /** Counts over all files. */
  totals(): Sums {
    return this.#withTree(({ snapshots }) => sumOf(snapshots.map(totalsOf))) ?? sumOf([]);
  }

  /** What became of the topic's records, by the manifests; `uncounted` are those that an earlier version wrote. */
  outcomes(): Omit<NonNullable<PipelineStatus["outcomes"]>, "letters"> {
    const sum = { records: 0, lines: 0, duplicates: 0, deadLetters: 0, others: 0, uncounted: 0 };
    let taken = 0;
    for (const { manifest } of this.#withTree(({ snapshots }) => snapshots) ?? []) {
      if (manifest === null) continue;
      const { firstOffset, nextOffset, outcomes } = manifest;
      const known = outcomes?.to === nextOffset ? outcomes : null;
      sum.uncounted += (known?.from ?? nextOffset) - firstOffset;
      if (known === null) continue;
      for (const kind of ["lines", "duplicates", "deadLetters", "others"] as const) {
        sum[kind] += known[kind];
        sum.records += known[kind];
      }
      taken += known.taken ?? 0;
    }
    return taken > 0 ? { ...sum, taken } : sum;
  }

  /** How far each partition is handled, and when what is handled was received; by partition. */
  handled(): ReadonlyMap<number, HandledPartition> {
    const snapshots = this.#withTree(({ snapshots }) => snapshots) ?? [];
    return new Map(snapshots.flatMap(({ partition, manifest }) => {
      if (manifest === null) return [];
      const { firstOffset, nextOffset, last, received } = manifest;
      const known = received?.to === nextOffset ? received : { from: nextOffset, minutes: [] };
      return [[partition, { nextOffset, last, isWhole: known.from === firstOffset, minutes: known.minutes }]];
    }));
  }

  /** What all lines come to. */
  figures(): DatasetFigures {
    return this.#withTree((look) => look.figures ??= figuresOf(look.snapshots)) ?? figuresOf([]);
  }

  /** Of all events together: the newest dates that have lines, the oldest first. */
  days(daysMax: number): readonly Pick<Row, "date" | "records" | "placeholders">[] {
    return this.#withTree((look) => {
      const days: Row[] = [];
      for (const key of keysOf(look).toReversed()) {
        const row = rowOf(look, key);
        if (row.files === 0) continue;
        const last = days.at(-1);
        if (last?.date === row.date) addRow(last, row);
        else if (days.length === daysMax) break;
        else days.push(row);
      }
      return days.reverse();
    }) ?? [];
  }

  /** Dataset partitions by date and event, the newest date first. */
  page({ limit, before, after }: PageQuery): DatasetPage {
    const found = this.#withTree((look, { root }) => {
      const keys = keysOf(look);
      const rows: Row[] = [];
      // One more than asked for tells whether there are others.
      const step = after === null ? -1 : 1;
      let at = after !== null ? above(keys, after) : (before !== null ? from(keys, before) : keys.length) - 1;
      for (; at >= 0 && at < keys.length && rows.length <= limit; at += step) {
        const row = rowOf(look, keys[at]!);
        if (row.files > 0) rows.push(row);
      }
      const isMore = rows.length > limit;
      const partitions = rows.slice(0, limit);
      if (after !== null) partitions.reverse();
      return {
        ...sumOf(look.snapshots.map(totalsOf)),
        partitions: partitions.map((row) => ({ ...row, paths: newestOfRow(row.paths, root) })),
        older: (after === null ? isMore : partitions.length > 0) ? keyOf(partitions.at(-1)!) : null,
        newer: (after === null ? before !== null : isMore) && partitions.length > 0
          ? keyOf(partitions[0]!)
          : null,
      };
    });
    const none = { ...sumOf([]), partitions: [], older: null, newer: null };
    return { sanitiserVersion: SANITISER_VERSION, ...found ?? none };
  }

  /** All dataset partitions with all their files, by date and event. */
  list(): DatasetListing {
    const partitions =
      this.#withTree((look) =>
        keysOf(look).map((key) => rowOf(look, key)).filter(({ files }) => files > 0)
      ) ?? [];
    return { ...sumOf(partitions), sanitiserVersion: SANITISER_VERSION, partitions };
  }

  /** The last lines of a file, whole and oldest first; null where the manifests don't name it. `lines` from 1. */
  tail({ file, lines }: { readonly file: string; readonly lines: number }): DatasetTail | null {
    const path = parseDatasetPath(file);
    if (!path) return null;
    return this.#withTree((_, reader) => {
      const entry = entryIn(reader.read(path.partition), file);
      return entry ? readTail(join(reader.root, file), { file, lines, entry }) : null;
    });
  }

  #withTree<T>(look: (at: Look, reader: SnapshotReader) => T): T | null {
    for (let attempt = 1;; attempt++) {
      const root = ifThere(() => Deno.realPathSync(this.datasetDir));
      if (root === null || !isThere(join(root, "_manifest"))) return null;
      if (this.#reader?.root !== root) this.#reader = new SnapshotReader(root);
      const reader = this.#reader;
      try {
        return look(this.#lookAt(manifestPartitions(root).map((one) => reader.read(one))), reader);
      } catch (error) {
        const isGoing = error instanceof Deno.errors.NotFound ||
          ifThere(() => Deno.realPathSync(this.datasetDir)) !== root;
        if (!isGoing || attempt === ATTEMPTS) throw error;
      }
    }
  }

  /** The same as the last where no snapshot is another one. */
  #lookAt(snapshots: readonly PartitionSnapshot[]): Look {
    const last = this.#last?.snapshots;
    if (last?.length === snapshots.length && last.every((one, n) => one === snapshots[n])) return this.#last!;
    return this.#last = { snapshots, keys: null, figures: null };
  }
}

/** `isWhole`: all records of the dataset's were counted; else those alone that came after the oldest minute. */
export type HandledPartition = Pick<PartitionManifest, "nextOffset" | "last"> & {
  readonly isWhole: boolean;
  readonly minutes: readonly MinuteCount[];
};

type Row = DatasetListing["partitions"][number];
type Sums = { readonly records: number; readonly bytes: number; readonly files: number };
/** Keys of the dataset partitions, ascending, and what all comes to: once somebody has asked for them. */
type Look = {
  readonly snapshots: readonly PartitionSnapshot[];
  keys: readonly string[] | null;
  figures: DatasetFigures | null;
};

/** What entries come to; made once for entries that stay the same object, as sealed ones do. */
type Summary = { readonly totals: Sums; readonly paths: ReadonlyMap<string, readonly string[]> };
const summaries = new WeakMap<FileEntries, Summary>();

function summaryOf(entries: FileEntries): Summary {
  const known = summaries.get(entries);
  if (known) return known;
  const paths = new Map<string, string[]>();
  for (const path of Object.keys(entries)) {
    const key = keyOf(parseDatasetPath(path)!);
    const those = paths.get(key);
    if (those) those.push(path);
    else paths.set(key, [path]);
  }
  const summary = { totals: sumOf(Object.values(entries).map(countsOf)), paths };
  summaries.set(entries, summary);
  return summary;
}

/** Those that go before the sealed ones. */
function newestOf({ manifest }: PartitionSnapshot): readonly FileEntries[] {
  return manifest ? [manifest.files, ...(manifest.erasing ? [manifest.erasing.files] : [])] : [];
}

function totalsOf(snapshot: PartitionSnapshot): Sums {
  const newest = new Set(newestOf(snapshot).flatMap((entries) => Object.keys(entries)));
  const changes = [...newest].flatMap((path) => {
    const sealed = snapshot.sealed[path];
    return [countsOf(entryIn(snapshot, path)!), ...(sealed ? [negative(countsOf(sealed))] : [])];
  });
  return sumOf([summaryOf(snapshot.sealed).totals, ...changes]);
}

function keysOf(look: Look): readonly string[] {
  return look.keys ??= [
    ...new Set(
      look.snapshots.flatMap((snapshot) =>
        [snapshot.sealed, ...newestOf(snapshot)].flatMap((entries) => [...summaryOf(entries).paths.keys()])
      ),
    ),
  ].sort();
}

function rowOf({ snapshots }: Look, key: string): Row {
  const row: Row = {
    event: key.slice(11),
    date: key.slice(0, 10),
    records: 0,
    bytes: 0,
    files: 0,
    placeholders: {},
    paths: [],
  };
  for (const snapshot of snapshots) {
    const groups = [snapshot.sealed, ...newestOf(snapshot)];
    const paths = new Set(groups.flatMap((entries) => summaryOf(entries).paths.get(key) ?? []));
    for (const path of paths) {
      const entry = entryIn(snapshot, path)!;
      if (entry.records === 0) continue;
      row.records += entry.records;
      row.bytes += entry.bytes;
      row.files++;
      row.paths.push(path);
      for (const [entity, count] of Object.entries(entry.placeholders)) {
        row.placeholders[entity] = (row.placeholders[entity] ?? 0) + count;
      }
    }
  }
  row.paths.sort();
  return row;
}

function addRow(sum: Row, row: Row): void {
  sum.records += row.records;
  for (const [entity, count] of Object.entries(row.placeholders)) {
    sum.placeholders[entity] = (sum.placeholders[entity] ?? 0) + count;
  }
}

/** The files with the highest numbers, and of these the one first that was written last. */
function newestOfRow(paths: readonly string[], root: string): string[] {
  return newestFirst(paths).slice(0, PATHS_PER_PAGE_ROW_MAX)
    .map((path) => ({ path, at: ifThere(() => Deno.statSync(join(root, path)))?.mtime?.getTime() ?? 0 }))
    .sort((a, b) => b.at - a.at)
    .map(({ path }) => path);
}

/** Text that sorts by date and event; what pages go on from. */
function keyOf({ date, event }: { readonly date: string; readonly event: string }): string {
  return `${date}/${event}`;
}

/** Where the first key stands that is not below this one. */
function from(keys: readonly string[], key: string): number {
  const found = keys.findIndex((one) => one >= key);
  return found < 0 ? keys.length : found;
}

function above(keys: readonly string[], key: string): number {
  const at = from(keys, key);
  return keys[at] === key ? at + 1 : at;
}

function countsOf({ records, bytes }: FileEntry): Sums {
  return records === 0 ? { records: 0, bytes: 0, files: 0 } : { records, bytes, files: 1 };
}

function negative({ records, bytes, files }: Sums): Sums {
  return { records: -records, bytes: -bytes, files: -files };
}

function sumOf(all: readonly Sums[]): Sums {
  const sum = { records: 0, bytes: 0, files: 0 };
  for (const { records, bytes, files } of all) {
    sum.records += records;
    sum.bytes += bytes;
    sum.files += files;
  }
  return sum;
}

function readTail(
  whole: string,
  { file, lines, entry }: { readonly file: string; readonly lines: number; readonly entry: FileEntry },
): DatasetTail {
  const opened = Deno.openSync(whole, { read: true });
  try {
    // An erasure may be about to put a shorter file here, or has just done it.
    const end = Math.min(entry.bytes, opened.statSync().size);
    const found = linesBefore(opened, { end, lines });
    const { records } = entry;
    return { file, records, bytes: entry.bytes, lines: found, firstLine: records - found.length + 1 };
  } finally {
    opened.close();
  }
}
