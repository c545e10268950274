import { added } from "./fixtures/added.ts";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { LineHits } from "../../contract/processor_api.ts";
import { exportDataset } from "../../tools/dataset/export/export.ts";
import { runProgram } from "../../tests/support/run_command.ts";
import { datasetApi, datasetSources } from "./api.ts";
import { EXPORT_FORMATS } from "./export/copy.ts";
import { exportStream } from "./export/stream.ts";
import { CurrentFiles, DatasetFiles } from "./files/reader.ts";
import { DatasetView } from "./reading/listing.ts";
import { LineSearch } from "./reading/search.ts";
import { failure } from "./fixtures/records.ts";
import { hashes, readFiles } from "./fixtures/run.ts";
import {
  manyRecords,
  openPartition,
  PERSONS,
  rebuildBeside,
  writeDataset,
} from "./fixtures/written_dataset.ts";

const NOW = Date.UTC(2025, 11, 2);
const FILE = "event=generation_failed/date=2025-11-30/p00003-0000.jsonl";

let dataDir: string;
let datasetDir: string;
/** Stands still unless a test moves it: what a look may take is then a matter of bytes. */
let monotonic: number;
let api: ReturnType<typeof datasetApi>;

beforeEach(async () => {
  dataDir = await Deno.makeTempDir({ prefix: "dataset-api-" });
  datasetDir = join(dataDir, "dataset");
  monotonic = 0;
  const clock = { now: () => NOW, monotonic: () => monotonic };
  const current = new CurrentFiles(datasetDir);
  api = datasetApi(datasetSources(current, { view: new DatasetView(current), clock }));
});
afterEach(() => Deno.remove(dataDir, { recursive: true }));

const get = (path: string) => api.request(path);
const json = async (path: string) => await (await get(path)).json();
const of = (file: string) => `file=${encodeURIComponent(file)}`;
const bytesOf = async (response: Response) => new Uint8Array(await response.arrayBuffer());

/** Adds lines to a file, as the writer does; what is `torn` lies behind them and beyond the manifest. */
async function append(path: string, lines: readonly string[], torn: readonly string[] = []): Promise<void> {
  const store = await openPartition(dataDir, Number(/p(\d+)-/.exec(path)![1]));
  const additions = new Map([[path, added(lines)]]);
  await store.intend([path]);
  store.append(additions);
  await store.sync();
  await store.advance({ ...store.manifest, additions, sanitiserVersion: "1" });
  if (torn.length > 0) store.append(new Map([[path, added(torn)]]));
  store.close();
}

function line(prompt: string, { reason = null as string | null, person = "user-1" } = {}): string {
  const timestamp = "2025-11-30T10:00:00.000Z";
  return JSON.stringify({
    timestamp,
    event: "generation_failed",
    failure_reason: reason,
    input_prompt: prompt,
    distinct_id: person,
  }) + "\n";
}

async function erase(person: string, partition = 3): Promise<void> {
  const store = await openPartition(dataDir, partition);
  const { nextOffset } = store.manifest;
  await store.erase({
    subjects: [hashes.subject(person)],
    at: 0,
    offset: nextOffset,
    nextOffset: nextOffset + 1,
  }, {
    subject: hashes.subject,
    heartbeat: () => Promise.resolve(),
    faultPoint: () => {},
  });
  store.close();
}

/** All hits, look by look. */
async function search(text: string): Promise<LineHits["hits"]> {
  const found = [];
  for (let from: string | null = ""; from !== null;) {
    const asked = new URLSearchParams({ q: text, ...(from === "" ? {} : { from }) });
    const answer: LineHits = await json(`/search?${asked}`);
    found.push(...answer.hits);
    from = answer.next;
  }
  return found;
}

describe("the list", () => {
  test("has of a day the file first that was written last", async () => {
    await writeDataset(dataDir);
    const path = "event=generation_failed/date=2025-12-01/p00002-0000.jsonl";
    Deno.utimeSync(join(datasetDir, path), NOW / 1000, Date.now() / 1000 + 60);
    const { partitions } = await json("/");
    const dates = partitions.map(({ date }: { date: string }) => date);
    expect(dates).toEqual(dates.toSorted().reverse());
    const row = partitions.find(({ date, event }: { date: string; event: string }) =>
      date === "2025-12-01" && event === "generation_failed"
    );
    expect([row.paths[0], row.paths.length]).toEqual([path, 6]);
  });
});

