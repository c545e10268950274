import { Buffer } from "node:buffer";
import { join } from "node:path";
import { type FaultPoint, noFaultPoint } from "../../../runtime/fault_point.ts";
import { parseDatasetPath } from "../core/path.ts";
import { erasedLater, type ErasedSubjects, joinErased, NOBODY, withErasure } from "../../record/erasure.ts";
import { removeIfThere } from "../../../runtime/durable_file.ts";
import type { AdoptedCount } from "../core/added_partitions.ts";
import type {
  Advance,
  ErasureHere,
  ErasureTools,
  FileAddition,
  FileEntries,
  FileEntry,
  OutcomeCounts,
  Outcomes,
  PartitionStore,
  PendingLetter,
  Received,
} from "../store.ts";
import type { DedupWindow } from "../core/dedup_window.ts";
import { FigureCounter } from "../core/figures.ts";
import { addReceived, type MinuteCount } from "../core/received.ts";
import { theirsOf } from "../core/line_filter.ts";
import { putInPlace, rewriteWithout } from "./erasing.ts";
import { manifestPaths, readErased, saveErased, saveManifest, type StoredManifest } from "./manifest.ts";
import { SealedEntries } from "./sealed.ts";
import { cutBack, JsonlFiles } from "./append.ts";
import { addOutcomes } from "../chunk.ts";
import { loadWindowCache, saveWindowCache } from "./window_cache.ts";

/**
 * Entries of a manifest above which they are sealed, beside those of the chunk in hand: about 150 KB, as a chunk's own; those
 * with many reasons count for more.
 */
const MANIFEST_ENTRIES_MAX = 500;

/** One partition's JSONL files and manifest; whoever opens it holds the partition's lock. */
export class JsonlPartition implements PartitionStore {
  manifest: StoredManifest;
  erased: ErasedSubjects;
  unswept: ErasedSubjects = NOBODY;
  /** As the file beside the manifest says: nothing of them is left here. */
  #gone: ErasedSubjects;
  readonly #files: JsonlFiles;
  readonly #sealed: SealedEntries;
  /** Bytes of the files that the chunk in hand has written to. */
  readonly #appended = new Map<string, number>();
  readonly #partition: number;
  readonly #keepsLetters: boolean;
  readonly #entriesMax: number;
  readonly #paths: ReturnType<typeof manifestPaths>;

