import { constants, createGunzip, createZstdDecompress } from "node:zlib";
import type { Transform } from "node:stream";

/** The bytes end where more must come. */
export class CutOffError extends Error {
  override name = "CutOffError";
}

/** The bytes are not what their format says. */
export class DamagedError extends Error {
  override name = "DamagedError";
}

/** A codec holds so many bytes of what it has unpacked, and makes more when they are taken. */
export const UNPACKED_AT_ONCE = 16 * 1024;
const ONE_AT_A_TIME = { chunkSize: UNPACKED_AT_ONCE, highWaterMark: 1 };

/** A stream of bytes, of which some are taken before the others. */
export class Bytes {
  #left: Uint8Array = new Uint8Array();
  readonly #pieces: AsyncIterator<Uint8Array>;

  constructor(input: AsyncIterable<Uint8Array>) {
    this.#pieces = input[Symbol.asyncIterator]();
  }

  /** The next bytes without taking them: `count`, or fewer at the end. */
  async peek(count: number): Promise<Uint8Array> {
    while (this.#left.length < count) {
      const { value, done } = await this.#pieces.next();
      if (done) break;
      const both = new Uint8Array(this.#left.length + value.length);
      both.set(this.#left);
      both.set(value, this.#left.length);
      this.#left = both;
    }
    return this.#left.subarray(0, count);
  }

  /** Takes `count`; throws {@link CutOffError} where there are fewer. */
  async take(count: number): Promise<Uint8Array> {
    const bytes = await this.peek(count);
    if (bytes.length < count) throw new CutOffError();
    this.#left = this.#left.subarray(count);
    return bytes;
  }

  /** Takes up to `count` as they come, in pieces; throws {@link CutOffError} behind those that there are. */
  async *pass(count: number): AsyncGenerator<Uint8Array> {
    for (let left = count; left > 0;) {
      const { length } = await this.peek(1);
      if (length === 0) throw new CutOffError();
      const piece = this.#left.subarray(0, left);
      this.#left = this.#left.subarray(piece.length);
      left -= piece.length;
      yield piece;
    }
  }

  /** Lets go of what the bytes come from. */
  async leave(): Promise<void> {
    await this.#pieces.return?.();
  }

  /** All that is left. */
  async *rest(): AsyncGenerator<Uint8Array> {
    if (this.#left.length > 0) yield this.#left;
    for (let next = await this.#pieces.next(); !next.done; next = await this.#pieces.next()) yield next.value;
  }
}

/** Unpacks gzip (RFC 1952), all its members. What lies before an end too early or a damage comes out first. */
export async function* gunzip(packed: Bytes): AsyncGenerator<Uint8Array> {
  yield* through(createGunzip(ONE_AT_A_TIME), packed.rest());
}

/**
 * Unpacks Zstandard (RFC 8878, 3.1), frame by frame: of several the runtime's stream reads the first, and it says nothing
 * of one that is cut off. Skippable ones are left out. Windows of more than 128 MiB are refused, as `zstd` does itself.
 */
export async function* unzstd(packed: Bytes): AsyncGenerator<Uint8Array> {
  for (;;) {
    if ((await packed.peek(1)).length === 0) return;
    const magic = littleEndian(await packed.peek(4));
    if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE) {
      await packed.take(4);
      const bytes = littleEndian(await packed.take(4));
      for await (const _ of packed.pass(bytes));
    } else {
      if (magic !== FRAME) {
        if ((await packed.peek(4)).length < 4) throw new CutOffError();
        throw new DamagedError("no Zstandard frame begins where one must");
      }
      const params = { [constants.ZSTD_d_windowLogMax]: 27 };
      yield* through(createZstdDecompress({ ...ONE_AT_A_TIME, params }), frame(packed));
    }
  }
}

const FRAME = 0xfd2fb528;
const SKIPPABLE = 0x184d2a50;
const DICTIONARY_ID_BYTES = [0, 1, 2, 4];
const RUN_LENGTH = 1;

/** The bytes of one frame, by its lengths alone. */
async function* frame(packed: Bytes): AsyncGenerator<Uint8Array> {
  const head = await packed.take(5);
  yield head;
  const flags = head[4]!;
  const isSingleSegment = (flags & 0x20) !== 0;
  const sizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][flags >>> 6]!;
  yield* packed.pass((isSingleSegment ? 0 : 1) + DICTIONARY_ID_BYTES[flags & 3]! + sizeBytes);
  for (let isLast = false; !isLast;) {
    const header = await packed.take(3);
    const block = littleEndian(header);
    isLast = (block & 1) === 1;
    yield header;
    yield* packed.pass((block >>> 1 & 3) === RUN_LENGTH ? 1 : block >>> 3);
  }
  if ((flags & 0x04) !== 0) yield* packed.pass(4);
}

function littleEndian(bytes: Uint8Array): number {
  return bytes.reduceRight((value, byte) => value * 256 + byte, 0);
}

/** What a codec makes of the pieces. Everything that it has made is given before the next piece, so that no error takes it away. */
async function* through(codec: Transform, pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let failure: Error | null = null;
  let isOver = false;
  let wake = () => {};
  codec.on("readable", () => wake());
  codec.on("end", () => {
    isOver = true;
    wake();
  });
  codec.on("error", (error) => {
    failure = error;
    wake();
  });
  async function* made(isDone: () => boolean): AsyncGenerator<Uint8Array> {
    for (;;) {
      for (let bytes = codec.read(); bytes !== null; bytes = codec.read()) yield bytes;
      if (failure !== null) throw codecError(failure);
      if (isDone()) return;
      await new Promise<void>((resolve) => wake = resolve);
    }
  }
  try {
    for await (const piece of pieces) {
      let isTaken = false;
      codec.write(piece, () => {
        isTaken = true;
        wake();
      });
      yield* made(() => isTaken);
    }
    codec.end();
    yield* made(() => isOver);
  } finally {
    codec.destroy();
  }
}

function codecError(error: Error & { code?: string }): Error {
  return error.code === "Z_BUF_ERROR" ? new CutOffError() : new DamagedError(error.message);
}