describe("the lines of a file", () => {
  const numbers = (page: { lines: string[] }) =>
    page.lines.map((one) => Number(JSON.parse(one).input_prompt));

  test("are all reached page by page, whole, with their numbers", async () => {
    await writeDataset(dataDir, []);
    await append(FILE, Array.from({ length: 4_321 }, (_, n) => line(`${n + 1}`)), ["torn"]);
    const seen: number[] = [];
    let page = await json(`/?${of(FILE)}&lines=1000`);
    for (;;) {
      expect(numbers(page)[0]).toBe(page.firstLine);
      seen.unshift(...numbers(page));
      if (page.firstLine === 1) break;
      page = await json(`/?${of(FILE)}&lines=1000&before=${page.firstLine}`);
    }
    expect(seen).toEqual(Array.from({ length: 4_321 }, (_, n) => n + 1));
  });

  test.each([[1, 1, 5], [2_500, 2_495, 2_504], [4_000, 3_991, 4_000], [9_999, 3_991, 4_000]])(
    "about line %d are lines %d to %d",
    async (around, first, last) => {
      await writeDataset(dataDir, []);
      await append(FILE, Array.from({ length: 4_000 }, (_, n) => line(`${n + 1}`)));
      const page = numbers(await json(`/?${of(FILE)}&lines=10&around=${around}`));
      expect([page[0], page.at(-1)]).toEqual([first, last]);
    },
  );

  test("about a line have it in them, however long those behind it are", async () => {
    await writeDataset(dataDir, []);
    const long = "x".repeat(1_000_000);
    await append(FILE, [line("wanted"), ...Array.from({ length: 12 }, () => line(long))]);
    const { lines, firstLine } = await json(`/?${of(FILE)}&lines=30&around=1`);
    expect([lines.length, firstLine, JSON.parse(lines[0]).input_prompt]).toEqual([1, 1, "wanted"]);
  });

  test("are those of the file that an erasure has put in its place", async () => {
    await writeDataset(dataDir, []);
    const lines = Array.from(
      { length: 3_000 },
      (_, n) => line(`${n + 1}`, { person: n < 1_500 ? "gone" : "here" }),
    );
    await append(FILE, lines);
    expect(numbers(await json(`/?${of(FILE)}&lines=2&before=1401`))).toEqual([1_399, 1_400]);
    await erase("gone");
    expect(numbers(await json(`/?${of(FILE)}&lines=2&before=1401`))).toEqual([2_899, 2_900]);
  });
});

