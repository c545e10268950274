import type { DatasetListing, DatasetPage, PipelineStatus } from "../../../contract/processor_api.ts";
import { newestFirst, parseDatasetPath } from "../core/path.ts";
import { SANITISER_VERSION } from "../../sanitise/version.ts";
import type { MinuteCount } from "../core/received.ts";
import type { FileEntries, FileEntry, PartitionManifest } from "../store.ts";
import { type DatasetFigures, figuresOf } from "./figures.ts";
import { type CurrentDataset, type DatasetReader, known, snapshotsOf } from "./reader.ts";
import { entryIn, type PartitionSnapshot } from "./snapshot.ts";

/** The dataset as its manifests have it, for readers beside the writers: no lock, and never a byte beyond a manifest. */

/** Files of a dataset partition that a page names, the newest; its count has all. */
const PATHS_PER_PAGE_ROW_MAX = 24;
/** A replay may put another tree in the place of the one that is being read, and remove that. */
const ATTEMPTS = 3;

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
  #last: Look | null = null;

  constructor(private readonly dataset: CurrentDataset) {}

  /** As {@link CurrentDataset.problem}. */
  problem(): string | null {
    return this.dataset.problem();
  }

  /** Counts over all files. */
  async totals(): Promise<Sums> {
    return sumOf((await this.#snapshots()).map(totalsOf));
  }

  /** What became of the topic's records, by the manifests; `uncounted` are those that an earlier version wrote. */
  async outcomes(): Promise<Omit<NonNullable<PipelineStatus["outcomes"]>, "letters">> {
    const sum = { records: 0, lines: 0, duplicates: 0, deadLetters: 0, others: 0, uncounted: 0 };
    let taken = 0;
    for (const { manifest } of await this.#snapshots()) {
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
  async handled(): Promise<ReadonlyMap<number, HandledPartition>> {
    return new Map((await this.#snapshots()).flatMap(({ partition, manifest }) => {
      if (manifest === null) return [];
      const { firstOffset, nextOffset, last, received } = manifest;
      const known = received?.to === nextOffset ? received : { from: nextOffset, minutes: [] };
      return [[partition, { nextOffset, last, isWhole: known.from === firstOffset, minutes: known.minutes }]];
    }));
  }

  /** What all lines come to. */
  async figures(): Promise<DatasetFigures> {
    const look = (await this.#look())?.look;
    return look === undefined ? figuresOf([]) : look.figures ??= figuresOf(look.snapshots);
  }

  /** Of all events together: the newest dates that have lines, the oldest first. */
  async days(daysMax: number): Promise<readonly Pick<Row, "date" | "records" | "placeholders">[]> {
    const look = (await this.#look())?.look;
    const days: Row[] = [];
    for (const key of look === undefined ? [] : keysOf(look).toReversed()) {
      const row = rowOf(look!, key);
      if (row.files === 0) continue;
      const last = days.at(-1);
      if (last?.date === row.date) addRow(last, row);
      else if (days.length === daysMax) break;
      else days.push(row);
    }
    return days.reverse();
  }

  /** Dataset partitions by date and event, the newest date first. */
  async page({ limit, before, after }: PageQuery): Promise<DatasetPage> {
    const sanitiserVersion = SANITISER_VERSION;
    const found = await this.#look();
    if (found === null) return { sanitiserVersion, ...sumOf([]), partitions: [], older: null, newer: null };
    const { look, reader } = found;
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
      sanitiserVersion,
      ...sumOf(look.snapshots.map(totalsOf)),
      partitions: partitions.map((row) => ({ ...row, paths: newestOfRow(row.paths, reader) })),
      older: (after === null ? isMore : partitions.length > 0) ? keyOf(partitions.at(-1)!) : null,
      newer: (after === null ? before !== null : isMore) && partitions.length > 0
        ? keyOf(partitions[0]!)
        : null,
    };
  }

  /** All dataset partitions with all their files, by date and event. */
  async list(): Promise<DatasetListing> {
    const look = (await this.#look())?.look;
    const partitions = look === undefined
      ? []
      : keysOf(look).map((key) => rowOf(look, key)).filter(({ files }) => files > 0);
    return { ...sumOf(partitions), sanitiserVersion: SANITISER_VERSION, partitions };
  }

  async #snapshots(): Promise<readonly PartitionSnapshot[]> {
    return (await this.#look())?.look.snapshots ?? [];
  }

  /** Null where there is no dataset yet. Throws as {@link known}. */
  async #look(): Promise<{ readonly look: Look; readonly reader: DatasetReader } | null> {
    for (let attempt = 1;; attempt++) {
      const reader = await known(this.dataset);
      if (reader === null) return null;
      try {
        return { look: this.#lookAt(snapshotsOf(reader)), reader };
      } catch (error) {
        if (!reader.isReplaced() || attempt === ATTEMPTS) throw error;
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
function newestOfRow(paths: readonly string[], reader: DatasetReader): string[] {
  return newestFirst(paths).slice(0, PATHS_PER_PAGE_ROW_MAX)
    .map((path) => ({ path, at: reader.writtenAt(path) }))
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
