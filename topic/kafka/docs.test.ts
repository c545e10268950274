import { expect, test } from "vitest";
import { RIGHTS, WORDS } from "./errors.ts";

const page = Deno.readTextFileSync(new URL("../../docs/kafka.md", import.meta.url)).replace(/\s+/g, " ");

test.each(Object.entries(WORDS))(
  "docs/kafka.md says what %s means and what to do",
  (_, { state, advice }) => {
    expect(page).toMatch(rowOf(state, advice));
  },
);

test("docs/kafka.md names every right that somebody may be told to lack", () => {
  expect([...new Set(Object.values(RIGHTS))].filter((right) => !page.includes(right))).toEqual([]);
});

function rowOf(state: string, advice: string): RegExp {
  const quoted = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`\\| ${quoted(state)} +\\| [^|]+ \\| ${quoted(advice)} +\\|`);
}
