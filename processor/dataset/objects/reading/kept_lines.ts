import { Buffer } from "node:buffer";
import { DatasetReadError } from "../../core/read_error.ts";

/** Bytes of lines that are kept for who asks for another page of them. */
const KEPT_BYTES_MAX = 64 * 1024 * 1024;

/** The lines of objects as a whole, to be read at any place. An object never changes, so that the newest are kept. */
export class KeptLines {
  readonly #kept = new Map<string, Buffer>();
  #bytes = 0;
  #reading: Promise<unknown> = Promise.resolve();

  /** @param bytesMax Of one object's lines, unpacked. */
  constructor(private readonly place: string, private readonly bytesMax: number) {}

  /** One object at a time: each may fill its bound. */
  of(key: string, blocks: () => AsyncIterable<Uint8Array>): Promise<Buffer> {
    const reading = this.#reading.then(async () => {
      const known = this.#kept.get(key);
      this.#kept.delete(key);
      if (known) this.#kept.set(key, known);
      return known ?? this.#keep(key, await this.#read(key, blocks()));
    });
    this.#reading = reading.catch(() => {});
    return reading;
  }

  async #read(key: string, blocks: AsyncIterable<Uint8Array>): Promise<Buffer> {
    const parts: Uint8Array[] = [];
    let bytes = 0;
    for await (const block of blocks) {
      bytes += block.length;
      if (bytes > this.bytesMax) {
        throw new DatasetReadError(
          `Cannot show lines of "${this.place}/${key}": they are more than ${this.bytesMax} bytes, and an object is read ` +
            "whole for that. `deno task dataset cat` prints them.",
        );
      }
      parts.push(block.slice());
    }
    return Buffer.concat(parts);
  }

  #keep(key: string, lines: Buffer): Buffer {
    this.#kept.set(key, lines);
    this.#bytes += lines.length;
    for (const [oldest, { length }] of this.#kept) {
      if (this.#bytes <= KEPT_BYTES_MAX) break;
      this.#kept.delete(oldest);
      this.#bytes -= length;
    }
    return lines;
  }
}
