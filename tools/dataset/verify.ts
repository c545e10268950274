import { join } from "node:path";
import {
  DatasetFiles,
  DatasetReadError,
  DatasetReplacedError,
  DatasetStateError,
  inOrder,
  lineBlocksOf,
  lineFault,
  manifestPath,
  type OpenedFile,
  parseDatasetPath,
} from "../../processor/dataset/mod.ts";

/** Something that is not as it has to be. */
export type Finding = {
  /** Below DATASET_DIR. */
  readonly file: string;
  /** Never holds anything of a line's text. */
  readonly finding: string;
  /** How many lines of the file are so, and the first of them, from 1; 0 and null where it is about the whole file. */
  readonly lines: number;
  readonly firstLine: number | null;
};

/** What a verification read and found; the dataset is sound where `findings` is empty. */
export type Verification = {
  /** Files that hold lines, and what was found in them. */
  readonly files: number;
  readonly records: number;
  readonly bytes: number;
  readonly findings: readonly Finding[];
  /** Bytes behind what a manifest says: a writer is at work or was killed, and cuts them off at its next start. */
  readonly notPartOfTheDataset: readonly { readonly file: string; readonly bytes: number }[];
};

/** A replay that ends meanwhile puts another dataset in place: that one is verified then. */
const ATTEMPTS = 3;

/**
 * Checks every file of every manifest against it, every line against the format, and that there is no file beside. Safe
 * beside live writers. Throws {@link DatasetReadError} where there is no dataset.
 */
export async function verifyDataset(datasetDir: string): Promise<Verification> {
  for (let attempt = 1;; attempt++) {
    const files = new DatasetFiles(datasetDir);
    try {
      return await new Verifier(files).run();
    } catch (error) {
      // A tree that is being removed loses any file at any time.
      const isGone = error instanceof Deno.errors.NotFound && files.isReplaced();
      if (!isGone && !(error instanceof DatasetReplacedError)) throw error;
      if (attempt === ATTEMPTS) throw new DatasetReplacedError();
    }
  }
}

class Verifier {
  readonly #sum = { files: 0, records: 0, bytes: 0 };
  readonly #findings: Finding[] = [];
  readonly #tails: { file: string; bytes: number }[] = [];
  /** Partitions whose manifest cannot be read: nothing can be said of their files. */
  readonly #damaged = new Set<number>();

  constructor(private readonly files: DatasetFiles) {}

  async run(): Promise<Verification> {
    this.#checkIdentity();
    // Before the manifests: a writer names a file there before it makes it.
    const onDisk = filesBelow(this.files.root);
    const named = new Set(this.#manifestPaths());
    for (const path of onDisk) this.#checkIsNamed(path, named);
    for (const path of inOrder([...named])) await this.#checkFile(path);
    if (this.files.isReplaced()) throw new DatasetReplacedError();
    return { ...this.#sum, findings: this.#findings, notPartOfTheDataset: this.#tails };
  }

  #checkIdentity(): void {
    try {
      this.files.identity();
    } catch (error) {
      this.#find("_manifest/dataset.json", messageOf(error));
    }
  }

  #manifestPaths(): readonly string[] {
    return this.files.partitions().flatMap((partition) => {
      try {
        const paths = Object.keys(this.files.entriesOf(partition));
        for (const path of paths) {
          if (parseDatasetPath(path)!.partition !== partition) {
            this.#find(path, `is named by the manifest of partition ${partition}`);
          }
        }
        return paths;
      } catch (error) {
        this.#damaged.add(partition);
        this.#find(manifestPath(partition), messageOf(error));
        return [];
      }
    });
  }

  #checkIsNamed(path: string, named: ReadonlySet<string>): void {
    const partition = parseDatasetPath(path)?.partition;
    if (named.has(path) || (partition !== undefined && this.#damaged.has(partition))) return;
    this.#find(path, "is named by no manifest");
  }

  async #checkFile(path: string): Promise<void> {
    let opened: OpenedFile | null;
    try {
      opened = this.files.open(path);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      return this.#find(path, "is missing");
    }
    if (opened === null) return;
    const { size, entry: { bytes, records } } = opened;
    const lines = await this.#checkLines(path, opened);
    if (size < bytes) this.#find(path, `has ${size} bytes, and its manifest says ${bytes}`);
    if (lines !== records) this.#find(path, `has ${lines} lines, and its manifest says ${records}`);
    if (size > bytes) this.#tails.push({ file: path, bytes: size - bytes });
    if (records === 0) return;
    this.#sum.files++;
    this.#sum.records += lines;
    this.#sum.bytes += Math.min(size, bytes);
  }

  async #checkLines(path: string, { file, entry }: OpenedFile): Promise<number> {
    const place = {
      event: path.slice("event=".length, path.indexOf("/")),
      date: parseDatasetPath(path)!.date,
    };
    const faults = new Map<string, { lines: number; firstLine: number }>();
    let count = 0;
    let rest = 0;
    for await (const block of lineBlocksOf(file, entry.bytes)) {
      rest = block.rest;
      for (const line of block.lines) {
        count++;
        const fault = lineFault(line, place);
        if (fault === null) continue;
        const known = faults.get(fault);
        if (known) known.lines++;
        else faults.set(fault, { lines: 1, firstLine: count });
      }
    }
    for (const [finding, where] of faults) this.#findings.push({ file: path, finding, ...where });
    if (rest > 0) this.#find(path, "ends within a line");
    return count;
  }

  #find(file: string, finding: string): void {
    this.#findings.push({ file, finding, lines: 0, firstLine: null });
  }
}

/** Paths below a tree, but for its `_manifest/`. */
function filesBelow(root: string, below = ""): readonly string[] {
  return [...Deno.readDirSync(join(root, below))].flatMap(({ name, isDirectory }) => {
    const path = below === "" ? name : `${below}/${name}`;
    if (path === "_manifest") return [];
    return isDirectory ? filesBelow(root, path) : [path];
  }).sort();
}

/** Errors that speak of the dataset's state; any other is no finding. */
function messageOf(error: unknown): string {
  if (error instanceof DatasetStateError || error instanceof DatasetReadError) return error.message;
  throw error;
}
