import type { Buffer } from "node:buffer";
import type { DatasetTail } from "../../../contract/processor_api.ts";
import { DatasetReadError } from "../core/read_error.ts";
import { type CurrentDataset, known, type SeekableLines } from "./reader.ts";

/** The lines of one file by their numbers, as its manifest has them. */

/** Bytes of a page of lines at most, however many lines were asked for. */
const PAGE_BYTES_MAX = 8 * 1024 * 1024;
/** Characters of a line that are shown: a prompt may have a million, and a page of such lines is held per visitor. */
const LINE_CHARACTERS_MAX = 4_000;
/** Where every so many-th line begins is remembered. */
const MARK_EVERY = 1_000;
/** Files whose marks are remembered; a file has 250,000 lines at most. */
const MARKED_FILES_MAX = 16;
const BLOCK_BYTES = 1024 * 1024;
/** Bytes that are looked through for the beginning of a line; what was found is remembered for who asks again. */
const LOOKED_THROUGH_BYTES_MAX = 512 * 1024 * 1024;

/** `before`: the lines below this number. `around`: those about this one, itself among them. Neither: the last ones. */
export type LinesQuery = {
  readonly file: string;
  readonly lines: number;
  readonly before: number | null;
  readonly around: number | null;
};

export class FileLines {
  readonly #marks = new Map<string, Marks>();

  constructor(private readonly dataset: CurrentDataset) {}

  /** Whole lines, oldest first; null where the manifests don't name the file. Throws {@link DatasetReadError}. */
  async page({ file: path, lines, before, around }: LinesQuery): Promise<DatasetTail | null> {
    using opened = await (await known(this.dataset))?.seekIn(path) ?? null;
    if (opened === null) return null;
    const { records } = opened.entry;
    const within = (line: number) => Math.min(Math.max(line, 1), records + 1);
    const wanted = before ?? (around === null ? records + 1 : around + Math.ceil(lines / 2));
    const page = await this.#below(within(wanted), { opened, path, lines });
    // Lines that fill a page may push the one that was asked for off it.
    return around === null || page.firstLine <= around || around < 1
      ? page
      : await this.#below(within(around + 1), { opened, path, lines });
  }

  async #below(
    line: number,
    { opened, path, lines }: {
      readonly opened: SeekableLines;
      readonly path: string;
      readonly lines: number;
    },
  ): Promise<DatasetTail> {
    const { entry: { records, bytes } } = opened;
    const end = line > records ? opened.bytes : await this.#beginningOf(line, { opened, path });
    const found = await linesBefore(opened, { end, lines });
    return { file: path, records, bytes, lines: found, firstLine: line - found.length };
  }

  async #beginningOf(
    line: number,
    { opened, path }: { readonly opened: SeekableLines; readonly path: string },
  ): Promise<number> {
    const { offsets } = this.#marksOf(path, opened.version);
    const from = Math.min(Math.floor((line - 1) / MARK_EVERY), offsets.length - 1);
    const begin = offsets[from]!;
    let number = 1 + from * MARK_EVERY;
    for (let at = begin; number < line && at < opened.bytes;) {
      if (at - begin > LOOKED_THROUGH_BYTES_MAX) {
        throw new DatasetReadError(
          `Cannot show line ${line} of "${path}" yet: it lies far into the file. Ask again, and it is looked for further on.`,
        );
      }
      const block = await opened.read({ from: at, bytes: Math.min(BLOCK_BYTES, opened.bytes - at) });
      if (block.length === 0) break;
      for (let end = block.indexOf(10); end >= 0; end = block.indexOf(10, end + 1)) {
        number++;
        if ((number - 1) / MARK_EVERY === offsets.length) offsets.push(at + end + 1);
        if (number === line) return at + end + 1;
      }
      at += block.length;
    }
    if (number === line) return begin;
    throw new DatasetReadError(
      `Cannot show line ${line} of "${path}": it has fewer lines than its manifest says.`,
    );
  }

  /** A file only grows, unless another one is put in its place. */
  #marksOf(path: string, version: number): Marks {
    const known = this.#marks.get(path);
    const marks = known?.version === version ? known : { version, offsets: [0] };
    this.#marks.delete(path);
    this.#marks.set(path, marks);
    if (this.#marks.size > MARKED_FILES_MAX) this.#marks.delete(this.#marks.keys().next().value!);
    return marks;
  }
}

/** Where the 1st, the 1,001st, … line of a file begins. */
type Marks = { readonly version: number; readonly offsets: number[] };

/** The last `lines` whole lines in the first `end` bytes, oldest first, long ones cut. */
async function linesBefore(
  opened: SeekableLines,
  { end, lines }: { readonly end: number; readonly lines: number },
): Promise<string[]> {
  const text = await readEnd(opened, { bytes: end, lines });
  return text.split("\n").slice(0, -1).slice(-lines).map(shown);
}

function shown(line: string): string {
  return line.length <= LINE_CHARACTERS_MAX ? line : `${line.slice(0, LINE_CHARACTERS_MAX).toWellFormed()}…`;
}

/** The end of the first `bytes`, from a line's beginning on, with at least `lines` lines where there are so many. */
async function readEnd(
  opened: SeekableLines,
  { bytes, lines }: { readonly bytes: number; readonly lines: number },
): Promise<string> {
  for (let length = 64 * 1024;; length *= 2) {
    const from = Math.max(0, bytes - Math.min(length, PAGE_BYTES_MAX));
    const block = await opened.read({ from, bytes: bytes - from });
    const begin = from === 0 ? 0 : block.indexOf(10) + 1;
    const end = block.lastIndexOf(10) + 1;
    const enough = from === 0 || length >= PAGE_BYTES_MAX || countLines(block.subarray(begin, end)) >= lines;
    if (enough) return block.toString("utf8", begin, Math.max(begin, end));
  }
}

function countLines(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) count++;
  return count;
}
