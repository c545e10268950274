import { Looks, LOOKS_PER_CHARACTER_MAX } from "../counted_text.ts";
import { type KnownValues, NO_KNOWN_VALUES } from "../mod.ts";
import { replace } from "../replace.ts";
import { alphabetsOf, hostileTexts } from "./hostile_texts.ts";

/** What the rules look at in a text, however much it is. */
export function looksOf(text: string, known: KnownValues): number {
  const looks = new Looks(Infinity);
  replace(text, known, looks);
  return looks.spent;
}

/** A text and what it takes, in looks per character. */
export type Costly = { readonly name: string; readonly perCharacter: number };

export type Growth = {
  readonly texts: number;
  /** Those that took more per character when they were longer. */
  readonly grown: readonly string[];
  readonly most: Costly;
};

/** Lengths that are compared, in UTF-16 units; the first pair is over the length of every window. */
const LENGTHS = [[3_000, 6_000], [24_000, 48_000]] as const;
/** Twice the length at the same looks per character is 1; a square is 2. */
const GROWTH_MAX = 1.2;

/** Searches texts over the rules' own alphabets for one that takes more looks per character the longer it is. */
export function searchGrowth(
  { seed, perPattern, look }: {
    readonly seed: number;
    readonly perPattern: number;
    /** Is given each text that was tried. */
    readonly look?: (costly: Costly, at: (length: number) => string, known: KnownValues) => void;
  },
): Growth {
  const grown: string[] = [];
  let texts = 0;
  let most: Costly = { name: "", perCharacter: 0 };
  const alphabets = alphabetsOf(new URL("../", import.meta.url));
  for (const { name, at, names, phones } of hostileTexts(alphabets, { seed, perPattern })) {
    const known = { ...NO_KNOWN_VALUES, names, phones };
    const perCharacter = (length: number) => {
      const text = at(length);
      return looksOf(text, known) / text.length;
    };
    // What grows at the smaller pair may only have met more of its rounds; a square grows at every pair.
    const grows = LENGTHS.every(([length, twice]) => perCharacter(twice) > GROWTH_MAX * perCharacter(length));
    if (grows) grown.push(name);
    const costly = { name, perCharacter: perCharacter(LENGTHS[0][1]) };
    if (costly.perCharacter > most.perCharacter) most = costly;
    if (costly.perCharacter > LOOKS_PER_CHARACTER_MAX) grown.push(`${name}: over the budget`);
    look?.(costly, at, known);
    texts++;
  }
  return { texts, grown, most };
}
