import { hash, randomBytes } from "node:crypto";
import { promisify } from "node:util";
import { gzip, zstdCompress } from "node:zlib";
import { giveBack } from "../../../runtime/give_back.ts";
import { addOutcomes } from "../chunk.ts";
import { FigureCounter } from "../core/figures.ts";
import type { AdoptedCount } from "../core/added_partitions.ts";
import type { CommitObject } from "../core/commit.ts";
import { type Compression, directoryOf, objectPath } from "../core/path.ts";
import { addReceived, type MinuteCount } from "../core/received.ts";
import type { RecordMark } from "../core/record_mark.ts";
import type { Advance, FileAddition, OutcomeCounts, PendingLetter } from "../store.ts";

/**
 * What was advanced to and is not durable: lines in memory until they are objects. The lines of all objects lie together in
 * the order in which they came: thousands of buffers that grow and go, each on its own, would leave the memory in shreds that
 * the operating system never gets back.
 */

const PIECE_BYTES_FIRST = 512;
const PIECE_BYTES_MAX = 1024 * 1024;
/** What an open object costs beside its text, as measured: counters, names, reasons. */
const OBJECT_OVERHEAD_BYTES = 1024;
const LETTER_OVERHEAD_BYTES = 256;
/** Letters of one commit above which it is due: they lie in it as a whole. */
const LETTERS_MAX = 20_000;

/** Text in few buffers, each as large as those before it together: nothing is copied as it grows, and at most half is empty. */
export class GatheredText {
  readonly #pieces: { readonly from: number; readonly bytes: Uint8Array }[] = [];
  /** Of the text. */
  bytes = 0;
  /** Of memory. */
  room = 0;

  add(text: Uint8Array): void {
    for (let from = 0; from < text.length;) {
      if (this.bytes === this.room) this.#grow(text.length - from);
      const piece = this.#pieces.at(-1)!;
      const used = this.bytes - piece.from;
      const part = text.subarray(from, from + piece.bytes.length - used);
      piece.bytes.set(part, used);
      from += part.length;
      this.bytes += part.length;
    }
  }

  /** Parts of it as one text of `bytes`; `ranges`: where each begins and ends, in turns, ascending. */
  copy(ranges: readonly number[], bytes: number): Uint8Array {
    const whole = new Uint8Array(bytes);
    let [at, piece] = [0, 0];
    for (let i = 0; i < ranges.length; i += 2) {
      for (let from = ranges[i]!; from < ranges[i + 1]!;) {
        while (from >= this.#pieces[piece]!.from + this.#pieces[piece]!.bytes.length) piece++;
        const { from: start, bytes } = this.#pieces[piece]!;
        const part = bytes.subarray(from - start, ranges[i + 1]! - start);
        whole.set(part, at);
        at += part.length;
        from += part.length;
      }
    }
    return whole;
  }

  /** The whole text; the buffers are given up one by one. */
  take(): Uint8Array {
    const whole = new Uint8Array(this.bytes);
    for (const { from, bytes } of this.#pieces.splice(0)) {
      whole.set(bytes.subarray(0, this.bytes - from), from);
      giveBack(bytes);
    }
    return whole;
  }

  /** Nobody reads it any more. */
  free(): void {
    for (const { bytes } of this.#pieces.splice(0)) giveBack(bytes);
  }

  #grow(more: number): void {
    const size = Math.min(PIECE_BYTES_MAX, Math.max(PIECE_BYTES_FIRST, this.room, more));
    this.#pieces.push({ from: this.room, bytes: new Uint8Array(size) });
    this.room += size;
  }
}

/** The lines of one directory on their way to one object. */
export class GatheredObject {
  records = 0;
  /** Of its lines. */
  bytes = 0;
  readonly placeholders: Record<string, number> = {};
  readonly figures = new FigureCounter();
  /** Where its lines begin and end in the text, in turns. */
  readonly #ranges: number[] = [];
  readonly #text: GatheredText;
  readonly #isShared: boolean;

  constructor(
    readonly directory: string,
    /** None of its lines has a lower one. */
    readonly firstOffset: number,
    readonly sanitiserVersion: string,
    /** Where its lines lie among those of others; default: alone. */
    shared?: GatheredText,
  ) {
    this.#isShared = shared !== undefined;
    this.#text = shared ?? new GatheredText();
  }

