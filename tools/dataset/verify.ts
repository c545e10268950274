import { createHash } from "node:crypto";
import {
  DatasetFileError,
  type DatasetReader,
  DatasetReplacedError,
  lineBlocksOf,
  lineFault,
  type OpenedLines,
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
 * Checks every file of every manifest against it, every line against the format, and that there is no file beside; of a
 * bucket every object against its commit, and the commits. Safe beside live writers. Throws {@link DatasetReadError} where
 * there is no dataset.
 */
export async function verifyDataset(open: () => Promise<DatasetReader>): Promise<Verification> {
  for (let attempt = 1;; attempt++) {
    const dataset = await open();
    try {
      return await new Verifier(dataset).run();
    } catch (error) {
      // A tree that is being removed loses any file at any time.
      const isGone = error instanceof Deno.errors.NotFound && dataset.isReplaced();
      if (!isGone && !(error instanceof DatasetReplacedError)) throw error;
      if (attempt === ATTEMPTS) throw new DatasetReplacedError();
    } finally {
      dataset.close();
    }
  }
}

class Verifier {
  readonly #sum = { files: 0, records: 0, bytes: 0 };
  readonly #findings: Finding[] = [];
  readonly #beside: { file: string; bytes: number }[] = [];

  constructor(private readonly dataset: DatasetReader) {}

  async run(): Promise<Verification> {
    const { paths, findings, beside } = await this.dataset.audit();
    for (const { file, finding } of findings) this.#find(file, finding);
    this.#beside.push(...beside);
    for (const path of paths) await this.#checkFile(path);
    await this.dataset.refresh();
    if (this.dataset.isReplaced()) throw new DatasetReplacedError();
    return { ...this.#sum, findings: this.#findings, notPartOfTheDataset: this.#beside };
  }

  async #checkFile(path: string): Promise<void> {
    try {
      const opened = await this.dataset.open(path);
      if (opened === null) return;
      const { size, entry: { bytes, records } } = opened;
      const { namedBy } = this.dataset;
      const lines = await this.#checkLines(path, opened);
      if (size < bytes) this.#find(path, `has ${size} bytes, and its ${namedBy} says ${bytes}`);
      if (lines !== records) this.#find(path, `has ${lines} lines, and its ${namedBy} says ${records}`);
      if (size > bytes) this.#beside.push({ file: path, bytes: size - bytes });
      if (records === 0) return;
      this.#sum.files++;
      this.#sum.records += lines;
      this.#sum.bytes += Math.min(size, bytes);
    } catch (error) {
      if (!(error instanceof DatasetFileError)) throw error;
      this.#find(path, error.state);
    }
  }

  async #checkLines(path: string, opened: OpenedLines): Promise<number> {
    const place = {
      event: path.slice("event=".length, path.indexOf("/")),
      date: parseDatasetPath(path)!.date,
    };
    const sha = opened.sha256 === null ? null : createHash("sha256");
    const faults = new Map<string, { lines: number; firstLine: number }>();
    let count = 0;
    let rest = 0;
    for await (const block of lineBlocksOf(opened.blocks({ stored: (block) => sha?.update(block) }))) {
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
    if (sha !== null && sha.digest("hex") !== opened.sha256) {
      this.#find(path, "holds other bytes than were put there");
    }
    return count;
  }

  #find(file: string, finding: string): void {
    this.#findings.push({ file, finding, lines: 0, firstLine: null });
  }
}
