import { Buffer } from "node:buffer";
import { AddressFinder } from "./addresses.ts";
import { type Needle, NeedleFinder, type NeedleKind } from "./needles.ts";
import { readingsOf } from "./readings.ts";

/** What is looked for of a person. */
export type Wanted = {
  readonly needles: readonly Needle[];
  /** As `readAddress` normalises them. */
  readonly mailboxes: readonly string[];
};

/** Something of the person; `at` is where in the bytes as they lie. */
export type Hit = {
  readonly at: number;
  readonly kind: NeedleKind;
  /** Null for a mailbox. */
  readonly needle: number | null;
};

/** The longest address, and what its escapes may take. */
const ADDRESS_BYTES_MAX = 4096;
/** An address in base64. */
const REACH_MIN = 512;
/** `A` written as `\u0041`, twice escaped. */
const ESCAPED_FACTOR = 8;

/** Finds a person among bytes, whatever escapes and spellings stand there. */
export class Finder {
  readonly #needles: NeedleFinder;
  readonly #reach: number;
  readonly #addresses: AddressFinder;
  /** More than one hit takes, with its escapes. */
  readonly bytesMax: number;

  constructor(readonly wanted: Wanted) {
    this.#needles = new NeedleFinder(wanted.needles);
    this.#addresses = new AddressFinder(wanted.mailboxes);
    this.#reach = Math.max(REACH_MIN, 2 * this.#needles.bytesMax);
    this.bytesMax = Math.max(ADDRESS_BYTES_MAX, ESCAPED_FACTOR * this.#needles.bytesMax);
  }

  /** Every place once for each needle and once for a mailbox, in no order. */
  *find(bytes: Uint8Array): Generator<Hit> {
    const seen = new Set<string>();
    for (const hit of this.#found(bytes)) {
      const name = `${hit.needle ?? hit.kind}@${hit.at}`;
      if (seen.has(name)) continue;
      seen.add(name);
      yield hit;
    }
  }

  /** True where one of these kinds is there. */
  holds(bytes: Uint8Array, kinds: readonly NeedleKind[]): boolean {
    for (const { kind } of this.find(bytes)) if (kinds.includes(kind)) return true;
    return false;
  }

  *#found(bytes: Uint8Array): Generator<Hit> {
    for (const { text, placeOf } of readingsOf(bytes, this.#reach)) {
      for (const { needle, at } of this.#needles.find(Buffer.from(text, "latin1"))) {
        yield { at: placeOf(at), kind: this.wanted.needles[needle]!.kind, needle };
      }
      for (const at of this.#addresses.find(text)) yield { at: placeOf(at), kind: "address", needle: null };
    }
  }
}
