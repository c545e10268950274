import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Finder } from "./finder.ts";
import { NeedleFinder, needlesOfName, needlesOfPrompt } from "./needles.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const found = (finder: NeedleFinder, text: string) => [...finder.find(bytes(text))].map(({ at }) => at);
const holds = (name: string, text: string, kind: "id" | "address" = "id") =>
  new Finder({ needles: needlesOfName(name, kind), mailboxes: [] }).holds(bytes(text), [kind]);

describe("an id or an address", () => {
  test.each([
    ["plain", "user-0001", '{"distinct_id":"user-0001"}'],
    ["in a path", "user-0001", "https://x.example/person/user-0001"],
    ["percent-encoded", "ada@example.org", "/person/ada%40example.org"],
    ["as JSON", 'a "quoted" id', JSON.stringify({ id: 'a "quoted" id' })],
    ["as ASCII JSON", "jürgen-77", '{"id":"j\\u00fcrgen-77"}'],
    ["behind a JSON escape", "user-0001", '{"text":"hello\\nuser-0001"}'],
    ["at the end of a sentence", "ada@example.org", "write to ada@example.org."],
  ])("is found %s", (_, name, text) => {
    expect(holds(name, text)).toBe(true);
  });

  test.each([
    ["user-1000", "user-10001"],
    ["user-1000", "superuser-1000"],
    ["user-1000", "user-1000-old"],
    ["ada@example.org", "mary.ada@example.org"],
    ["ada@example.org", "ada@example.org.uk"],
  ])("%s is not taken for a part of %s", (name, text) => {
    expect(holds(name, text)).toBe(false);
  });

  test("a short one counts only in quotes", () => {
    expect(holds("42", '{"distinct_id":"42"}')).toBe(true);
    expect(holds("42", '{"count":42,"text":"page 42"}')).toBe(false);
  });
});

describe("a prompt", () => {
  test("is found by its beginning, as it is and as JSON", () => {
    const prompt = `Write "a poem"\nabout ${"winter ".repeat(100)}`;
    const finder = new NeedleFinder(needlesOfPrompt(prompt));
    expect(found(finder, `x${prompt}`)).toEqual([1]);
    expect(found(finder, JSON.stringify({ prompt }))).toEqual([11]);
  });

  test("that is too short says nothing of anybody", () => {
    expect(needlesOfPrompt("write a poem")).toEqual([]);
  });
});

test("find() finds what a plain search finds, whatever the needles share", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 2, maxLength: 12 });
  fc.assert(fc.property(fc.array(text, { minLength: 1, maxLength: 8 }), text, (names, hay) => {
    const finder = new NeedleFinder(
      names.map((name) => ({ kind: "id", bytes: bytes(name), whole: false })),
    );
    const expected = names.flatMap((name, needle) =>
      [...hay].flatMap((_, at) => hay.startsWith(name, at) ? [`${needle}@${at}`] : [])
    );
    const hits = [...finder.find(bytes(hay))].map(({ needle, at }) => `${needle}@${at}`);
    expect(hits.sort()).toEqual(expected.sort());
  }));
});