describe("a search", () => {
  test("finds every line by its prompt, reason, distinct_id or event, in any case of letters", async () => {
    await writeDataset(dataDir, []);
    await append(FILE, [
      line("nothing here"),
      line("Grüße an ALLE"),
      line("x", { reason: "Too Slow" }),
      line("x", { person: "Ada.42" }),
      line('a "quoted" \\ text\nof two lines'),
    ]);
    const found = async (text: string) => (await search(text)).map(({ line, field }) => [line, field]);
    expect(await found("GRÜSSE".replace("SS", "ß"))).toEqual([[2, "input_prompt"]]);
    expect(await found("too slow")).toEqual([[3, "failure_reason"]]);
    expect(await found("ada.")).toEqual([[4, "distinct_id"]]);
    expect(await found('"quoted" \\ text\nof')).toEqual([[5, "input_prompt"]]);
    expect((await found("generation_FAILED")).map(([line]) => line)).toEqual([5, 4, 3, 2, 1]);
    // A text and no pattern, and no key of the line's JSON.
    for (const text of [".*", "input_prompt", "nowhere"]) expect(await found(text)).toEqual([]);
    expect(await search("Alle")).toEqual([{
      file: FILE,
      line: 2,
      at: "2025-11-30T10:00:00.000Z",
      field: "input_prompt",
      before: "Grüße an ",
      found: "ALLE",
      after: "",
    }]);
  });

  test("goes over all files, the newest day first, and leads to the lines that it names", async () => {
    await writeDataset(dataDir);
    const hits = await search("marketing");
    const all = Object.entries(readFiles(dataDir)).flatMap(([file, text]) =>
      text.split("\n").flatMap((one, n) => one.includes("marketing") ? [`${file} ${n + 1}`] : [])
    );
    expect(hits.map(({ file, line }) => `${file} ${line}`).toSorted()).toEqual(all.toSorted());
    const days = hits.map(({ file }) => /date=([\d-]+)/.exec(file)![1]);
    expect(days).toEqual(days.toSorted().reverse());
    for (const { file, line } of hits.slice(0, 20)) {
      const page = await json(`/?${of(file)}&lines=1&around=${line}`);
      expect(page.lines[0]).toContain("marketing");
    }
  });

  test("comes in pages of 50 hits, each once, while lines are written", async () => {
    await writeDataset(dataDir, []);
    await append(FILE, Array.from({ length: 120 }, () => line("wanted")));
    const first: LineHits = await json("/search?q=wanted");
    expect(first.hits.map(({ line }) => line)).toEqual(Array.from({ length: 50 }, (_, n) => 120 - n));
    await append(FILE, [line("wanted later")]);
    const rest: LineHits = await json(`/search?${new URLSearchParams({ q: "wanted", from: first.next! })}`);
    expect(rest.hits[0]!.line).toBe(70);
    expect(rest.searchedBytes).toBe(100 * line("wanted").length);
  });

  test("is bounded in bytes and in time: it says how far it came, and goes on there", async () => {
    await writeDataset(dataDir, []);
    await append(FILE, [line("wanted"), ...Array.from({ length: 40 }, () => line("x".repeat(100_000)))]);
    const files = new CurrentFiles(datasetDir);
    const bounds = { bytesMax: 900_000, msMax: 5, hitsMax: 50 };
    let ms = 0;
    for (const clock of [() => 0, () => ms += 10]) {
      const look = new LineSearch(files, clock, bounds);
      const looks: LineHits[] = [];
      for (let from: string | null = null;;) {
        const answer = await look.find("wanted", from) as LineHits;
        looks.push(answer);
        if (answer.next === null) break;
        from = answer.next;
      }
      expect(looks.length).toBeGreaterThanOrEqual(4);
      expect(looks.flatMap(({ hits }) => hits).map(({ line }) => line)).toEqual([1]);
      const sums = looks.map(({ searchedBytes }) => searchedBytes);
      expect(sums).toEqual(sums.toSorted((a, b) => a - b));
      expect(sums.at(-1)).toBe(Deno.statSync(join(datasetDir, FILE)).size);
    }
  });

  test("is refused where two are under way", async () => {
    await writeDataset(dataDir, []);
    await append(FILE, Array.from({ length: 40 }, () => line("x".repeat(100_000))));
    const statuses = await Promise.all([1, 2, 3].map(async () => (await get("/search?q=wanted")).status));
    expect(statuses.toSorted()).toEqual([200, 200, 503]);
    expect((await get("/search?q=wanted")).status).toBe(200);
  });

  test("finds nothing beyond the manifest, and nothing of who was erased, also behind a page that was seen before", async () => {
    await writeDataset(dataDir, []);
    const lines = Array.from(
      { length: 160 },
      (_, n) => line(`wanted ${n}`, { person: n % 2 ? "gone" : "here" }),
    );
    await append(FILE, lines, [line("wanted torn")]);
    const first: LineHits = await json("/search?q=wanted");
    expect(first.hits[0]!.after).toBe(" 159");
    await erase("gone");
    const found: string[] = [];
    for (let from: string | null = first.next; from !== null;) {
      const answer: LineHits = await json(`/search?${new URLSearchParams({ q: "wanted", from })}`);
      found.push(...answer.hits.map(({ after }) => after));
      from = answer.next;
    }
    // The file is another one by now: it is searched from its end.
    expect(found).toEqual(Array.from({ length: 80 }, (_, n) => ` ${158 - 2 * n}`));
    expect(await search("gone")).toEqual([]);
    expect((await search("wanted")).length).toBe(80);
  });

  test("passes over what is no line, and finds none where there is no dataset", async () => {
    expect(await json("/search?q=x")).toEqual({ hits: [], searchedBytes: 0, next: null });
    await writeDataset(dataDir, []);
    await append(FILE, [line("wanted"), "wanted, and no JSON\n", line("wanted")]);
    expect((await search("wanted")).map(({ line }) => line)).toEqual([3, 1]);
  });

  test("goes on in the dataset that a replay has put in the place of the one that it began in", async () => {
    await writeDataset(dataDir, [failure(1, { distinctId: PERSONS[3]!, prompt: "before" })]);
    expect(await search("before")).toHaveLength(1);
    const swap = await rebuildBeside(dataDir, [failure(1, { distinctId: PERSONS[3]!, prompt: "after" })]);
    swap();
    expect([await search("before"), (await search("after")).length]).toEqual([[], 1]);
  });
});

