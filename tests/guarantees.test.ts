import { resolve } from "node:path";
import { expect, test } from "vitest";

const ROOT = resolve(import.meta.dirname!, "..");
const PAGE = Deno.readTextFileSync(resolve(ROOT, "docs/guarantees.md"));

/** `file`: “words”, “words” — each a test's words in that file. */
const cited = [...PAGE.matchAll(/`([\w./-]+\.ts)`: ((?:“[^”]+”(?:, )?)+)/g)].flatMap(([, file, words]) =>
  [...words!.matchAll(/“([^”]+)”/g)].map(([, word]) => [file!, word!] as const)
);

test("the page of guarantees cites tests", () => {
  expect(cited.length).toBeGreaterThan(30);
});

test.each(cited)("%s has the test “%s”", (file, words) => {
  expect(Deno.readTextFileSync(resolve(ROOT, file)).replaceAll("\\'", "'")).toContain(words);
});
