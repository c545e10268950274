import { createHash, type Hash } from "node:crypto";
import { DATASET_WRITER_GROUP, WEBHOOKS_TOPIC } from "../../contract/names.ts";
import {
  elsewhere,
  erasedLater,
  type ErasedSubjects,
  joinErased,
  NOBODY,
  withErasure,
} from "../../processor/record/erasure.ts";
import { DeadLetterIndex } from "../../processor/dead_letters/mod.ts";
import {
  type AdoptedCount,
  type DatasetTree,
  type FileAddition,
  type FileSizes,
  manifestPath,
  MovedIdsReader,
  parseDatasetPath,
  PartitionBuild,
  type PartitionManifest,
  type PartitionStore,
  type StoredDataset,
} from "../../processor/dataset/mod.ts";
import {
  type DatasetFilesNow,
  FileComparison,
  type FileDifference,
  type FileSide,
  grouped,
  groupOf,
  hasObjects,
  lineHash,
} from "./changes.ts";
import type { DatasetHome, ReplayDependencies } from "./home.ts";
import { ReplayLetters } from "./letters.ts";
import { fromManifest, type LivePartition, rangeOf, refuseMadeAgain } from "./live.ts";
import { refuseBeyondEnd } from "./rebuild.ts";
import { addRecords } from "./progress.ts";
import { firstLook, type PartitionRange, TopicScan } from "./scan.ts";
import type { ReplayResult } from "./tree.ts";
import { CommandFailedError } from "../command.ts";

/**
 * Compares the live dataset with what a replay up to its next offsets gives: SHA-256 of every file. Nothing is written;
 * what the lines of a file add up to is kept until no line can come to it any more, which bounds the memory by the lines
 * of 250,000 offsets of each partition (8 bytes each). Of a dataset on object storage it is kept to the end: 8 bytes a line.
 */

/** What a check found; the live dataset is as a replay would make it where `differences` is empty. */
export type CheckResult = ReplayResult & { readonly differences: readonly FileDifference[] };

/**
 * Rebuilds the lines in memory and compares them with the files, which stay as they are. Throws {@link
 * CommandFailedError} where there is no dataset, or a manifest is gone.
 */
export async function checkDataset(deps: ReplayDependencies): Promise<CheckResult> {
  const { log, home, progress } = deps;
  const dataset = await datasetToCheck(home);
  const committed = await log.committed(WEBHOOKS_TOPIC, DATASET_WRITER_GROUP);
  const bounds = await log.bounds(WEBHOOKS_TOPIC);
  const snapshot = (await Promise.all(bounds.map(async ({ partition, startOffset }) => {
    const found = await dataset.snapshot(partition);
    if (found !== null) return [{ live: fromManifest(found.manifest, partition), files: found.files }];
    // Whoever has committed has written a manifest before.
    if ((committed[partition] ?? 0) > startOffset) throw lostManifest(dataset, partition);
    return [];
  }))).flat();
  const tree = await dataset.tree();
  const counts = tree.counts();
  const ranges = snapshot.map(({ live }) => rangeOf(live));
  await refuseBeyondEnd(log, ranges);
  await refuseMadeAgain(dataset, { log, partitions: snapshot.map(({ live }) => live) });
  await refuseDropped(deps, ranges);
  const letters = new ReplayLetters(new DeadLetterIndex(log));
  await letters.catchUp(snapshot.map(({ live }) => live));
  const scan = new TopicScan(log, letters.unreadable);
  const { records, letters: known } = await firstLook(scan, {
    ranges,
    inTime: () => true,
    hasLetter: (partition, offset) => letters.has(partition, offset),
    progress,
  });
  refuseErasures(snapshot, { scan, tree });

  const comparison = new FileComparison();
  progress.begin("checking", { records });
  const movedIds = new MovedIdsReader(log, deps.dedupWindow);
  const sides = await Promise.all(
    snapshot.map(async ({ live: { partition, counts: adopted }, files }, n) => {
      const { from, until } = ranges[n]!;
      const own = scan.erasuresIn(partition).reduce<ErasedSubjects>(withErasure, new Map());
      const erased = joinErased(
        joinErased(own, scan.erasedElsewhere(partition)),
        elsewhere(tree.erasedIn(partition)),
      );
      const store = new SummingStore({ live: { dataset, files }, erased, from, comparison });
      const build = await PartitionBuild.open(partition, {
        store,
        counts: { counts, adopted },
        context: {
          ...deps,
          movedIds,
          letters,
          inTime: () => true,
          gapsAllowed: false,
          handled: (records) => addRecords(progress, records),
        },
      });
      await build.extend(until);
      await store.finish();
      return store.manifest.letters.length;
    }),
  );
  progress.end();
  const partitions = comparison.rows.inOrder();
  return {
    records,
    lines: partitions.reduce((sum, { after }) => sum + after, 0),
    deadLetters: sides.reduce((sum, own) => sum + own, known),
    partitions,
    differences: comparison.differences.sort((a, b) => a.path < b.path ? -1 : 1),
  };
}

