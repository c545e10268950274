import { join } from "node:path";
import type { FaultPoint } from "../../../runtime/fault_point.ts";
import { parseDatasetPath } from "../core/path.ts";
import { type ErasedSubjects, subjectsOf, withErasure } from "../../record/erasure.ts";
import { removeIfThere } from "../../../runtime/durable_file.ts";
import { remembering } from "../../../runtime/remember.ts";
import type {
  Advance,
  ErasureHere,
  ErasureTools,
  FileAddition,
  FileEntries,
  FileEntry,
  PartitionStore,
  PendingLetter,
} from "../store.ts";
import type { DedupWindow } from "../core/dedup_window.ts";
import { putInPlace, rewriteWithout } from "./erasing.ts";
import {
  manifestPaths,
  readErased,
  readSealed,
  saveErased,
  saveManifest,
  saveSealed,
  type StoredManifest,
} from "./manifest.ts";
import { cutBack, JsonlFiles } from "./append.ts";
import { loadWindowCache, saveWindowCache } from "./window_cache.ts";

/** Distinct ids whose answer is kept while an erasure reads a file: it has many lines of few people. */
const REMEMBERED_MAX = 100_000;

/** One partition's JSONL files and manifest; whoever opens it holds the partition's lock. */
export class JsonlPartition implements PartitionStore {
  manifest: StoredManifest;
  erased: ErasedSubjects;
  readonly #files: JsonlFiles;
  /** Bytes of the files that the chunk in hand has written to. */
  readonly #appended = new Map<string, number>();
  readonly #partition: number;
  readonly #keepsLetters: boolean;
  readonly #paths: ReturnType<typeof manifestPaths>;

  constructor(
    private readonly root: string,
    { partition, manifest, keepsLetters = false }: {
      readonly partition: number;
      readonly manifest: StoredManifest;
      /** Nobody publishes the letters of a dataset that is being rebuilt: they stay until it is the live one. */
      readonly keepsLetters?: boolean;
    },
  ) {
    this.#partition = partition;
    this.#keepsLetters = keepsLetters;
    this.#paths = manifestPaths(root, partition);
    this.manifest = manifest;
    this.erased = readErased(root, partition);
    this.#files = new JsonlFiles(root);
  }

  async recover(): Promise<void> {
    if (this.manifest.erasing) await this.#finishErasing({ faultPoint: () => {} });
    for (const path of [this.#paths.manifest, this.#paths.sealed, this.#paths.erased, this.#paths.window]) {
      removeIfThere(`${path}.tmp`);
    }
    removeIfThere(this.#paths.erasing, { recursive: true });
    for (const entries of [readSealed(this.root, this.#partition), this.manifest.files]) {
      for (const [path, { bytes }] of Object.entries(entries)) cutBack(this.root, { path, bytes });
    }
  }

  async intend(paths: readonly string[]): Promise<void> {
    const added = paths.filter((path) => this.manifest.files[path] === undefined);
    if (added.length === 0) return;
    const open = await this.#seal(Math.min(...added.map(fileNumberIn)));
    const files = { ...open };
    for (const path of added) files[path] = { bytes: 0, records: 0, placeholders: {}, sanitiserVersions: [] };
    // The letters of the chunk before have been published by now.
    await this.#save({ ...this.manifest, files, letters: this.#lettersLeft() });
  }

  append(additions: ReadonlyMap<string, FileAddition>): void {
    const encoder = new TextEncoder();
    for (const [path, { lines }] of additions) {
      const text = encoder.encode(lines.join(""));
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
    await this.#save({ ...this.manifest, nextOffset: to.nextOffset, files, letters: to.letters });
    this.#appended.clear();
  }

  async erase(erasure: ErasureHere, { subject, heartbeat, faultPoint }: ErasureTools): Promise<void> {
    // Before the offset moves on: no record below it is still to come, so naming the erased early changes nothing.
    this.erased = withErasure(this.erased, erasure);
    await saveErased(this.root, { partition: this.#partition, value: this.erased });
    this.#files.close();
    const gone = new Set(erasure.subjects);
    const entries = { ...readSealed(this.root, this.#partition), ...this.manifest.files };
    removeIfThere(this.#paths.erasing, { recursive: true });
    const files = await rewriteWithout(entries, {
      root: this.root,
      directory: this.#paths.erasing,
      theirs: remembering((distinctId) => subjectsOf(distinctId, subject).some((one) => gone.has(one)), {
        entriesMax: REMEMBERED_MAX,
      }),
      heartbeat,
      faultPoint,
    });
    const erasing = { nextOffset: erasure.nextOffset, files };
    await this.#save({ ...this.manifest, letters: this.#lettersLeft(), erasing });
    faultPoint("erase.manifest");
    await this.#finishErasing({ faultPoint });
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

  /** Moves entries below `fileNumber` into the sealed file and answers the others. A crash in between leaves both alike. */
  async #seal(fileNumber: number): Promise<FileEntries> {
    const entries = Object.entries(this.manifest.files);
    const closed = entries.filter(([path]) => fileNumberIn(path) < fileNumber);
    if (closed.length === 0) return this.manifest.files;
    const value = { ...readSealed(this.root, this.#partition), ...Object.fromEntries(closed) };
    await saveSealed(this.root, { partition: this.#partition, value });
    return Object.fromEntries(entries.filter(([path]) => fileNumberIn(path) >= fileNumber));
  }

  /** From a manifest with `erasing` to one without; every step may be found done already. */
  async #finishErasing({ faultPoint }: { readonly faultPoint: FaultPoint }): Promise<void> {
    const { erasing, ...manifest } = this.manifest;
    if (!erasing) return;
    await putInPlace(erasing.files, { root: this.root, directory: this.#paths.erasing, faultPoint });
    const sealed = readSealed(this.root, this.#partition);
    const replaced = (entries: FileEntries) =>
      Object.fromEntries(
        Object.entries(entries).map(([path, entry]) => [path, erasing.files[path] ?? entry]),
      );
    if (Object.keys(sealed).some((path) => erasing.files[path])) {
      await saveSealed(this.root, { partition: this.#partition, value: replaced(sealed) });
    }
    const files = replaced(manifest.files);
    await this.#save({ ...manifest, files, nextOffset: erasing.nextOffset, letters: this.#lettersLeft() });
    removeIfThere(this.#paths.erasing, { recursive: true });
  }

  #lettersLeft(): readonly PendingLetter[] {
    return this.#keepsLetters ? this.manifest.letters : [];
  }

  async #save(manifest: StoredManifest): Promise<void> {
    await saveManifest(this.root, { partition: this.#partition, value: manifest });
    this.manifest = manifest;
  }

  #entry(path: string): FileEntry {
    const entry = this.manifest.files[path];
    if (!entry) throw new Error(`Cannot write "${join(this.root, path)}": it was not recorded as intended.`);
    return entry;
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
  return {
    bytes,
    records: entry.records + addition.lines.length,
    placeholders,
    sanitiserVersions: versions.includes(sanitiserVersion) ? versions : [...versions, sanitiserVersion],
  };
}

function fileNumberIn(path: string): number {
  return parseDatasetPath(path)!.fileNumber;
}
