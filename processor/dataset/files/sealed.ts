import { basename } from "node:path";
import type { FileEntries, FileEntry } from "../store.ts";
import { parseDatasetPath } from "../core/path.ts";
import { isThere, removeIfThere } from "../../../runtime/durable_file.ts";
import {
  damaged,
  manifestPaths,
  readSealed,
  saveSealed,
  type SealedNumbers,
  type StoredManifest,
} from "./manifest.ts";

/** A closed sealed file takes entries of further offset ranges up to so many times those of a manifest. */
const SEALED_PER_MANIFEST = 8;

type SealedFile = { readonly number: number; readonly size: number };

/**
 * The entries that have left a partition's manifest, so that a chunk does not write anew what it has not touched. Strangers
 * choose event times, and each day is a file: there may be thousands in one offset range, of which a chunk touches few.
 *
 * What leaves the manifest goes into a new sealed file. Once those of the open range hold more than twice its files, one
 * with just these takes their place; once the range is closed too. So an entry is written three times at most, however
 * many there are. Each step writes first, and counts only by the manifest that is saved after it.
 */
export class SealedEntries {
  #closed: readonly SealedFile[];
  #open: readonly SealedFile[];
  /** Of the open range, without what the manifest says itself. */
  #current = new Map<string, FileEntry>();
  #dropped: readonly number[] = [];
  readonly #path: (number: number) => string;
  readonly #directory: string;
  readonly #sizeMax: number;

  constructor(
    root: string,
    { partition, manifest, manifestEntriesMax }: {
      readonly partition: number;
      readonly manifest: StoredManifest;
      readonly manifestEntriesMax: number;
    },
  ) {
    const { sealed, directory } = manifestPaths(root, partition);
    this.#path = sealed;
    this.#directory = directory;
    this.#sizeMax = SEALED_PER_MANIFEST * manifestEntriesMax;
    const { closed, open } = manifest.sealed ?? { closed: isThere(sealed(0)) ? [0] : [], open: [] };
    this.#closed = closed.map((number) => this.#look(number));
    this.#open = open.map((number) => this.#look(number, this.#current));
  }

  /** What stands in the manifest as `sealed`. */
  get numbers(): SealedNumbers {
    return { closed: this.#closed.map(numberOf), open: this.#open.map(numberOf) };
  }

  /** An entry of the open range; undefined where none is sealed. */
  entryOf(path: string): FileEntry | undefined {
    return this.#current.get(path);
  }

  /** True where the open range is another one than that of `fileNumber`, and earlier. */
  isBelow(fileNumber: number): boolean {
    const [first] = this.#current.keys();
    return first !== undefined && parseDatasetPath(first)!.fileNumber < fileNumber;
  }

  /** Of all sealed files. */
  all(): FileEntries {
    return Object.assign({}, ...[...this.#closed, ...this.#open].map(({ number }) => this.#read(number)));
  }

  /** Takes entries of the open range. */
  async seal(files: FileEntries): Promise<void> {
    this.#take(files);
    const size = Object.keys(files).length;
    const written = this.#open.reduce((sum, one) => sum + one.size, size);
    const number = this.#nextNumber();
    const isMany = written > Math.max(this.#sizeMax, 2 * this.#current.size);
    const entries = isMany ? Object.fromEntries(this.#current) : files;
    await saveSealed(this.#path(number), entries);
    if (isMany) this.#dropped = this.#open.map(numberOf);
    this.#open = [...(isMany ? [] : this.#open), { number, size: Object.keys(entries).length }];
  }

  /**
   * Takes the last entries of the open range and closes it. Where the last closed file has room they go into that one:
   * under its manifest of before it then says of each file what the open ones say, or the manifest.
   */
  async close(files: FileEntries): Promise<void> {
    this.#take(files);
    const last = this.#closed.at(-1);
    const hasRoom = last !== undefined && last.size + this.#current.size <= this.#sizeMax;
    const number = hasRoom ? last.number : last === undefined ? 0 : this.#nextNumber();
    const entries = { ...(hasRoom ? this.#read(number) : {}), ...Object.fromEntries(this.#current) };
    await saveSealed(this.#path(number), entries);
    this.#closed = [
      ...(hasRoom ? this.#closed.slice(0, -1) : this.#closed),
      { number, size: Object.keys(entries).length },
    ];
    this.#dropped = this.#open.map(numberOf);
    this.#open = [];
    this.#current = new Map();
  }

  /** Puts other entries in the place of those that are sealed; durable. */
  async replace(entries: FileEntries): Promise<void> {
    for (const { number } of [...this.#closed, ...this.#open]) {
      const files = this.#read(number);
      const touched = Object.keys(files).filter((path) => entries[path] !== undefined);
      if (touched.length === 0) continue;
      for (const path of touched) if (this.#current.has(path)) this.#current.set(path, entries[path]!);
      const replaced = Object.fromEntries(touched.map((path) => [path, entries[path]!]));
      await saveSealed(this.#path(number), { ...files, ...replaced });
    }
  }

  /** Removes what the manifest that has just been saved names no more. */
  removeDropped(): void {
    for (const number of this.#dropped) removeIfThere(this.#path(number));
    this.#dropped = [];
  }

  /** Removes what no manifest names: a crash has left it. */
  removeUnnamed(): void {
    const named = new Set(Object.values(this.numbers).flat().map((number) => basename(this.#path(number))));
    const prefix = basename(this.#path(0), "json");
    for (const { name } of [...Deno.readDirSync(this.#directory)]) {
      const isSealed = name.startsWith(prefix) || name.startsWith(prefix.replace(/\.$/, "-"));
      if (isSealed && !named.has(name)) removeIfThere(`${this.#directory}/${name}`);
    }
  }

  #take(files: FileEntries): void {
    for (const [path, entry] of Object.entries(files)) this.#current.set(path, entry);
  }

  #look(number: number, into?: Map<string, FileEntry>): SealedFile {
    const entries = Object.entries(this.#read(number));
    for (const [path, entry] of entries) into?.set(path, entry);
    return { number, size: entries.length };
  }

  #read(number: number): FileEntries {
    const path = this.#path(number);
    const files = readSealed(path);
    if (files === null) throw damaged(path, "it is missing");
    return files;
  }

  /** Never 0, which is the first closed one's. */
  #nextNumber(): number {
    return 1 + Math.max(0, ...[...this.#closed, ...this.#open].map(numberOf));
  }
}

function numberOf({ number }: SealedFile): number {
  return number;
}