/** The live dataset. Throws {@link CommandFailedError} where there is none. */
export async function datasetToCheck(home: DatasetHome): Promise<StoredDataset> {
  const dataset = await home.live();
  if (dataset !== null) return dataset;
  throw new CommandFailedError(`Cannot check: there is no dataset at "${home.place}".`);
}

function lostManifest({ place }: StoredDataset, partition: number): CommandFailedError {
  return new CommandFailedError(
    `Cannot confirm the dataset: "${place}/${
      manifestPath(partition)
    }" is missing, and the group has written that ` +
      "partition. Rebuild it with `deno task replay`.",
  );
}

async function refuseDropped(
  { log }: ReplayDependencies,
  ranges: readonly PartitionRange[],
): Promise<void> {
  const bounds = await log.bounds(WEBHOOKS_TOPIC);
  for (const { partition, from, until } of ranges) {
    const { startOffset } = bounds[partition]!;
    if (startOffset <= from || from === until) continue;
    throw new CommandFailedError(
      `Cannot check partition ${partition}: the dataset begins at offset ${from} and the topic at ${startOffset}; ` +
        "its retention has dropped what lay before.",
    );
  }
}

/** Between an erasure's record and its end the live files may or may not have the lines that it takes out. */
function refuseErasures(
  snapshot: readonly { readonly live: LivePartition; readonly files: FileSizes }[],
  { scan, tree }: { readonly scan: TopicScan; readonly tree: DatasetTree },
): void {
  for (const { live: { partition, erasing, nextOffset }, files } of snapshot) {
    const others = erasedLater(scan.erasedElsewhere(partition), tree.erasedIn(partition));
    if (others.size > 0 && Object.keys(files).length > 0) {
      throw new CommandFailedError(
        `Cannot check partition ${partition}: an erasure whose records lie in other partitions only has not come to ` +
          "its end in the dataset. Run the check again once the processor has caught up.",
      );
    }
    const waiting = scan.erasuresIn(partition).find(({ offset }) => offset >= nextOffset);
    if (!erasing && !waiting) continue;
    const where = waiting ? ` (offset ${waiting.offset})` : "";
    throw new CommandFailedError(
      `Cannot check partition ${partition}: an erasure${where} has not come to ` +
        "its end in the dataset. Run the check again once the processor has caught up.",
    );
  }
}

/** What the lines of one file add up to. */
type Sum = { readonly sha: Hash; records: number; lines: BigUint64Array };

/** Takes what a build writes and keeps nothing of it but its sums. */
class SummingStore implements PartitionStore {
  manifest: PartitionManifest;
  readonly erased: ErasedSubjects;
  readonly unswept = NOBODY;
  /** By the path of a file, or by partition, day and event where there are objects: these end where a writer was. */
  readonly #live: ReadonlyMap<string, FileSide>;
  readonly #hasObjects: boolean;
  readonly #comparison: FileComparison;
  readonly #open = new Map<string, Sum>();
  readonly #settled = new Set<string>();