describe("a file's download", () => {
  test("is the file as its manifest has it, with its length and a name of its own", async () => {
    await writeDataset(dataDir, []);
    const text = Array.from({ length: 3_000 }, (_, n) => line(`${n} ${"ü".repeat(500)}`)).join("");
    await append(FILE, text.split(/(?<=\n)/), [line("torn")]);
    const response = await get(`/download?${of(FILE)}`);
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "content-disposition": 'attachment; filename="generation_failed-2025-11-30-p00003-0000.jsonl"',
      "content-length": String(new TextEncoder().encode(text).length),
      "content-type": "application/x-ndjson",
    });
    expect(await response.text() === text).toBe(true);
  });

  test("breaks off before its end where somebody is erased meanwhile", async () => {
    await writeDataset(dataDir, []);
    await append(FILE, Array.from({ length: 3_000 }, () => line("x".repeat(1_000), { person: "gone" })));
    const response = await get(`/download?${of(FILE)}`);
    await erase("gone");
    await expect(response.text()).rejects.toThrow("Cannot end this download: somebody was erased");
    expect((await get("/export?format=jsonl")).status).toBe(200);
  });

  test("is one of 16 at a time, whatever their readers take of it", async () => {
    await writeDataset(dataDir, []);
    await append(FILE, Array.from({ length: 3_000 }, () => line("x".repeat(1_000))));
    const path = `/download?${of(FILE)}`;
    const stalled = await Promise.all(Array.from({ length: 16 }, () => get(path)));
    expect(stalled.map(({ status }) => status)).toEqual(Array(16).fill(200));
    const next = await get(path);
    expect([next.status, (await next.json()).error.code]).toEqual([503, "busy"]);
    for (const { body } of stalled) await body!.cancel();
    expect((await bytesOf(await get(path))).length).toBeGreaterThan(3_000_000);
  });

  test("is of a name that no other file of the dataset has, and that leads nowhere", async () => {
    await writeDataset(dataDir, manyRecords());
    const names = [];
    for (const file of Object.keys(readFiles(dataDir))) {
      const response = await get(`/download?${of(file)}`);
      await response.body!.cancel();
      names.push(/filename="([\w.~-]+)"$/.exec(response.headers.get("content-disposition")!)![1]);
    }
    expect(new Set(names).size).toBe(names.length);
  });

  test("is none of what the manifests do not name, and says so where a file is shorter than they say", async () => {
    await writeDataset(dataDir, []);
    await append(FILE, [line("a")]);
    const beside = FILE.replace("p00003", "p00004");
    Deno.writeTextFileSync(join(datasetDir, beside), "secret\n");
    for (const file of [beside, "_manifest/dataset.json", `../${FILE}`, `./${FILE}`, "constructor", ""]) {
      expect((await get(`/download?${of(file)}`)).status).toBe(404);
    }
    Deno.truncateSync(join(datasetDir, FILE), 5);
    const short = await get(`/download?${of(FILE)}`);
    expect([short.status, (await short.json()).error.message]).toEqual([
      503,
      expect.stringContaining("5 bytes"),
    ]);
  });
});

