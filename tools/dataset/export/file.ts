import { join } from "node:path";
import { writeAll } from "../../../runtime/durable_file.ts";
import type { StoredLine } from "../../../processor/dataset/mod.ts";

/** What an export's files have in common, whatever their format. */

/** A data file of an export, as its report names it. */
export type ExportedFile = { readonly path: string; readonly bytes: number; readonly records: number };

/** What is known about the exported lines. */
export type ExportFacts = {
  readonly datasetId: string;
  /** When the export began, ISO 8601. */
  readonly createdAt: string;
  /** Sanitisers that wrote the lines, in the order of their first one. */
  readonly sanitiserVersions: readonly string[];
  /** Event names, in the order of the lines. */
  readonly events: readonly string[];
  /** First and last UTC day; null where there is no line. */
  readonly dates: { readonly first: string; readonly last: string } | null;
};

/** One format's way of writing lines into an empty directory. */
export interface ExportSink {
  /** `raw`: the line as the dataset has it, without its line feed; good until the next call. */
  add(line: StoredLine, raw: Uint8Array): void;
  /** Ends every file, durable, and names those that hold data. */
  finish(facts: ExportFacts): Promise<readonly ExportedFile[]>;
  /** What the format has to say beside its files; after `finish`. */
  report?(): Readonly<Record<string, unknown>>;
  /** Lets go of what is open; where an export failed, and also after `finish`. */
  close(): void;
}

const BUFFER_BYTES = 1024 * 1024;
const LINE_FEED = new Uint8Array([10]);

/** A growing file of lines, written in large pieces. */
export class LinesFile {
  bytes = 0;
  records = 0;
  readonly #file: Deno.FsFile;
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  #filled = 0;
  #isClosed = false;

  constructor(directory: string, readonly path: string) {
    this.#file = Deno.openSync(join(directory, path), { createNew: true, write: true });
  }

  /** Adds a line, given without its line feed. */
  addLine(line: Uint8Array): void {
    this.#append(line);
    this.#append(LINE_FEED);
    this.bytes += line.length + 1;
    this.records++;
  }

  /** Makes it durable and closes it. */
  finish(): ExportedFile {
    this.#flush();
    this.#file.syncDataSync();
    this.close();
    const { path, bytes, records } = this;
    return { path, bytes, records };
  }

  close(): void {
    if (!this.#isClosed) this.#file.close();
    this.#isClosed = true;
  }

  #append(bytes: Uint8Array): void {
    if (this.#filled + bytes.length > BUFFER_BYTES) this.#flush();
    if (bytes.length > BUFFER_BYTES) return writeAll(this.#file, bytes);
    this.#buffer.set(bytes, this.#filled);
    this.#filled += bytes.length;
  }

  #flush(): void {
    writeAll(this.#file, this.#buffer.subarray(0, this.#filled));
    this.#filled = 0;
  }
}
