import { createHash, type Hash } from "node:crypto";
import { join } from "node:path";
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
  type FileEntries,
  findRoot,
  manifestPath,
  MovedIdsReader,
  parseDatasetPath,
  PartitionBuild,
  type PartitionManifest,
  type PartitionStore,
  readSnapshot,
  treeAt,
} from "../../processor/dataset/mod.ts";
import { FileComparison, type FileDifference, type FileSide, fileSide, lineHash } from "./changes.ts";
import { ReplayLetters } from "./letters.ts";
import { fromManifest, type LivePartition, rangeOf, refuseMadeAgain } from "./live.ts";
import { refuseBeyondEnd, type ReplayDependencies } from "./rebuild.ts";
import { addRecords } from "./progress.ts";
import { firstLook, type PartitionRange, TopicScan } from "./scan.ts";
import type { ReplayResult } from "./tree.ts";
import { CommandFailedError } from "../command.ts";

/**
 * Compares the live dataset with what a replay up to its next offsets gives: SHA-256 of every file. Nothing is written;
 * what the lines of a file add up to is kept until no line can come to it any more, which bounds the memory by the lines
 * of 250,000 offsets of each partition (8 bytes each).
 */

/** What a check found; the live dataset is as a replay would make it where `differences` is empty. */
export type CheckResult = ReplayResult & { readonly differences: readonly FileDifference[] };

/**
 * Rebuilds the lines in memory and compares them with the files, which stay as they are. Throws {@link
 * CommandFailedError} where there is no dataset, or a manifest is gone.
 */
export async function checkDataset(deps: ReplayDependencies): Promise<CheckResult> {
  const { log, datasetDir, progress } = deps;
  const root = rootToCheck(datasetDir);
  const committed = await log.committed(WEBHOOKS_TOPIC, DATASET_WRITER_GROUP);
  const snapshot = (await log.bounds(WEBHOOKS_TOPIC)).flatMap(({ partition, startOffset }) => {
    const { manifest, entries } = readSnapshot(root, partition);
    if (manifest !== null) return [{ live: fromManifest(manifest, partition), entries }];
    // Whoever has committed has written a manifest before.
    if ((committed[partition] ?? 0) > startOffset) throw lostManifest(root, partition);
    return [];
  });
  const tree = treeAt(root);
  const counts = tree.counts();
  const ranges = snapshot.map(({ live }) => rangeOf(live));
  await refuseBeyondEnd(log, ranges);
  await refuseMadeAgain(root, { log, partitions: snapshot.map(({ live }) => live) });
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
    snapshot.map(async ({ live: { partition, counts: adopted }, entries }, n) => {
      const { from, until } = ranges[n]!;
      const own = scan.erasuresIn(partition).reduce<ErasedSubjects>(withErasure, new Map());
      const erased = joinErased(
        joinErased(own, scan.erasedElsewhere(partition)),
        elsewhere(tree.erasedIn(partition)),
      );
      const store = new SummingStore(root, { entries, erased, from, comparison });
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

/** Where the live dataset lies. Throws {@link CommandFailedError} where there is none. */
export function rootToCheck(datasetDir: string): string {
  const root = findRoot(datasetDir);
  if (root !== null) return root;
  throw new CommandFailedError(`Cannot check: there is no dataset at "${datasetDir}".`);
}

function lostManifest(root: string, partition: number): CommandFailedError {
  const path = join(root, manifestPath(partition));
  return new CommandFailedError(
    `Cannot confirm the dataset: "${path}" is missing, and the group has written that ` +
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
  snapshot: readonly { readonly live: LivePartition; readonly entries: FileEntries }[],
  { scan, tree }: { readonly scan: TopicScan; readonly tree: DatasetTree },
): void {
  for (const { live: { partition, erasing, nextOffset }, entries } of snapshot) {
    const others = erasedLater(scan.erasedElsewhere(partition), tree.erasedIn(partition));
    if (others.size > 0 && Object.keys(entries).length > 0) {
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
  readonly #entries: FileEntries;
  readonly #comparison: FileComparison;
  readonly #open = new Map<string, Sum>();
  readonly #settled = new Set<string>();

  constructor(
    private readonly root: string,
    { entries, erased, from, comparison }: {
      readonly entries: FileEntries;
      readonly erased: ErasedSubjects;
      readonly from: number;
      readonly comparison: FileComparison;
    },
  ) {
    this.manifest = { firstOffset: from, nextOffset: from, files: {}, letters: [] };
    this.erased = erased;
    this.#entries = entries;
    this.#comparison = comparison;
  }

  recover(): Promise<void> {
    return Promise.resolve();
  }

  /** A chunk holds lines of one file number: those below are complete. */
  async intend(paths: readonly string[]): Promise<void> {
    const [first] = paths;
    if (first === undefined) return;
    const { fileNumber } = parseDatasetPath(first)!;
    for (const path of this.#open.keys()) {
      if (parseDatasetPath(path)!.fileNumber < fileNumber) await this.#settle(path);
    }
  }

  recordsIn(): number {
    return 0;
  }

  append(additions: ReadonlyMap<string, FileAddition>): void {
    for (const [path, { lines }] of additions) {
      let sum = this.#open.get(path);
      if (!sum) {
        this.#open.set(path, sum = { sha: createHash("sha256"), records: 0, lines: new BigUint64Array(64) });
      }
      for (const line of lines) addLine(sum, line);
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
    for (const path of this.#open.keys()) await this.#settle(path);
    for (const [path, { bytes }] of Object.entries(this.#entries)) {
      if (bytes > 0 && !this.#settled.has(path)) {
        await this.#comparison.add(path, { before: this.#live(path), after: null });
      }
    }
  }

  async #settle(path: string): Promise<void> {
    const { sha, records, lines } = this.#open.get(path)!;
    this.#open.delete(path);
    this.#settled.add(path);
    const after: FileSide = {
      records,
      sha256: () => Promise.resolve(sha.digest("hex")),
      lineHashes: () => Promise.resolve(lines.slice(0, records)),
    };
    await this.#comparison.add(path, { before: this.#live(path), after });
  }

  #live(path: string): FileSide | null {
    const entry = this.#entries[path];
    return entry ? fileSide(join(this.root, path), entry) : null;
  }
}

/** With its line feed. */
function addLine(sum: Sum, line: string): void {
  sum.sha.update(line);
  if (sum.records === sum.lines.length) {
    const lines = new BigUint64Array(sum.lines.length * 2);
    lines.set(sum.lines);
    sum.lines = lines;
  }
  sum.lines[sum.records++] = lineHash(line.slice(0, -1));
}