  constructor(
    private readonly root: string,
    { partition, manifest, keepsLetters = false, manifestEntriesMax = MANIFEST_ENTRIES_MAX }: {
      readonly partition: number;
      readonly manifest: StoredManifest;
      /** Nobody publishes the letters of a dataset that is being rebuilt: they stay until it is the live one. */
      readonly keepsLetters?: boolean;
      /** Default 500. */
      readonly manifestEntriesMax?: number | undefined;
    },
  ) {
    this.#partition = partition;
    this.#keepsLetters = keepsLetters;
    this.#paths = manifestPaths(root, partition);
    this.manifest = manifest;
    this.erased = this.#gone = readErased(root, partition);
    this.#entriesMax = manifestEntriesMax;
    this.#sealed = new SealedEntries(root, { partition, manifest, manifestEntriesMax });
    this.#files = new JsonlFiles(root);
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

  async recover(): Promise<void> {
    if (this.manifest.erasing) await this.#finishErasing({ faultPoint: noFaultPoint });
    for (const path of [this.#paths.manifest, this.#paths.erased, this.#paths.window]) {
      removeIfThere(`${path}.tmp`);
    }
    removeIfThere(this.#paths.erasing, { recursive: true });
    this.#sealed.removeUnnamed();
    for (const [path, { bytes }] of Object.entries(this.#entries())) cutBack(this.root, { path, bytes });
  }

  async intend(paths: readonly string[], faultPoint: FaultPoint = noFaultPoint): Promise<void> {
    const added = paths.filter((path) => this.#entryOf(path) === undefined);
    const seals = await this.#seal(added);
    if (added.length === 0 && !seals) return;
    if (seals) faultPoint("dataset.sealed");
    const files = { ...(seals ?? this.manifest.files) };
    for (const path of added) files[path] = { bytes: 0, records: 0, placeholders: {}, sanitiserVersions: [] };
    // The letters of the chunk before have been published by now.
    const letters = this.#lettersLeft();
    await this.#save({
      ...this.manifest,
      files,
      letters,
      ...(seals ? { sealed: this.#sealed.numbers } : {}),
    });
    if (!seals) return;
    faultPoint("dataset.unsealed");
    this.#sealed.removeDropped();
  }

  recordsIn(path: string): number {
    return this.#entryOf(path)?.records ?? 0;
  }

  append(additions: ReadonlyMap<string, FileAddition>): void {
    for (const [path, addition] of additions) {
      const text = Buffer.concat(addition.text);
      this.#appended.set(path, this.#files.append(path, { bytes: this.#entry(path).bytes, text }));
    }
  }

  sync(): Promise<void> {
    return this.#files.sync();
  }

  async advance(to: Advance): Promise<void> {
    const files = to.additions.size === 0 ? this.manifest.files : { ...this.manifest.files };
    for (const [path, addition] of to.additions) {
      const bytes = this.#appended.get(path)!;
      (files as Record<string, FileEntry>)[path] = grown(this.#entry(path), { ...to, addition, bytes });
    }
    const { nextOffset, letters, last = this.manifest.last } = to;
    const outcomes = to.outcomes && this.#outcomes(to.outcomes, nextOffset);
    const received = to.minutes && this.#received(to.minutes, nextOffset);
    await this.#save({
      ...this.manifest,
      nextOffset,
      files,
      letters,
      ...(last ? { last } : {}),
      ...(outcomes ? { outcomes } : {}),
      ...(received ? { received } : {}),
    });
    this.#appended.clear();
  }

  async adopt(counts: readonly AdoptedCount[]): Promise<void> {
    if (counts.length === 0) return;
    await this.#save({ ...this.manifest, counts: [...this.manifest.counts ?? [], ...counts] });
  }

  learn(elsewhere: ErasedSubjects): void {
    const news = erasedLater(elsewhere, this.erased);
    this.unswept = joinErased(this.unswept, news);
    this.erased = joinErased(this.erased, news);
  }

  async sweep(tools: ErasureTools): Promise<void> {
    // Without a file there is nothing to look through, nor to note: it is learnt again at the next opening.
    if (Object.keys(this.#entries()).length === 0) this.unswept = NOBODY;
    if (this.unswept.size === 0) return;
    await this.#rewrite({ subjects: [], nextOffset: this.manifest.nextOffset, minutes: [] }, tools);
  }

  async erase(erasure: ErasureHere, tools: ErasureTools): Promise<void> {
    // Before the offset moves on: no record below it is still to come, so naming the erased early changes nothing.
    await this.#keepGone(withErasure(this.#gone, erasure));
    this.erased = withErasure(this.erased, erasure);
    await this.#rewrite(erasure, tools);
  }

  /** Without all lines of these subjects, and those of the unswept that are not after their erasures. */
  async #rewrite(
    { subjects, nextOffset, minutes }: Pick<ErasureHere, "subjects" | "nextOffset" | "minutes">,
    { subject, heartbeat, faultPoint }: ErasureTools,
  ): Promise<void> {
    this.#files.close();
    const entries = this.#entries();
    removeIfThere(this.#paths.erasing, { recursive: true });
    const files = await rewriteWithout(entries, {
      root: this.root,
      directory: this.#paths.erasing,
      theirs: theirsOf(subjects, { unswept: this.unswept, subject }),
      heartbeat,
      faultPoint,
    });
    const erasing = {
      nextOffset,
      files,
      outcomes: this.#outcomesAfter(files, { entries, nextOffset }),
      ...(minutes ? { received: this.#received(minutes, nextOffset) } : {}),
    };
    await this.#save({ ...this.manifest, letters: this.#lettersLeft(), erasing });
    faultPoint("erase.manifest");
    await this.#finishErasing({ faultPoint });
    // Only now: until then a crash leaves them to be learnt and looked for again.
    if (this.unswept.size > 0) await this.#keepGone(joinErased(this.#gone, this.unswept));
    this.unswept = NOBODY;
  }

  async #keepGone(value: ErasedSubjects): Promise<void> {
    await saveErased(this.root, { partition: this.#partition, value });
    this.#gone = value;
  }

  loadWindow(size: number) {
    const cached = loadWindowCache(this.#paths.window, size);
    return cached && cached.nextOffset <= this.manifest.nextOffset ? cached : null;
  }

  saveWindow(window: DedupWindow): void {
    const { size, fedTo: nextOffset } = window;
    saveWindowCache(this.#paths.window, { size, nextOffset, entries: window.entries() });
  }

  close(): void {
    this.#files.close();
  }

  /**
   * Seals what the manifest need not hold any more, and answers what stays in it: at the first path of a new offset range
   * that range's, above `manifestEntriesMax` nothing. Null where all stays.
   */
  async #seal(added: readonly string[]): Promise<FileEntries | null> {
    const { files } = this.manifest;
    const fileNumber = Math.min(...added.map(fileNumberIn));
    const entries = Object.entries(files);
    const below = entries.filter(([path]) => fileNumberIn(path) < fileNumber);
    if (added.length > 0 && (below.length > 0 || this.#sealed.isBelow(fileNumber))) {
      await this.#sealed.close(Object.fromEntries(below));
      return Object.fromEntries(entries.filter(([path]) => fileNumberIn(path) >= fileNumber));
    }
    const weight = entries.reduce((sum, [, entry]) => sum + weightOf(entry), 0);
    if (weight <= this.#entriesMax) return null;
    await this.#sealed.seal(files);
    return {};
  }

  /** From a manifest with `erasing` to one without; every step may be found done already. */
  async #finishErasing({ faultPoint }: { readonly faultPoint: FaultPoint }): Promise<void> {
    const { erasing, ...manifest } = this.manifest;
    if (!erasing) return;
    await putInPlace(erasing.files, { root: this.root, directory: this.#paths.erasing, faultPoint });
    await this.#sealed.replace(erasing.files);
    const files = Object.fromEntries(
      Object.entries(manifest.files).map(([path, entry]) => [path, erasing.files[path] ?? entry]),
    );
    const { nextOffset, outcomes = manifest.outcomes, received = manifest.received } = erasing;
    await this.#save({ ...manifest, files, nextOffset, letters: this.#lettersLeft(), outcomes, received });
    removeIfThere(this.#paths.erasing, { recursive: true });
  }

  /** With what a chunk adds; begun anew where an earlier version has gone on without counting. */
  #outcomes(counts: OutcomeCounts, to: number, taken = 0): Outcomes {
    const { outcomes, nextOffset } = this.manifest;
    if (outcomes?.to !== nextOffset) return { from: nextOffset, to, ...counts };
    const sum = (outcomes.taken ?? 0) + taken;
    return { from: outcomes.from, to, ...addOutcomes(outcomes, counts), ...(sum > 0 ? { taken: sum } : {}) };
  }

  /** Likewise. */
  #received(counts: readonly MinuteCount[], to: number): Received {
    const { received, nextOffset } = this.manifest;
    const known = received?.to === nextOffset ? received : { from: nextOffset, minutes: [] };
    return { from: known.from, to, minutes: addReceived(known.minutes, counts) };
  }

  /** The lines that an erasure takes out are others then, and so is its own record. */
  #outcomesAfter(
    files: FileEntries,
    { entries, nextOffset }: { readonly entries: FileEntries; readonly nextOffset: number },
  ): Outcomes {
    const taken = Object.entries(files).reduce(
      (sum, [path, { records }]) => sum + (entries[path]?.records ?? 0) - records,
      0,
    );
    const { manifest } = this;
    const isCounted = manifest.outcomes?.to === manifest.nextOffset;
    // Of lines from before the counting there is none to take.
    const lines = isCounted ? Math.min(taken, manifest.outcomes!.lines) : 0;
    const own = nextOffset > manifest.nextOffset ? 1 : 0;
    return this.#outcomes(
      { lines: -lines, duplicates: 0, deadLetters: 0, others: lines + own },
      nextOffset,
      lines,
    );
  }

  #lettersLeft(): readonly PendingLetter[] {
    return this.#keepsLetters ? this.manifest.letters : [];
  }

  async #save(manifest: StoredManifest): Promise<void> {
    await saveManifest(this.root, { partition: this.#partition, value: manifest });
    this.manifest = manifest;
  }

  #entry(path: string): FileEntry {
    const entry = this.#entryOf(path);
    if (!entry) throw new Error(`Cannot write "${join(this.root, path)}": it was not recorded as intended.`);
    return entry;
  }

  /** Of the range that is being written. */
  #entryOf(path: string): FileEntry | undefined {
    return this.manifest.files[path] ?? this.#sealed.entryOf(path);
  }

  /** Of every file. */
  #entries(): FileEntries {
    return { ...this.#sealed.all(), ...this.manifest.files };
  }
}

function grown(
  entry: FileEntry,
  { addition, bytes, sanitiserVersion }:
    & Pick<Advance, "sanitiserVersion">
    & { readonly addition: FileAddition; readonly bytes: number },
): FileEntry {
  const placeholders = { ...entry.placeholders };
  for (const [entity, count] of Object.entries(addition.placeholders)) {
    placeholders[entity] = (placeholders[entity] ?? 0) + count;
  }
  const versions = entry.sanitiserVersions;
  const figures = new FigureCounter(entry.figures);
  figures.addAll(addition.figures);
  return {
    bytes,
    records: entry.records + addition.records,
    placeholders,
    sanitiserVersions: versions.includes(sanitiserVersion) ? versions : [...versions, sanitiserVersion],
    figures: figures.figures(),
  };
}

/** Four reasons are about as many bytes as a plain entry: strangers choose how many there are, up to 20 a file. */
function weightOf({ figures }: FileEntry): number {
  return 1 + Math.max(0, (figures?.reasons.length ?? 0) - 4) / 4;
}

function fileNumberIn(path: string): number {
  return parseDatasetPath(path)!.fileNumber;
}
