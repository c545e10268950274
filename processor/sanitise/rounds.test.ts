import { expect, test } from "vitest";
import { CountedText, Looks } from "./counted_text.ts";
import { findKnownValues } from "./known.ts";
import { type KnownValues, NO_KNOWN_VALUES, sanitise, type Span } from "./mod.ts";
import { replace } from "./replace.ts";
import { RULES, traitsOf } from "./rules.ts";
import { alphabetsOf, hostileTexts } from "./testdata/hostile_texts.ts";
import { drawer } from "./testdata/samples.ts";

/** Every rule of every round, over a text of which nothing is known but itself. */
function naively(source: string, known: KnownValues): Span[] {
  const looks = new Looks(Infinity);
  const hits: Span[] = [];
  let text = source;
  const step = (
    find: (text: CountedText, report: (entity: Span["entity"], start: number, end: number) => void) => void,
  ) => {
    const found: Span[] = [];
    find(
      new CountedText(text, looks),
      (entity, start, end) => end > start && found.push({ start, end, entity }),
    );
    let floor = 0;
    for (const hit of found.sort((a, b) => a.start - b.start || b.end - a.end)) {
      if (hit.start < floor) continue;
      hits.push(hit);
      text = text.slice(0, hit.start) + "\0".repeat(hit.end - hit.start) + text.slice(hit.end);
      floor = hit.end;
    }
  };
  for (let round = 0; round < 8; round++) {
    const before = hits.length;
    const traits = traitsOf(text);
    step((text, report) => findKnownValues(text, { known, traits }, report));
    for (const { when, find } of RULES) {
      if (!when(traits, new CountedText(text, looks))) continue;
      step((text, report) => find(text, report, traitsOf(text.whole()), () => null));
    }
    if (hits.length === before) break;
  }
  return hits.sort((a, b) => a.start - b.start);
}

const KNOWN: KnownValues = {
  ...NO_KNOWN_VALUES,
  names: ["Jane Miller", "Will"],
  emails: ["jane@example.com"],
};

function* texts(): Generator<string> {
  const alphabets = alphabetsOf(new URL(".", import.meta.url));
  const samples = [...alphabets.keys()].filter((sample) =>
    sample.length <= 120 && !/[^\t\n\r\x20-\x7e]/.test(sample)
  );
  yield* samples;
  const next = drawer(18);
  const below = (limit: number) => Math.floor(next() * limit);
  for (let i = 0; i < 2500; i++) {
    const glue = [" ", "", "\n", ": ", ", ", "=", " Jane Miller "][below(7)]!;
    yield Array.from({ length: 2 + below(12) }, () => samples[below(samples.length)]!).join(glue);
  }
  for (const { at } of hostileTexts(alphabets, { seed: 18, perPattern: 1 })) {
    const text = at(300);
    if (!/[^\t\n\r\x20-\x7e]/.test(text)) yield text;
  }
}

test(
  "rules that a round passes over, and places that a rule does, would have held nothing: all is found as by every rule in every round",
  () => {
    let found = 0;
    for (const text of texts()) {
      // A placeholder that a text brings along is hidden before the first round.
      if (/<[A-Z_]+>/.test(text)) continue;
      const { spans } = replace(text, KNOWN, new Looks(Infinity));
      expect({ text, spans }).toEqual({ text, spans: naively(text, KNOWN) });
      found += spans.length;
    }
    expect(found).toBeGreaterThan(3000);
  },
  60_000,
);

test("a placeholder's own letters ask for no rule that the text itself does not", () => {
  const once = sanitise("Basic a1234567 (415) 555-0132").text;
  expect(once).toBe("Basic a1234567 <PHONE_NUMBER>");
  expect(sanitise(once).text).toBe(once);
});
