import { orNull } from "../../../contract/envelope.ts";
import { escapeLine } from "../../sanitise/mod.ts";
import { DatasetReadError } from "../core/read_error.ts";
import type { DatasetReader, RecordOfLine } from "./reader.ts";

/** What tells a line from others of its file; `text` gives the whole of it, asked for only where several fit. */
export type WantedLine = {
  readonly record: RecordOfLine;
  readonly event: string;
  readonly distinctId: string;
  readonly text: () => string;
};

/** `isWhole`: the file was looked through to its beginning, so that a line that was not found is not there. */
export type FoundLine =
  & { readonly file: string }
  & (
    | { readonly is: "line"; readonly line: number; readonly text: string; readonly prompt: string }
    | { readonly is: "none"; readonly isWhole: boolean }
  );

/**
 * Looks for lines at the ends of their files, as their manifests have them. A file's end is read once, however many lines
 * are looked for in it.
 */
export class LineFinder {
  readonly #ends = new Map<string, Promise<FileEnd | null>>();

  /** @param bytesMax Of one file's end. */
  constructor(private readonly reader: DatasetReader | null, private readonly bytesMax: number) {}

  /** Null where no file may hold it. */
  async find({ record, event, distinctId, text }: WantedLine): Promise<FoundLine | null> {
    const begin = escapeLine(JSON.stringify({ timestamp: record.timestamp, event })).slice(0, -1) + ",";
    const close = escapeLine(`,"distinct_id":${JSON.stringify(distinctId)}}`);
    let none: FoundLine | null = null;
    for (const file of this.reader?.pathsOf(event, record) ?? []) {
      const end = await this.#endOf(file);
      const fit = end?.lines.flatMap((line, i) =>
        line.startsWith(begin) && line.endsWith(close) ? [i] : []
      ) ??
        [];
      // Two events of one millisecond: what the sanitiser makes of this one's prompt tells them apart.
      const wanted = fit.length > 1 ? text().replace(/\n$/, "") : null;
      const found = fit.find((i) => end!.lines[i] === wanted) ?? fit.at(-1);
      if (end === null || found === undefined) {
        if (none?.is !== "none" || none.isWhole) none = { is: "none", file, isWhole: end?.isWhole ?? true };
        continue;
      }
      const line = end.lines[found]!;
      const prompt = orNull(() => JSON.parse(line).input_prompt as string) ?? "";
      return { is: "line", file, line: end.records - (end.lines.length - found) + 1, text: line, prompt };
    }
    return none;
  }

  #endOf(path: string): Promise<FileEnd | null> {
    const end = this.#ends.get(path) ?? this.#read(path);
    this.#ends.set(path, end);
    return end;
  }

  async #read(path: string): Promise<FileEnd | null> {
    try {
      using opened = await this.reader!.seekIn(path);
      if (opened === null) return null;
      const from = Math.max(0, opened.bytes - this.bytesMax);
      const block = await opened.read({ from, bytes: opened.bytes - from });
      const begin = from === 0 ? 0 : block.indexOf(10) + 1;
      const lines = block.toString("utf8", begin).split("\n").slice(0, -1);
      return { lines, records: opened.entry.records, isWhole: from === 0 };
    } catch (error) {
      // Another dataset takes its place just now.
      if (error instanceof DatasetReadError) return null;
      throw error;
    }
  }
}

/** The last `lines` of the `records` that a file has. */
type FileEnd = { readonly lines: readonly string[]; readonly records: number; readonly isWhole: boolean };