  constructor(
    { live, erased, from, comparison }: {
      readonly live: DatasetFilesNow;
      readonly erased: ErasedSubjects;
      readonly from: number;
      readonly comparison: FileComparison;
    },
  ) {
    this.manifest = { firstOffset: from, nextOffset: from, files: {}, letters: [] };
    this.erased = erased;
    this.#hasObjects = hasObjects(live);
    this.#live = grouped(live, (path) => this.#nameOf(path));
    this.#comparison = comparison;
  }

  get durableOffset(): number {
    return this.manifest.nextOffset;
  }

  take(): Promise<void> {
    return Promise.resolve();
  }

  flush(): Promise<void> {
    return Promise.resolve();
  }

  published(): void {}

  recover(): Promise<void> {
    return Promise.resolve();
  }

  /** A chunk holds lines of one file number: those below are complete. */
  async intend(paths: readonly string[]): Promise<void> {
    const [first] = paths;
    if (first === undefined || this.#hasObjects) return;
    const { fileNumber } = parseDatasetPath(first)!;
    for (const path of this.#open.keys()) {
      if (parseDatasetPath(path)!.fileNumber < fileNumber) await this.#settle(path);
    }
  }

  recordsIn(): number {
    return 0;
  }

  append(additions: ReadonlyMap<string, FileAddition>): void {
    for (const [path, { text }] of additions) {
      const name = this.#nameOf(path);
      let sum = this.#open.get(name);
      if (!sum) {
        this.#open.set(name, sum = { sha: createHash("sha256"), records: 0, lines: new BigUint64Array(64) });
      }
      for (const piece of text) addLines(sum, piece);
    }
  }

  sync(): Promise<void> {
    return Promise.resolve();
  }

  advance({ nextOffset, letters }: Parameters<PartitionStore["advance"]>[0]): Promise<void> {
    this.manifest = { ...this.manifest, nextOffset, letters };
    return Promise.resolve();
  }

  erase(): Promise<void> {
    return Promise.reject(new Error("Cannot erase in a check: every erasure was known before."));
  }

  learn(): void {}

  sweep(): Promise<void> {
    return Promise.resolve();
  }

  adopt(counts: readonly AdoptedCount[]): Promise<void> {
    this.manifest = { ...this.manifest, counts: [...this.manifest.counts ?? [], ...counts] };
    return Promise.resolve();
  }

  loadWindow() {
    return null;
  }

  saveWindow(): void {}

  close(): void {}

  /** Settles what is left, and what only the live dataset has. */
  async finish(): Promise<void> {
    for (const name of this.#open.keys()) await this.#settle(name);
    for (const [name, before] of this.#live) {
      if (before.records > 0 && !this.#settled.has(name)) {
        await this.#comparison.add(name, { before, after: null });
      }
    }
  }

  #nameOf(path: string): string {
    return this.#hasObjects ? groupOf(path) : path;
  }

  async #settle(name: string): Promise<void> {
    const { sha, records, lines } = this.#open.get(name)!;
    this.#open.delete(name);
    this.#settled.add(name);
    const after: FileSide = {
      records,
      sha256: () => Promise.resolve(sha.digest("hex")),
      lineHashes: () => Promise.resolve(lines.slice(0, records)),
    };
    await this.#comparison.add(name, { before: this.#live.get(name) ?? null, after });
  }
}

/** Whole lines. */
function addLines(sum: Sum, text: Uint8Array): void {
  sum.sha.update(text);
  for (const line of decoder.decode(text).split("\n").slice(0, -1)) addLine(sum, line);
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** `line` without its line feed. */
function addLine(sum: Sum, line: string): void {
  if (sum.records === sum.lines.length) {
    const lines = new BigUint64Array(sum.lines.length * 2);
    lines.set(sum.lines);
    sum.lines = lines;
  }
  sum.lines[sum.records++] = lineHash(line);
}
