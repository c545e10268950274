import { type CountedLine, FigureCounter, type LineFigures } from "./figures.ts";

/** Lines that are packed together: until then each of them lives as a text of its own. */
const PACKED_TOGETHER = 64;

/** What a chunk adds to a file: its lines as bytes, which cost the garbage collector nothing, and what is counted of them. */
export class AddedLines {
  records = 0;
  /** Replaced spans by entity. */
  readonly placeholders: Record<string, number> = {};
  readonly #figures = new FigureCounter(undefined, Infinity);
  readonly #text: Uint8Array[] = [];
  #waiting: string[] = [];

  /** `line` with its line feed; answers which of the added ones it is, from 1 on. */
  add(
    line: string,
    { placeholders, ...counted }: CountedLine & {
      /** One entity per replaced span, repeats included. */
      readonly placeholders: readonly string[];
    },
  ): number {
    this.#figures.add(counted);
    for (const entity of placeholders) this.placeholders[entity] = (this.placeholders[entity] ?? 0) + 1;
    if (this.#waiting.push(line) === PACKED_TOGETHER) this.#pack();
    return ++this.records;
  }

  /** UTF-8, in pieces. */
  get text(): readonly Uint8Array[] {
    if (this.#waiting.length > 0) this.#pack();
    return this.#text;
  }

  /** All reasons are told apart, however many there are. */
  get figures(): LineFigures {
    return this.#figures.figures();
  }

  #pack(): void {
    this.#text.push(encoder.encode(this.#waiting.join("")));
    this.#waiting = [];
  }
}

const encoder = new TextEncoder();
