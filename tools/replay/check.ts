import { createHash, type Hash } from "node:crypto";
import { join } from "node:path";
import { DATASET_WRITER_GROUP, WEBHOOKS_TOPIC } from "../../contract/names.ts";
import { manifestPaths } from "../../processor/dataset/files/manifest.ts";
import { findRoot } from "../../processor/dataset/files/dataset.ts";
import { parseDatasetPath } from "../../processor/dataset/core/path.ts";
import { type ErasedSubjects, withErasure } from "../../processor/record/erasure.ts";
import { DeadLetterIndex } from "../../processor/dead_letters/mod.ts";
import type {
  FileAddition,
  FileEntries,
  PartitionManifest,
  PartitionStore,
} from "../../processor/dataset/store.ts";
import { CommandFailedError } from "../../runtime/command_failed_error.ts";
import { blocksOf } from "../../processor/dataset/files/reader.ts";
import { PartitionBuild } from "./build.ts";
import { lineHash, lineHashesOf, missingLines, PartitionRows } from "./changes.ts";
import { ReplayLetters } from "./letters.ts";
import { type LivePartition, snapshotOf } from "./live.ts";
import { refuseBeyondEnd, type ReplayDependencies } from "./rebuild.ts";
import { createCount, TopicScan } from "./scan.ts";
import type { ReplayResult } from "./tree.ts";

/**
 * Compares the live dataset with what a replay up to its next offsets gives: SHA-256 of every file. Nothing is written;
 * what the lines of a file add up to is kept until no line can come to it any more, which bounds the memory by the lines
 * of 250,000 offsets of each partition (8 bytes each).
 */

/** A file that is not as a replay makes it; null where one side has none of it. */
export type FileDifference = {
  readonly path: string;
  readonly live: string | null;
  readonly replayed: string | null;
};

export type CheckResult = ReplayResult & { readonly differences: readonly FileDifference[] };

export async function checkDataset(deps: ReplayDependencies): Promise<CheckResult> {
  const { log, datasetDir, progress } = deps;
  const root = findRoot(datasetDir);
  if (root === null) throw new CommandFailedError(`Cannot check: there is no dataset at "${datasetDir}".`);
  const committed = await log.committed(WEBHOOKS_TOPIC, DATASET_WRITER_GROUP);
  const snapshot = (await log.bounds(WEBHOOKS_TOPIC)).flatMap(({ partition, startOffset }) => {
    const { live, entries } = snapshotOf(root, partition);
    if (live !== null) return [{ live, entries }];
    // Whoever has committed has written a manifest before.
    if ((committed[partition] ?? 0) > startOffset) throw lostManifest(root, partition);
    return [];
  });
  const ranges = snapshot.map(({ live: { partition, firstOffset: from, nextOffset: until } }) => ({
    partition,
    from,
    until,
  }));
  await refuseBeyondEnd(log, ranges);
  await refuseDropped(deps, ranges);
  const letters = new ReplayLetters(new DeadLetterIndex(log));
  await letters.catchUp(snapshot.map(({ live }) => live));
  const count = createCount(ranges, {
    inTime: () => true,
    hasLetter: (partition, offset) => letters.has(partition, offset),
  });
  const scan = new TopicScan(log);
  progress.begin("looking for erasures", { records: 0 });
  await scan.catchUp((record) => {
    count.look(record);
    progress.add({ records: 1, bytes: record.value.length });
  });
  progress.end();
  refuseErasures(snapshot, scan);

  const told = new Told();
  progress.begin("checking", { records: count.counted().records });
  const sides = await Promise.all(snapshot.map(async ({ live: { partition }, entries }, n) => {
    const { from, until } = ranges[n]!;
    const erased = scan.erasuresIn(partition).reduce<ErasedSubjects>(withErasure, new Map());
    const store = new SummingStore(root, { entries, erased, from, told });
    const build = await PartitionBuild.open(partition, {
      store,
      world: {
        ...deps,
        letters,
        inTime: () => true,
        gapsAllowed: false,
        handled: (records) =>
          progress.add({
            records: records.length,
            bytes: records.reduce((sum, one) => sum + one.value.length, 0),
          }),
      },
    });
    await build.extend(until);
    await store.finish();
    return store.manifest.letters.length;
  }));
  progress.end();
  const { records, letters: known } = count.counted();
  const partitions = told.rows.inOrder();
  return {
    records,
    lines: partitions.reduce((sum, { after }) => sum + after, 0),
    deadLetters: sides.reduce((sum, own) => sum + own, known),
    partitions,
    differences: told.differences.sort((a, b) => a.path < b.path ? -1 : 1),
  };
}

