import { orNull } from "../../../contract/envelope.ts";
import { DatasetReadError } from "../core/read_error.ts";
import { escapeLine } from "../../sanitise/mod.ts";
import { readRange } from "./lines.ts";
import { DatasetFiles } from "./reader.ts";

/** What tells a line from others of its file; `text` gives the whole of it, asked for only where several fit. */
export type WantedLine = {
  readonly path: string;
  readonly timestamp: string;
  readonly event: string;
  readonly distinctId: string;
  readonly text: () => string;
};

/** `isWhole`: the file was looked through to its beginning, so that a line that was not found is not there. */
export type FoundLine =
  | { readonly is: "line"; readonly line: number; readonly text: string; readonly prompt: string }
  | { readonly is: "none"; readonly isWhole: boolean };

/**
 * Looks for lines at the ends of their files, as their manifests have them. A file's end is read once, however many lines
 * are looked for in it.
 */
export class LineFinder {
  readonly #ends = new Map<string, FileEnd | null>();
  #files: DatasetFiles | null = null;

  /** @param bytesMax Of one file's end. */
  constructor(private readonly datasetDir: string, private readonly bytesMax: number) {}

  find({ path, timestamp, event, distinctId, text }: WantedLine): FoundLine {
    const end = this.#endOf(path);
    if (end === null) return { is: "none", isWhole: true };
    const begin = escapeLine(JSON.stringify({ timestamp, event })).slice(0, -1) + ",";
    const close = escapeLine(`,"distinct_id":${JSON.stringify(distinctId)}}`);
    const fit = end.lines.flatMap((line, i) => line.startsWith(begin) && line.endsWith(close) ? [i] : []);
    // Two events of one millisecond: what the sanitiser makes of this one's prompt tells them apart.
    const wanted = fit.length > 1 ? text().replace(/\n$/, "") : null;
    const found = fit.find((i) => end.lines[i] === wanted) ?? fit.at(-1);
    if (found === undefined) return { is: "none", isWhole: end.isWhole };
    const line = end.lines[found]!;
    const prompt = orNull(() => JSON.parse(line).input_prompt as string) ?? "";
    return { is: "line", line: end.records - (end.lines.length - found) + 1, text: line, prompt };
  }

  #endOf(path: string): FileEnd | null {
    const known = this.#ends.get(path);
    if (known !== undefined) return known;
    const end = this.#read(path);
    this.#ends.set(path, end);
    return end;
  }

  #read(path: string): FileEnd | null {
    try {
      this.#files ??= new DatasetFiles(this.datasetDir);
      const opened = this.#files.open(path);
      if (opened === null) return null;
      using file = opened.file;
      const bytes = Math.min(opened.entry.bytes, opened.size);
      const from = Math.max(0, bytes - this.bytesMax);
      const block = readRange(file, { from, bytes: bytes - from });
      const begin = from === 0 ? 0 : block.indexOf(10) + 1;
      const lines = block.toString("utf8", begin).split("\n").slice(0, -1);
      return { lines, records: opened.entry.records, isWhole: from === 0 };
    } catch (error) {
      // No dataset yet, or another one takes its place just now.
      if (error instanceof DatasetReadError || error instanceof Deno.errors.NotFound) return null;
      throw error;
    }
  }
}

/** The last `lines` of the `records` that a file has. */
type FileEnd = { readonly lines: readonly string[]; readonly records: number; readonly isWhole: boolean };
