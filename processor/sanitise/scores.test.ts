import { describe, expect, test } from "vitest";
import { type Entity, sanitise } from "./mod.ts";
import { ENTITIES } from "./rules.ts";
import { HELD_OUT, score, type Scores, scoresInMarkdown } from "./testdata/labelled/scores.ts";
import { labelledTexts } from "./testdata/labelled/texts.ts";

/** Least shares of values that are hidden, and found as what they are; a name is missing where both are {@link FLOOR}. */
const FLOORS: Readonly<Partial<Record<Entity, number>>> = {
  // Of letters alone, and in a sentence without "is" or a colon.
  PASSWORD: 0.95,
};
const FLOOR = 0.97;
const PRECISION_FLOOR = 0.98;
/** One clean text of a thousand may come out altered. */
const ALTERED_MAX = 0.001;

const TEXTS = labelledTexts(HELD_OUT);
const SPANS = new Map(TEXTS.map(({ text }) => [text, sanitise(text).spans]));
const SCORES = score(TEXTS, (text) => SPANS.get(text)!);

const PAGE = Deno.readTextFileSync(new URL("../../docs/sanitiser.md", import.meta.url));

/** Entities that are found less often, or elsewhere more often, than they may be. */
function short(scores: Scores): string[] {
  return Object.entries(scores.entities).filter(([entity, { values, hidden, typed, places, right }]) => {
    const floor = (FLOORS[entity as Entity] ?? FLOOR) * values;
    return hidden < floor || typed < floor || right < PRECISION_FLOOR * places;
  }).map(([entity]) => entity);
}

describe("generated texts of templates that no rule was written by", () => {
  test("hold a hundred values of every entity, and clean texts", () => {
    expect(Object.values(SCORES.entities).map(({ values }) => values)).toEqual(ENTITIES.map(() => 100));
    expect(SCORES.clean).toBeGreaterThan(2000);
  });

  test("every entity is found as often as it must be, and nowhere else", () =>
    expect(short(SCORES)).toEqual([]));

  test("of a thousand clean texts one may come out altered", () =>
    expect(SCORES.altered).toBeLessThanOrEqual(ALTERED_MAX * SCORES.clean));

  test.each(ENTITIES)("a sanitiser that knows no %s falls short", (entity) => {
    const without = score(TEXTS, (text) => SPANS.get(text)!.filter((span) => span.entity !== entity));
    expect(short(without)).toEqual([entity]);
  });

  test("a sanitiser that takes words for names alters too much", () => {
    const greedy = score(TEXTS, (text) => [{ start: 0, end: text.length, entity: "PERSON" }]);
    expect(greedy.altered).toBe(greedy.clean);
    expect(short(greedy)).toEqual([...ENTITIES]);
  });

  test("docs/sanitiser.md shows code that stands in the files it names", () => {
    const blocks = [...PAGE.matchAll(/```text\n +\/\/ (\S+)\n([^]*?)\n +```/g)];
    expect(blocks.length).toBe(3);
    for (const [, file, code] of blocks) {
      const source = Deno.readTextFileSync(new URL(`../../${file}`, import.meta.url));
      for (const line of code!.split("\n")) expect(source).toContain(line.trim());
    }
  });

  test("docs/sanitiser.md shows what `deno task bench sanitise_scores` prints", () => {
    expect(PAGE).toContain(scoresInMarkdown(SCORES));
  });
});
