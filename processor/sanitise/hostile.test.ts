import { describe, expect, test } from "vitest";
import { CountedText, Looks, LOOKS_PER_CHARACTER_MAX, pattern, words } from "./counted_text.ts";
import { NO_KNOWN_VALUES, sanitise } from "./mod.ts";
import { replace } from "./replace.ts";
import { type Rule, RULES } from "./rules.ts";
import { looksOf, searchGrowth } from "./testdata/search_growth.ts";

describe("texts that once took the square of their length", () => {
  const names = Array.from({ length: 6 }, (_, i) => `${"a ".repeat(140 + i)}b`);
  test.each([
    ["an address literal without a dot", "a@[IPv6:ab] ", NO_KNOWN_VALUES],
    ["names that nearly stand in them", "a    ", { ...NO_KNOWN_VALUES, names }],
    ["a number that nearly stands in them", "1 1 1 1 1 1 1 1 3 ", {
      ...NO_KNOWN_VALUES,
      phones: ["+11111111112"],
    }],
    ["passwords that nothing parts", "密碼:5018", NO_KNOWN_VALUES],
    ["a credential's name as its value", "key: ", NO_KNOWN_VALUES],
    ["values that nothing ends", "token=", NO_KNOWN_VALUES],
    ["values that end in one another", "pw=", NO_KNOWN_VALUES],
    ["keys that begin in one another", "sk-a1-", NO_KNOWN_VALUES],
    ["numbers of accounts that nobody names", "account ", NO_KNOWN_VALUES],
    ["command lines that go on", "curl -u a:b ", NO_KNOWN_VALUES],
    ["digits", "1", { ...NO_KNOWN_VALUES, phones: ["+11111111111"] }],
  ])(
    "%s: as many looks per character at twice the length, and far fewer than it may take",
    (_, unit, known) => {
      const perCharacter = (length: number) => {
        const text = unit.repeat(length / unit.length);
        return looksOf(text, known) / text.length;
      };
      expect(perCharacter(128_000)).toBeLessThan(1.02 * perCharacter(64_000));
      expect(perCharacter(128_000)).toBeLessThan(LOOKS_PER_CHARACTER_MAX / 3);
    },
  );

  test("a private key's first line and a line of Base64 that does not end: each character is passed over once", () => {
    const perCharacter = (length: number) => {
      const text = `-----BEGIN PRIVATE KEY-----\n${"QUJDREVGR0hJ".repeat(length / 12)}`;
      return looksOf(text, NO_KNOWN_VALUES) / text.length;
    };
    expect(perCharacter(600_000)).toBeLessThan(1.02 * perCharacter(60_000));
  });
});

test(
  "no text over the rules' own alphabets makes them look more often per character when it is longer",
  () => {
    const { texts, grown, most } = searchGrowth({ seed: 20251130, perPattern: 1 });
    expect(texts).toBeGreaterThan(300);
    expect(grown).toEqual([]);
    expect(most.perCharacter).toBeLessThan(LOOKS_PER_CHARACTER_MAX);
  },
  120_000,
);

describe("the budget", () => {
  const text = "Write to bob@acme.io, call +1 415 555 0132";

  test("is counted, not timed: the same text takes the same looks", () => {
    expect(looksOf(text, NO_KNOWN_VALUES)).toBe(looksOf(text, NO_KNOWN_VALUES));
  });

  test("ends a text with the look that goes beyond it", () => {
    const looks = looksOf(text, NO_KNOWN_VALUES);
    expect(replace(text, NO_KNOWN_VALUES, new Looks(looks)).spans).toHaveLength(2);
    expect(() => replace(text, NO_KNOWN_VALUES, new Looks(looks - 1))).toThrow(
      "the rules looked at more than",
    );
  });

  test("ends a rule that looks at the same again and again: the text is refused as too complex", () => {
    const defective: Rule = {
      name: "defective",
      when: () => true,
      find: (text) => {
        while (text.indexOf("☠") < 0);
      },
    };
    (RULES as Rule[]).push(defective);
    try {
      expect(() => sanitise("x".repeat(1000))).toThrow(expect.objectContaining({ code: "too_complex" }));
    } finally {
      (RULES as Rule[]).pop();
    }
  });
});

describe("a counted text", () => {
  const counted = (text: string) => {
    const looks = new Looks(Infinity);
    return { looks, text: new CountedText(text, looks) };
  };

  test("gives a pattern what lies within its reach, and counts that", () => {
    const { looks, text } = counted("xaaaaaaaaaa");
    expect(text.find(pattern(/a/, /a+/, 3), 0)).toMatchObject({ start: 1, end: 4, text: "aaa" });
    expect(looks.spent).toBe("xa".length + "xaaa".length);
  });

  test("is searched by no pattern that repeats anything", () => {
    expect(() => words(/a+b/)).toThrow("it repeats");
    expect(() => words(/(?:ab){1,3}/)).toThrow("it repeats");
    expect(words(/[*+{]|\*|\p{L}/u).flags).toContain("g");
  });

  test("counts what is passed over in search of a word, also where there is none", () => {
    const { looks, text } = counted("x".repeat(100));
    expect(text.next(words(/b/), 0)).toBeNull();
    expect(text.indexOf("cd")).toBe(-1);
    expect(looks.spent).toBe(100 + 100 + 2);
  });
});
