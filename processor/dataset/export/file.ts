import { dirname, join } from "node:path";
import { isThere, writeAll } from "../../../runtime/durable_file.ts";
import type { StoredLine } from "../core/line_check.ts";

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

/** Where an export's files go. */
export type ExportOutput = {
  /** Begins the file of this path, which none has begun before. */
  open(path: string): OutputFile;
};

export type OutputFile = {
  /** Bytes are good until the next call. */
  write(bytes: Uint8Array): void;
  /** Ends it whole; on a disk: durable. */
  finish(): void;
  /** Lets go of it, whole or not; also after `finish`. */
  close(): void;
};

/** Into a directory, which must be there all the time; one of its own below it is made. */
export function directoryOutput(directory: string): ExportOutput {
  return {
    open(path) {
      const whole = join(directory, path);
      // Not with those above it: an erasure may have removed what is being written.
      if (dirname(path) !== "." && !isThere(dirname(whole))) Deno.mkdirSync(dirname(whole));
      const file = Deno.openSync(whole, { createNew: true, write: true });
      let isClosed = false;
      const close = () => {
        if (!isClosed) file.close();
        isClosed = true;
      };
      return {
        write: (bytes) => writeAll(file, bytes),
        finish: () => {
          file.syncDataSync();
          close();
        },
        close,
      };
    },
  };
}

/** One format's way of writing lines. */
export interface ExportSink {
  /** `raw`: the line as the dataset has it, without its line feed; good until the next call. */
  add(line: StoredLine, raw: Uint8Array): void;
  /** Ends every file, and names those that hold data. */
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
  readonly #file: OutputFile;
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  #filled = 0;

  constructor(output: ExportOutput, readonly path: string) {
    this.#file = output.open(path);
  }

  /** Adds a line, given without its line feed. */
  addLine(line: Uint8Array): void {
    this.#append(line);
    this.#append(LINE_FEED);
    this.bytes += line.length + 1;
    this.records++;
  }

  finish(): ExportedFile {
    this.#flush();
    this.#file.finish();
    const { path, bytes, records } = this;
    return { path, bytes, records };
  }

  close(): void {
    this.#file.close();
  }

  #append(bytes: Uint8Array): void {
    if (this.#filled + bytes.length > BUFFER_BYTES) this.#flush();
    if (bytes.length > BUFFER_BYTES) return this.#file.write(bytes);
    this.#buffer.set(bytes, this.#filled);
    this.#filled += bytes.length;
  }

  #flush(): void {
    if (this.#filled > 0) this.#file.write(this.#buffer.subarray(0, this.#filled));
    this.#filled = 0;
  }
}
