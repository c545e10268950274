import { expect, test } from "vitest";
import { hitsIn, LANGUAGES, sourcesOf, TRUE_FINDS } from "./testdata/source_code.ts";

/** Of each language: the first bytes, in an order by lot; `deno task bench sanitise_code` reads all of them. */
const BYTES_MAX = 2_000_000;

test.for(LANGUAGES)(
  "source code in %s: at most one place per megabyte is taken for what it is not",
  { timeout: 300_000 },
  async (language, { skip }) => {
    const sources = await sourcesOf(language);
    if ("missing" in sources) return skip(`cannot be brought here: ${sources.missing}`);
    const { bytes, hits } = hitsIn(language, sources.folders, BYTES_MAX);
    expect(bytes).toBeGreaterThan(300_000);
    const wrong = hits.filter((hit) => !TRUE_FINDS.some(({ is }) => is(hit)));
    expect(wrong.length > Math.max(1, bytes / 1e6) ? wrong : []).toEqual([]);
  },
);
