/**
 * What is counted of a file's lines beside their number: a function of the lines in their order, whoever counts them and in
 * whatever pieces, so that a replay and an erasure come to the same.
 */
export type LineFigures = {
  /** In the order of their first line. Null: lines without a reason. Pairs, as a reason may be any text, also `__proto__`. */
  readonly reasons: readonly ReasonCount[];
  /** Lines whose reason came when {@link REASONS_MAX} others were there. */
  readonly otherReasons: number;
  /** Lines by the length of their prompt: a number for each of {@link PROMPT_LENGTHS}, and one for all above. */
  readonly promptLengths: readonly number[];
};

/** What is counted of one line. */
export type CountedLine = { readonly reason: string | null; readonly promptLength: number };

export type ReasonCount = readonly [reason: string | null, lines: number];

/** Reasons that a file tells apart, beside those lines that have none: strangers choose them. */
export const REASONS_MAX = 20;
/** UTF-16 units of a reason that are kept; of a longer one the beginning stands for all that begin so. */
export const REASON_LENGTH_MAX = 80;
/** Upper ends, in UTF-16 units. */
export const PROMPT_LENGTHS: readonly number[] = Array.from({ length: 13 }, (_, i) => 16 * 2 ** i);

export const NO_FIGURES: LineFigures = {
  reasons: [],
  otherReasons: 0,
  promptLengths: Array.from({ length: PROMPT_LENGTHS.length + 1 }, () => 0),
};

/** Counts lines one by one, behind what was counted before. */
export class FigureCounter {
  readonly #reasons: Map<string | null, number>;
  readonly #promptLengths: number[];
  #other: number;

  /** `reasonsMax`: without a bound where what is counted here is to be added to what others have counted. */
  constructor(
    { reasons, otherReasons, promptLengths }: LineFigures = NO_FIGURES,
    private readonly reasonsMax = REASONS_MAX,
  ) {
    this.#reasons = new Map(reasons);
    this.#other = otherReasons;
    this.#promptLengths = [...promptLengths];
  }

  add({ reason, promptLength }: CountedLine): void {
    this.#promptLengths[lengthIndex(promptLength)]!++;
    this.#addReason(reason === null ? null : shortReason(reason), 1);
  }

  /** Lines behind those counted here, all reasons of which have been told apart. */
  addAll({ reasons, promptLengths }: LineFigures): void {
    promptLengths.forEach((lines, i) => this.#promptLengths[i]! += lines);
    for (const [reason, lines] of reasons) this.#addReason(reason, lines);
  }

  #addReason(reason: string | null, more: number): void {
    const lines = this.#reasons.get(reason);
    if (lines !== undefined) this.#reasons.set(reason, lines + more);
    else if (reason === null || this.#named < this.reasonsMax) this.#reasons.set(reason, more);
    else this.#other += more;
  }

  get #named(): number {
    return this.#reasons.size - (this.#reasons.has(null) ? 1 : 0);
  }

  figures(): LineFigures {
    return {
      reasons: [...this.#reasons],
      otherReasons: this.#other,
      promptLengths: [...this.#promptLengths],
    };
  }
}

/** How many lines were counted. */
export function countedIn({ promptLengths }: LineFigures): number {
  let lines = 0;
  for (const count of promptLengths) lines += count;
  return lines;
}

function lengthIndex(length: number): number {
  // 16 is 2⁴: what lies above 2ⁿ and up to 2ⁿ⁺¹ has n + 1.
  const index = length <= 16 ? 0 : 32 - Math.clz32(length - 1) - 4;
  return Math.min(index, PROMPT_LENGTHS.length);
}

function shortReason(reason: string): string {
  if (reason.length <= REASON_LENGTH_MAX) return reason;
  // Never half of a character of two units.
  const end = reason.charCodeAt(REASON_LENGTH_MAX - 2);
  return `${reason.slice(0, REASON_LENGTH_MAX - (end >= 0xd800 && end < 0xdc00 ? 2 : 1))}…`;
}
