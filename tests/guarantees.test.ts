import { resolve } from "node:path";
import { expect, test } from "vitest";
import { SOURCES } from "./support/arrows.ts";

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

test("the page of the flow names every file that a service's rooms hold", () => {
  const flow = Deno.readTextFileSync(resolve(ROOT, "docs/flow.md"));
  const rooms = /^(ingest|processor|topic|runtime|serve_web)\//;
  const unnamed = SOURCES.filter((path) =>
    rooms.test(path) && !flow.includes(path.slice(path.lastIndexOf("/") + 1))
  );
  expect(unnamed).toEqual([]);
});
