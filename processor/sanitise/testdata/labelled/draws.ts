import { drawer, drawsOf } from "../samples.ts";

/** What is drawn by lot, the same for the same seed. */
export type Draws = ReturnType<typeof createDraws>;

export function createDraws(seed: number) {
  const next = drawer(seed);
  const { of, hex, alnum } = drawsOf(next);
  const below = (limit: number) => Math.floor(next() * limit);
  return {
    of,
    hex,
    alnum,
    below,
    digits: (length: number) => of("0123456789", length),
    one: <T>(choices: readonly T[]): T => choices[below(choices.length)]!,
    /** A number of two digits, both ends included. */
    two: (from: number, to: number) => String(from + below(to - from + 1)).padStart(2, "0"),
    shuffled: <T>(list: readonly T[]): T[] => {
      const out = [...list];
      for (let i = out.length - 1; i > 0; i--) {
        const j = below(i + 1);
        [out[i], out[j]] = [out[j]!, out[i]!];
      }
      return out;
    },
  };
}
