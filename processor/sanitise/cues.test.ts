import fc from "fast-check";
import { expect, test } from "vitest";
import { CREDENTIAL_CUES, FOREIGN_PASSWORD_CUES } from "./credentials.ts";
import { COLUMN_BITS, createCues } from "./cues.ts";
import { ACCOUNT_CUES, LICENCE_CUES, PASSPORT_CUES } from "./documents.ts";
import { SPELLED_CUES } from "./emails.ts";
import { INTRODUCTION_CUES } from "./people.ts";
import { isBare, RULES, traitsOf } from "./rules.ts";
import { CountedText, Looks } from "./counted_text.ts";

function cuesIn(text: string, lists: readonly (readonly string[])[]): number {
  const { columnOf, next, bits, ends } = createCues(lists);
  let state = 0;
  let cues = 0;
  for (let i = 0; i < text.length; i++) {
    state = next[state << COLUMN_BITS | columnOf[text.charCodeAt(i)]!]!;
    if (state >= ends) cues |= bits[state]!;
  }
  return cues;
}

test("a text's cues are the lists of which it holds a word, in any case", () => {
  const letters = (min: number) => fc.string({ unit: fc.constantFrom("a", "b", " "), minLength: min });
  const lists = fc.array(fc.array(letters(1), { maxLength: 4 }), { maxLength: 5 });
  fc.assert(fc.property(letters(0), lists, (text, lists) => {
    const expected = lists.map((words, list) => words.some((word) => text.includes(word)) ? 1 << list : 0);
    const sum = expected.reduce((sum, bit) => sum | bit, 0);
    expect(cuesIn(text, lists)).toBe(sum);
    expect(cuesIn(text.toUpperCase(), lists)).toBe(sum);
  }));
});

/** Pieces of which every rule's finds can be made, and what may keep a word from being one. */
const PIECES = [
  ...INTRODUCTION_CUES.flatMap((cue) => [`${cue} Jane`, `${cue} is Jane`]),
  ...[
    CREDENTIAL_CUES,
    FOREIGN_PASSWORD_CUES,
    PASSPORT_CUES,
    LICENCE_CUES,
    ACCOUNT_CUES,
    SPELLED_CUES,
    INTRODUCTION_CUES,
  ].flat(),
  ...[
    "contraseña",
    "mật khẩu",
    "парол",
    "パスワード",
    "mi llamo",
    "Je m’appelle",
    "меня зовут",
    "我叫",
    "ich heiße",
  ],
  ...[
    "My full name: Jane",
    "me llamo Jane",
    "ich heisse Jane",
    "Jane Doe",
    "张伟",
    "jane",
    "x",
    "Ä",
    "é",
    "\0",
  ],
  ...[": ", "=", " is ", " dot com", " [at] ", "example", "\n", " ", ".", "-", "_", ",", "'", '"', "(", "</"],
  ...[
    "hunter2!",
    "Tr0ub4dor&3",
    "sk-ant-api03-9fK2mQ7xR4tV8bN1cZ5",
    "a1B2c3D4e5F6g7H8i9J0k1L2",
    "eyJhbGciOi",
  ],
  ...[
    "415-555-0132",
    "+44 7911 123456",
    "123456789",
    "A1234567",
    "4111 1111 1111 1111",
    "12",
    "7",
    "10.20.30.40",
  ],
];

test("no rule is passed over that would find something", () => {
  const text = fc.array(fc.constantFrom(...PIECES), { minLength: 1, maxLength: 8 }).map((parts) =>
    parts.join("")
  );
  fc.assert(
    fc.property(text, fc.boolean(), (text, shouted) => {
      const read = shouted ? text.toUpperCase() : text;
      const traits = traitsOf(read);
      const counted = new CountedText(read, new Looks(Infinity));
      expect(isBare(traits) && RULES.some(({ when }) => when(traits, counted))).toBe(false);
      for (const rule of RULES) {
        if (rule.when(traits, counted)) continue;
        const found: string[] = [];
        rule.find(counted, (_, start, end) => found.push(read.slice(start, end)), traits, () => null);
        expect({ rule: rule.name, text: read, found }).toEqual({ rule: rule.name, text: read, found: [] });
      }
    }),
    { numRuns: 3000 },
  );
});