describe("an export", () => {
  /** The files of a tar archive, by an unpacker that nobody here wrote. */
  async function unpacked(archive: Uint8Array<ArrayBuffer>): Promise<string> {
    const to = join(dataDir, "unpacked");
    Deno.mkdirSync(to);
    Deno.writeFileSync(join(dataDir, "archive.tar"), archive);
    const { success, stderr } = await new Deno.Command("tar", {
      args: ["-xf", join(dataDir, "archive.tar"), "-C", to],
    }).output();
    expect([success, new TextDecoder().decode(stderr)]).toEqual([true, ""]);
    return to;
  }

  function filesBelow(directory: string, below = ""): Record<string, string> {
    const files: Record<string, string> = {};
    for (const { name, isDirectory, isSymlink } of Deno.readDirSync(join(directory, below))) {
      if (isDirectory) Object.assign(files, filesBelow(directory, join(below, name)));
      else if (!isSymlink) {
        files[join(below, name)] = Deno.readFileSync(join(directory, below, name)).toBase64();
      }
    }
    return files;
  }

  test.each(EXPORT_FORMATS)("as %s has the bytes that the command writes", async (format) => {
    await writeDataset(dataDir);
    const to = join(dataDir, "export");
    const chat = { system: "Be brief.", dropControlTokens: true };
    await exportDataset(new DatasetFiles(datasetDir), {
      format,
      chat,
      to,
      now: NOW,
      signal: new AbortController().signal,
    });
    const response = await get(`/export?format=${format}&system=Be+brief.&drop-control-tokens=on`);
    const bytes = await bytesOf(response);
    const [, name] = /^attachment; filename="([\w.-]+)"$/.exec(response.headers.get("content-disposition")!)!;
    const found = format === "hf" ? filesBelow(await unpacked(bytes)) : { [name!]: bytes.toBase64() };
    expect(found).toEqual(filesBelow(to));
    if (format === "hf") expect(Object.keys(found).length).toBeGreaterThan(1);
  });

  test("as jsonl has the lines as `dataset cat` prints them", async () => {
    await writeDataset(dataDir);
    const { stdout } = await runProgram("tools/dataset/main.ts", {
      args: ["cat"],
      env: { DATA_DIR: dataDir },
    });
    expect(await (await get("/export?format=jsonl")).text()).toBe(stdout);
  });

  test("of a growing dataset is one of the lines that were there when its card was written, in every file of it", async () => {
    await writeDataset(
      dataDir,
      Array.from({ length: 60 }, (_, n) => failure(n + 1, { distinctId: `user-${n % 30}` })),
    );
    const stream = exportStream(new DatasetFiles(datasetDir), { format: "hf", now: NOW });
    // The first piece with bytes comes once it is known what will follow.
    const pieces = [(await stream.next()).value!];
    while (pieces.at(-1)!.length === 0) pieces.push((await stream.next()).value!);
    for (const file of Object.keys(readFiles(dataDir))) {
      await append(file, [line("later", { person: "user-0" })]);
    }
    for await (const piece of stream) pieces.push(piece);
    const to = await unpacked(await new Blob(pieces).bytes());
    const texts = Object.values(filesBelow(join(to, "data"))).map(atob);
    expect(texts.join("").split("\n").length - 1).toBe(60);
    expect(Deno.readTextFileSync(join(to, "README.md"))).toContain("\n60 prompts");
  });

  test("is one at a time, and leaves nothing behind when its reader goes away, also before the first byte", async () => {
    await writeDataset(dataDir);
    const before = filesBelow(dataDir);
    for (const format of [...EXPORT_FORMATS, "jsonl"]) {
      const response = await get(`/export?format=${format}`);
      const second = await get("/export?format=jsonl");
      expect([second.status, (await second.json()).error.code]).toEqual([503, "busy"]);
      const reader = response.body!.getReader();
      if (format !== "hf") await reader.read();
      await reader.cancel();
      expect(filesBelow(dataDir)).toEqual(before);
    }
    expect((await bytesOf(await get("/export?format=jsonl"))).length).toBeGreaterThan(0);
  });

  test("whose head alone is asked for is none, and keeps nobody from the next", async () => {
    await writeDataset(dataDir);
    for (
      const path of [...EXPORT_FORMATS.map((format) => `/export?format=${format}`), `/download?${of(FILE)}`]
    ) {
      const head = await api.request(path, { method: "HEAD" });
      expect([head.status, head.body, head.headers.has("content-disposition")]).toEqual([200, null, true]);
    }
    expect((await bytesOf(await get("/export?format=jsonl"))).length).toBeGreaterThan(0);
  });

  test("breaks off where somebody is erased meanwhile, or another dataset takes its place; the next begins anew", async () => {
    await writeDataset(dataDir, []);
    await append(FILE, Array.from({ length: 5_000 }, () => line("x".repeat(1_000), { person: "gone" })));
    const response = await get("/export?format=jsonl");
    await erase("gone");
    await expect(response.text()).rejects.toThrow("somebody was erased");
    expect(await (await get("/export?format=jsonl")).text()).toBe("");
    await append(FILE, Array.from({ length: 5_000 }, () => line("x".repeat(1_000), { person: "here" })));
    const swap = await rebuildBeside(dataDir, [failure(1)]);
    const replaced = await get("/export?format=jsonl");
    swap();
    await expect(replaced.text()).rejects.toThrow("another dataset");
    expect((await get("/export?format=jsonl")).status).toBe(200);
  });

  test("says why before the first byte where there is no dataset, or a line is none", async () => {
    const none = await get("/export?format=hf");
    expect([none.status, (await none.json()).error.message]).toEqual([
      503,
      expect.stringContaining("none has been written"),
    ]);
    await writeDataset(dataDir, []);
    await append(FILE, ["no line\n"]);
    const damaged = await get("/export?format=parquet");
    expect([damaged.status, (await damaged.json()).error.message]).toEqual([
      503,
      expect.stringContaining(`Cannot export line 1 of "${FILE}"`),
    ]);
    expect((await get("/export?format=jsonl")).status).toBe(200);
  });
});
