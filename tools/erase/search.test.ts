import { Buffer } from "node:buffer";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { search, searchEverything } from "./search.ts";
import { needlesOfName, needlesOfPrompt } from "./needles.ts";

let root: string;

beforeEach(async () => void (root = await Deno.realPath(await Deno.makeTempDir())));
afterEach(() => Deno.remove(root, { recursive: true }));

const BLOCK_BYTES = 4 * 1024 * 1024;
const order = (...names: string[]) => ({
  roots: [root],
  wanted: { needles: names.flatMap((name) => needlesOfName(name, "id")), mailboxes: [] },
  dataset: null,
});
const write = (path: string, text: string | Uint8Array) => {
  Deno.mkdirSync(join(root, path, ".."), { recursive: true });
  Deno.writeFileSync(join(root, path), typeof text === "string" ? new TextEncoder().encode(text) : text);
};

test("search() finds a needle once, wherever the blocks of a large file meet", () => {
  for (
    const at of [
      0,
      BLOCK_BYTES - 9,
      BLOCK_BYTES - 4,
      BLOCK_BYTES - 1,
      BLOCK_BYTES,
      BLOCK_BYTES + 1,
      2 * BLOCK_BYTES,
    ]
  ) {
    write("large", Buffer.concat([Buffer.alloc(at, 32), Buffer.from("user-0001"), Buffer.alloc(100, 32)]));
    const { files, roots } = search(order("user-0001"));
    expect([at, files.map(({ found }) => found.id), roots[0]!.bytes]).toEqual([at, [1], at + 109]);
  }
});

test("search() tells whole words also where the blocks meet", () => {
  write("large", Buffer.concat([Buffer.alloc(BLOCK_BYTES - 1, 32), Buffer.from("xuser-0001 ")]));
  expect(search(order("user-0001")).files).toEqual([]);
});

test("search() counts files and bytes by place, and follows no links", () => {
  write("log/ingest.db", "abc");
  write("log/ingest.db-wal", "de");
  write("mail/new/a.eml", "user-0001");
  Deno.symlinkSync("mail", join(root, "elsewhere"));
  const { roots, files } = search(order("user-0001"));
  expect(roots[0]!.places).toEqual({
    "log/ingest.db": { files: 2, bytes: 5 },
    "mail/": { files: 1, bytes: 9 },
  });
  expect(files).toEqual([{
    path: join(root, "mail/new/a.eml"),
    found: { id: 1, address: 0, prompt: 0 },
    others: 0,
  }]);
});

test("search() tells lines of other people, and later lines of the erased, from what should be gone", async () => {
  const prompt = "a prompt that two people wrote";
  const line = (distinctId: string, timestamp: string) =>
    JSON.stringify({ timestamp, event: "generation_failed", input_prompt: prompt, distinct_id: distinctId }) +
    "\n";
  write(
    "dataset.1/event=e/f.jsonl",
    line("carl", "2026-01-01T00:00:00Z") + line("jane-1", "2026-01-03T00:00:00Z"),
  );
  write("dataset.1/event=e/g.jsonl", line("jane-1", "2026-01-01T00:00:00Z"));
  const dataset = { root: join(root, "dataset.1"), ids: ["jane-1"], until: Date.UTC(2026, 0, 2) };
  const needles = [...needlesOfName("jane-1", "id"), ...needlesOfPrompt(prompt)];
  const { files } = await searchEverything({
    roots: [root],
    wanted: { needles, mailboxes: ["jane.roe@example.org"] },
    dataset,
  });
  expect(files.toSorted((a, b) => a.path < b.path ? -1 : 1).map(({ found, others }) => ({ found, others })))
    .toEqual([
      { found: { id: 0, address: 0, prompt: 0 }, others: 3 },
      { found: { id: 1, address: 0, prompt: 1 }, others: 0 },
    ]);
});

test("search() finds an address in whatever spelling, also where it meets the end of a block", () => {
  const spelling = "JANE.ROE+news\\u0040Example\\u002eORG";
  for (const at of [0, BLOCK_BYTES - 20, BLOCK_BYTES - spelling.length, BLOCK_BYTES - 1]) {
    write("large", Buffer.concat([Buffer.alloc(at, 32), Buffer.from(spelling), Buffer.alloc(100, 32)]));
    const { files } = search({
      ...order(),
      wanted: { needles: [], mailboxes: ["jane.roe@example.org"] },
    });
    expect([at, files.map(({ found }) => found)]).toEqual([at, [{ id: 0, address: 1, prompt: 0 }]]);
  }
});