class Told {
  readonly rows = new PartitionRows();
  readonly differences: FileDifference[] = [];
}

function lostManifest(root: string, partition: number): CommandFailedError {
  return new CommandFailedError(
    `Cannot confirm the dataset: "${
      manifestPaths(root, partition).manifest
    }" is missing, and the group has written that ` +
      "partition. Rebuild it with `deno task replay`.",
  );
}

async function refuseDropped(
  { log }: ReplayDependencies,
  ranges: readonly { readonly partition: number; readonly from: number; readonly until: number }[],
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
  snapshot: readonly { readonly live: LivePartition }[],
  scan: TopicScan,
): void {
  for (const { live: { partition, erasing, nextOffset } } of snapshot) {
    const waiting = scan.erasuresIn(partition).find(({ offset }) => offset >= nextOffset);
    if (!erasing && !waiting) continue;
    throw new CommandFailedError(
      `Cannot check partition ${partition}: an erasure${
        waiting ? ` (offset ${waiting.offset})` : ""
      } has not come to ` +
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
  readonly #entries: FileEntries;
  readonly #told: Told;
  readonly #open = new Map<string, Sum>();
  readonly #settled = new Set<string>();

  constructor(
    private readonly root: string,
    { entries, erased, from, told }: {
      readonly entries: FileEntries;
      readonly erased: ErasedSubjects;
      readonly from: number;
      readonly told: Told;
    },
  ) {
    this.manifest = { firstOffset: from, nextOffset: from, files: {}, letters: [] };
    this.erased = erased;
    this.#entries = entries;
    this.#told = told;
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

  loadWindow() {
    return null;
  }

  saveWindow(): void {}

  close(): void {}

  /** Settles what is left, and what only the live dataset has. */
  async finish(): Promise<void> {
    for (const path of this.#open.keys()) await this.#settle(path);
    for (const [path, { bytes, records }] of Object.entries(this.#entries)) {
      if (bytes === 0 || this.#settled.has(path)) continue;
      this.#told.rows.add(path, { before: records, after: 0, changed: 0 });
      this.#told.differences.push({ path, live: await shaOf(join(this.root, path), bytes), replayed: null });
    }
  }

  async #settle(path: string): Promise<void> {
    const { sha, records, lines } = this.#open.get(path)!;
    this.#open.delete(path);
    this.#settled.add(path);
    const entry = this.#entries[path];
    const whole = join(this.root, path);
    const [live, replayed] = [entry ? await shaOf(whole, entry.bytes) : null, sha.digest("hex")];
    const before = entry?.records ?? 0;
    if (live === replayed) return this.#told.rows.add(path, { before, after: records, changed: 0 });
    const changed = live === null
      ? 0
      : missingLines(await lineHashesOf(whole, entry!.bytes), lines.slice(0, records));
    this.#told.rows.add(path, { before, after: records, changed });
    this.#told.differences.push({ path, live, replayed });
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

/** SHA-256 of a file's first bytes, hex; null where it is missing. */
async function shaOf(path: string, bytes: number): Promise<string | null> {
  let file: Deno.FsFile;
  try {
    file = Deno.openSync(path, { read: true });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
  const sha = createHash("sha256");
  for await (const block of blocksOf(file, bytes)) sha.update(block);
  return sha.digest("hex");
}