  add({ records, text, placeholders, figures }: FileAddition): void {
    this.records += records;
    const from = this.#text.bytes;
    for (const piece of text) this.#text.add(piece);
    const to = this.#text.bytes;
    this.bytes += to - from;
    if (this.#ranges.at(-1) === from) this.#ranges[this.#ranges.length - 1] = to;
    else this.#ranges.push(from, to);
    for (const [entity, count] of Object.entries(placeholders)) {
      this.placeholders[entity] = (this.placeholders[entity] ?? 0) + count;
    }
    this.figures.addAll(figures);
  }

  /** Its lines; where they lie alone their memory is given up. */
  lines(): Uint8Array {
    return this.#isShared ? this.#text.copy(this.#ranges, this.bytes) : this.#text.take();
  }
}

/** Everything that one commit will make durable. */
export class Gathered {
  /** By directory and sanitiser. */
  readonly objects = new Map<string, GatheredObject>();
  readonly #text = new GatheredText();
  nextOffset: number;
  readonly letters: PendingLetter[] = [];
  outcomes: OutcomeCounts | undefined;
  minutes: readonly MinuteCount[] | undefined;
  last: RecordMark | undefined;
  counts: readonly AdoptedCount[] = [];
  #overhead = 0;
  objectBytesMax = 0;
  /** When it was first advanced, by the monotonic clock in ms. */
  since: number | null = null;

  constructor(readonly from: number) {
    this.nextOffset = from;
  }

  /** Bytes of memory. */
  get room(): number {
    return this.#text.room + this.#overhead;
  }

  get isEmpty(): boolean {
    return this.nextOffset === this.from && this.counts.length === 0 && this.letters.length === 0;
  }

  get hasManyLetters(): boolean {
    return this.letters.length >= LETTERS_MAX;
  }

  advance({ additions, nextOffset, letters, last, outcomes, minutes, sanitiserVersion }: Advance): void {
    for (const [path, addition] of additions) {
      const directory = directoryOf(path);
      const name = `${directory} ${sanitiserVersion}`;
      let object = this.objects.get(name);
      if (!object) {
        object = new GatheredObject(directory, this.nextOffset, sanitiserVersion, this.#text);
        this.objects.set(name, object);
        this.#overhead += OBJECT_OVERHEAD_BYTES;
      }
      object.add(addition);
      this.objectBytesMax = Math.max(this.objectBytesMax, object.bytes);
    }
    this.letters.push(...letters);
    this.#overhead += letters.length * LETTER_OVERHEAD_BYTES;
    if (last) this.last = last;
    if (outcomes) this.outcomes = this.outcomes ? addOutcomes(this.outcomes, outcomes) : { ...outcomes };
    if (minutes) this.minutes = addReceived(this.minutes ?? [], minutes);
    this.nextOffset = nextOffset;
  }

  /** Its lines are durable, or nobody waits for them any more. */
  free(): void {
    this.#text.free();
  }
}

/** An object that is ready to be put, under whichever number. */
export type PackedObject = Omit<CommitObject, "path"> & {
  readonly directory: string;
  readonly firstOffset: number;
  readonly body: Uint8Array;
};

export async function packObject(object: GatheredObject, compression: Compression): Promise<PackedObject> {
  const lineBytes = object.bytes;
  const body = await pack(object.lines(), compression);
  return {
    directory: object.directory,
    firstOffset: object.firstOffset,
    body,
    bytes: body.length,
    ...(compression === "none" ? {} : { lineBytes }),
    records: object.records,
    sha256: hash("sha256", body),
    placeholders: object.placeholders,
    sanitiserVersion: object.sanitiserVersion,
    figures: copied(object.figures.figures()),
  };
}

/** An object's path under a number, and what its commit says of it. */
export function namedUnder(
  { directory, firstOffset, body: _, ...entry }: PackedObject,
  { commit, partition, compression }: {
    readonly commit: number;
    readonly partition: number;
    readonly compression: Compression;
  },
): CommitObject {
  const random = randomBytes(8).toString("hex");
  return { path: objectPath(directory, { partition, firstOffset, commit, random, compression }), ...entry };
}

function copied({ reasons, otherReasons, promptLengths }: ReturnType<FigureCounter["figures"]>) {
  return {
    reasons: reasons.map(([reason, lines]): [string | null, number] => [reason, lines]),
    otherReasons,
    promptLengths: [...promptLengths],
  };
}

const [gzipped, zstandard] = [promisify(gzip), promisify(zstdCompress)];

async function pack(text: Uint8Array, compression: Compression): Promise<Uint8Array> {
  if (compression === "none") return text;
  const packed = await (compression === "gzip" ? gzipped : zstandard)(text);
  giveBack(text);
  return packed;
}
