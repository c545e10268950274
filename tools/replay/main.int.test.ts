import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { FACTS_TOPIC, RECORD_BYTES_MAX, WEBHOOKS_TOPIC, writerOf } from "../../contract/names.ts";
import { openDatasetLocks } from "../../processor/dataset/files/locks.ts";
import { failure, personIn, RECEIVED_AT, use } from "../../processor/dataset/fixtures/records.ts";
import { hashes, readFiles, readManifests } from "../../processor/dataset/fixtures/run.ts";
import { encodeFact } from "../../processor/facts/encode.ts";
import { datasetLines } from "../../tests/support/pipeline.ts";
import { erasePerson, randomFrom } from "../../tests/support/replay_topic.ts";
import { killAtFaultPoint, runProgram, spawnProgram } from "../../tests/support/run_command.ts";
import { until } from "../../tests/support/until.ts";
import { openSqliteLog } from "../../topic/sqlite/log.ts";
import { otherSanitiser, outputOf, ReplayContext } from "./fixtures/pipeline.ts";

/** The command as real processes on the embedded log. `REPLAY_RECORDS` makes the topic of the first block longer. */

const COUNT = Number(Deno.env.get("REPLAY_RECORDS") ?? "20000");
const SMALL = 3_000;

const made: ReplayContext[] = [];
let small: ReplayContext;
let context: ReplayContext;

beforeAll(async () => {
  small = await ReplayContext.make({ count: SMALL });
});
afterAll(() => small.remove());
beforeEach(async () => {
  context = await small.copy();
  made.push(context);
});
afterEach(async () => {
  for (const one of made.splice(0)) await one.remove();
});

type Row = { event: string; date: string; before: number; after: number; changed: number };
type Result = { records: number; lines: number; deadLetters: number; partitions: Row[] };
const result = (stdout: string): Result => JSON.parse(stdout);

describe(`A replay of ${COUNT} records`, () => {
  let large: ReplayContext;
  let before: Record<string, string>;

  beforeAll(async () => {
    large = await ReplayContext.make({ count: COUNT, seed: 7 });
    before = large.sums();
  }, 3_600_000);
  afterAll(() => large.remove());

  test("gives the live dataset byte for byte, in a directory of its own, under the same name", async () => {
    const { identity, root } = { identity: large.identity(), root: large.root() };
    const lines = datasetLines(large.dataDir).length;
    // What is counted of lines and records is a function of them, so it is the same too.
    const counted = () =>
      Object.values(readManifests(large.dataDir)).map(({ files, ...manifest }) => ({
        files: Object.fromEntries(
          Object.entries(files).filter(([, entry]) => (entry as { records: number }).records > 0),
        ),
        received: (manifest as { received?: unknown }).received,
      }));
    const countedBefore = counted();
    const { code, stdout, stderr } = await large.replay("--json");
    expect([code, stderr.includes("building 100 %")]).toEqual([0, true]);
    expect(counted()).toEqual(countedBefore);
    expect(large.sums()).toEqual(before);
    expect(large.root()).not.toBe(root);
    expect(large.identity()).toEqual({
      ...identity,
      createdAt: expect.not.stringMatching(identity.createdAt),
    });
    expect(large.trees()).toEqual(["dataset", large.root().slice(large.dataDir.length + 1)]);
    const printed = result(stdout);
    expect(Object.keys(printed)).toEqual(["records", "lines", "deadLetters", "partitions"]);
    expect(printed.records).toBeGreaterThan(COUNT);
    expect(printed.lines).toBe(lines);
    expect(printed.deadLetters).toBe(new Set(await large.letters()).size);
    expect(printed.partitions).toHaveLength(7);
    for (const row of printed.partitions) expect(row).toMatchObject({ before: row.after, changed: 0 });
  }, 3_600_000);

  test("is the same for --check, which says the same of it and writes nothing", async () => {
    const trees = large.trees();
    const { code, stdout } = await large.replay("--check", "--json");
    expect([code, result(stdout)]).toMatchObject([0, { differences: [] }]);
    expect(large.trees()).toEqual(trees);
  }, 3_600_000);

  test("killed at ten seeded moments and run again it still gives the same bytes", async () => {
    const random = randomFrom(42);
    const tree = large.root();
    const { durationMs } = await timed(() => large.replay("--to", join(large.dataDir, "timing")));
    await Deno.remove(join(large.dataDir, "timing"), { recursive: true });
    let killed = 0;
    for (let round = 0; round < 10; round++) {
      const child = large.spawn([]);
      const output = outputOf(child);
      const wait = new Promise<"wait">((resolve) => setTimeout(() => resolve("wait"), random() * durationMs));
      if (await Promise.race([output, wait]) === "wait") {
        child.kill("SIGKILL");
        killed++;
      }
      await output;
      expect(large.sums()).toEqual(before);
    }
    expect(killed).toBeGreaterThan(0);
    const { code } = await large.replay();
    expect(code).toBe(0);
    expect(large.sums()).toEqual(before);
    expect(large.root()).not.toBe(tree);
    expect(large.trees()).toHaveLength(2);
    expect((await large.replay("--check")).code).toBe(0);
  }, 3_600_000);
});

async function timed(act: () => Promise<unknown>): Promise<{ durationMs: number }> {
  const begin = performance.now();
  await act();
  return { durationMs: performance.now() - begin };
}

describe("A replay that is killed", () => {
  test.each([
    "replay.made",
    "replay.fixed",
    "replay.chunk:2",
    "replay.chunk:5",
    "replay.built",
    "replay.wanted",
    "replay.locked",
    "replay.ready",
    "replay.linked",
    "replay.renamed",
    "replay.released",
    "replay.compared",
    "replay.removed",
  ])("at %s is finished by the same command, and the writer goes on from it", async (setting) => {
    const lately = Array.from({ length: 30 }, (_, n) => failure(800_000 + n));
    await context.goOn(lately);
    const before = context.sums();
    const [point] = setting.split(":");
    await killAtFaultPoint(context.spawn([], { env: { FAULT_POINT: setting } }), point!);
    expect(context.sums()).toEqual(before);
    const { code, stdout } = await context.replay("--json");
    expect(code).toBe(0);
    expect(context.sums()).toEqual(before);
    expect(result(stdout).lines).toBe(datasetLines(context.dataDir).length);
    expect(context.trees()).toHaveLength(2);
    expect(exists(join(context.root(), "_manifest", "replay.json"))).toBe(false);
    const news = Array.from({ length: 30 }, (_, n) => failure(900_000 + n));
    await context.goOn([...lately, ...news]);
    expect(datasetLines(context.dataDir)).toHaveLength(result(stdout).lines + 30);
    expect((await context.replay("--check")).code).toBe(0);
  });

  test("goes on where it was: what had been written is not written again", async () => {
    await killAtFaultPoint(context.spawn([], { env: { FAULT_POINT: "replay.chunk:3" } }), "replay.chunk");
    const [build] = context.trees().filter((name) =>
      join(context.dataDir, name) !== context.root() && name !== "dataset"
    );
    const manifests = join(context.dataDir, build!, "_manifest");
    const done = [...Deno.readDirSync(manifests)].filter(({ name }) => /^p\d+\.json$/.test(name))
      .flatMap(({ name }) => Object.entries(JSON.parse(Deno.readTextFileSync(join(manifests, name))).files))
      .filter(([, entry]) => (entry as { bytes: number }).bytes > 0).map(([path]) => `/${path}`);
    // Other partitions may have written beyond their manifests.
    const written = new Map(
      [...filesBelow(join(context.dataDir, build!))].filter(([path]) => done.includes(path)),
    );
    expect(written.size).toBeGreaterThan(0);
    const { code, stderr } = await context.replay();
    expect([code, stderr]).toEqual([0, expect.stringContaining("goes on with the interrupted build")]);
    expect(context.root()).toBe(join(context.dataDir, build!));
    const after = filesBelow(context.root());
    for (const [path, modifiedAt] of written) expect([path, after.get(path)]).toEqual([path, modifiedAt]);
  });

  test("begins anew where the command is another one, and leaves nothing behind", async () => {
    await killAtFaultPoint(context.spawn([], { env: { FAULT_POINT: "replay.built" } }), "replay.built");
    const [build] = context.trees().filter((name) =>
      join(context.dataDir, name) !== context.root() && name !== "dataset"
    );
    const unnamed = join(context.dataDir, "dataset.20250101T000000Z-0123abcd");
    await Deno.mkdir(join(unnamed, "_manifest"), { recursive: true });
    await Deno.writeTextFile(join(unnamed, "_manifest", "replay.json.tmp"), "{");
    const { code, stderr } = await outputOf(
      context.spawn([], { env: { TRAINING_EVENTS: "generation_failed,other" } }),
    );
    expect([code, stderr]).toEqual([0, expect.not.stringContaining("goes on with")]);
    expect(context.root()).not.toBe(join(context.dataDir, build!));
    expect(context.trees()).toHaveLength(2);
  });
});

function filesBelow(root: string): Map<string, number> {
  const found = new Map<string, number>();
  const walk = (dir: string) => {
    for (const { name, isDirectory } of Deno.readDirSync(dir)) {
      if (name === "_manifest") continue;
      if (isDirectory) walk(join(dir, name));
      else found.set(join(dir, name).slice(root.length), Deno.statSync(join(dir, name)).mtime!.getTime());
    }
  };
  walk(root);
  return found;
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

describe("While a replay runs", () => {
  test("webhooks keep arriving, and none is lost or doubled by the swap", async () => {
    const prompts: string[] = [];
    await context.withLog(async (log) => {
      const writer = context.startWriter(log);
      let goingOn = true;
      const arriving = (async () => {
        for (let n = 1_000_000; goingOn; n++) {
          const record = failure(n, { distinctId: `late-${n % 50}`, prompt: `late ${n}` });
          await log.publish(WEBHOOKS_TOPIC, n % 3 === 0 ? [record, record] : [record]);
          prompts.push(`late ${n}`);
        }
      })();
      const identity = join(context.dataDir, "dataset", "_manifest", "dataset.json");
      const { id } = context.identity();
      const reading = (async () => {
        let reads = 0;
        for (; goingOn; reads++) {
          expect(JSON.parse(await Deno.readTextFile(identity)).id).toBe(id);
        }
        return reads;
      })();
      const roots = new Set<string>();
      for (let round = 0; round < 2; round++) {
        roots.add(context.root());
        expect(await context.replay()).toMatchObject({ code: 0 });
      }
      roots.add(context.root());
      expect(roots.size).toBe(3);
      const atSwap = prompts.length;
      await until("webhooks arrive after the swap too", () => prompts.length > atSwap + 50);
      goingOn = false;
      await arriving;
      expect(await reading).toBeGreaterThan(100);
      await writer.caughtUp();
      await writer.stop();
    });
    const late = datasetLines(context.dataDir).map(({ input_prompt }) => input_prompt)
      .filter((prompt) => prompt.startsWith("late "));
    expect(late.length).toBeGreaterThan(100);
    expect(late.sort()).toEqual(prompts.sort());
    expect(await context.replay("--check")).toMatchObject({ code: 0 });
  });

  test("a second replay is refused with what is under way", async () => {
    const first = context.spawn([], { env: { FAULT_POINT: "replay.built" } });
    await untilStopped(first);
    const { code, stdout, stderr } = await context.replay();
    expect([code, stdout, stderr]).toEqual([
      1,
      "",
      expect.stringMatching(/^Cannot replay now: a replay \(process \d+, since \S+\) is under way\./),
    ]);
    first.kill("SIGKILL");
    await first.status;
  });

  test("nothing is put in place before every partition's lock is in hand", async () => {
    const locks = openDatasetLocks(join(context.dataDir, "dataset"));
    const held = locks.takePartition(3)!;
    const root = context.root();
    const replaying = outputOf(context.spawn([]));
    await until("the replay has every other partition", () => {
      const free = [0, 1, 2, 4, 5].map((partition) => locks.takePartition(partition));
      for (const lock of free) lock?.release();
      return free.every((lock) => lock === null);
    });
    expect([locks.swapWanted(), context.root()]).toEqual([true, root]);
    held.release();
    expect(await replaying).toMatchObject({ code: 0 });
    expect([locks.swapWanted(), context.root() === root]).toEqual([false, false]);
    locks.close();
  });

  test("a writer that was stopped in the middle of a chunk goes on, and what it writes is in the new dataset", async () => {
    await context.withLog((log) =>
      log.publish(WEBHOOKS_TOPIC, [failure(4_000_000, { distinctId: personIn(3, 60) })])
    );
    const writer = spawnProgram("processor/dataset/fixtures/writer_process.ts", {
      args: [context.env.PIPELINE_SECRET!, "500"],
      env: { ...context.env, FAULT_POINT: "dataset.synced" },
    });
    await untilStopped(writer);
    const [root, lines] = [context.root(), datasetLines(context.dataDir).length];
    const replaying = outputOf(context.spawn([]));
    const locks = openDatasetLocks(join(context.dataDir, "dataset"));
    await until("the replay wants the partitions", () => locks.swapWanted());
    locks.close();
    writer.kill("SIGCONT");
    expect(await replaying).toMatchObject({ code: 0 });
    expect(context.root()).not.toBe(root);
    writer.kill("SIGTERM");
    await writer.status;
    await context.goOn([]);
    expect(datasetLines(context.dataDir)).toHaveLength(lines + 1);
    expect(await context.replay("--check")).toMatchObject({ code: 0 });
  });

  test("a writer that does not let go holds up nobody for longer than half a minute", async () => {
    await context.withLog(async (log) => {
      const locks = openDatasetLocks(join(context.dataDir, "dataset"));
      const stopped = locks.takePartition(3)!;
      const { takeAllPartitions } = await import("./swap.ts");
      const said: string[] = [];
      const deps = {
        log,
        clock: { now: () => 0, monotonic: () => performance.now(), wait: () => Promise.resolve() },
        faultPoint: () => {},
        progress: { begin() {}, add() {}, end() {}, say: (text: string) => said.push(text) },
      } as unknown as Parameters<typeof takeAllPartitions>[1]["deps"];
      const ask = { deps, timing: { locksMs: 30, pauseMs: 5 }, root: context.root() };
      expect(await takeAllPartitions(locks, ask)).toBeNull();
      expect(said).toEqual([expect.stringContaining("partition 3 is held by a writer that does not let go")]);
      expect(locks.swapWanted()).toBe(false);
      stopped.release();
      const all = await takeAllPartitions(locks, ask);
      expect([locks.swapWanted(), locks.takePartition(0), locks.takePartition(5)]).toEqual([
        true,
        null,
        null,
      ]);
      all!.release();
      expect(locks.swapWanted()).toBe(false);
      locks.close();
    });
  });
});

async function untilStopped(child: Deno.ChildProcess): Promise<void> {
  const reader = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
  let seen = "";
  while (!seen.includes("fault point")) seen += (await reader.read()).value ?? "";
  reader.releaseLock();
}

describe("A new rule of the sanitiser", () => {
  test("is applied everywhere by a replay, which leaves the old dataset intact until then and mails nobody", async () => {
    const flags = await otherSanitiser(context.dataDir, {
      version: "2-test",
      change: `real.sanitise(text.replaceAll("about", "<X>"), known)`,
    });
    const before = readFiles(context.dataDir);
    const lines = datasetLines(context.dataDir);
    const child = context.spawn([], { flags, env: { FAULT_POINT: "replay.built" } });
    await killAtFaultPoint(child, "replay.built");
    expect(readFiles(context.dataDir)).toEqual(before);
    const { code, stdout } = await outputOf(context.spawn(["--json"], { flags }));
    expect(code).toBe(0);
    const touched = lines.filter(({ input_prompt }) => input_prompt.includes("about"));
    expect(touched.length).toBeGreaterThan(100);
    const { partitions } = result(stdout);
    expect(partitions.reduce((sum, { changed }) => sum + changed, 0)).toBe(touched.length);
    for (const { before, after } of partitions) expect(after).toBe(before);
    expect(datasetLines(context.dataDir)).toEqual(
      lines.map((line) => ({ ...line, input_prompt: line.input_prompt.replaceAll("about", "<X>") })),
    );
    for (const { files } of Object.values(readManifests(context.dataDir))) {
      for (const entry of Object.values(files)) {
        expect(entry).toMatchObject({ sanitiserVersions: ["2-test"] });
      }
    }
    expect(exists(join(context.dataDir, "mail"))).toBe(false);
  });

  test("that refuses records makes dead letters of them with the swap, which a redrive after the mend brings in once", async () => {
    const person = personIn(3, 60);
    const refused = Array.from(
      { length: 20 },
      (_, n) => failure(500_000 + n, { prompt: `xyzzy ${n}`, distinctId: person }),
    );
    // More than a chunk of a replay, and a new file in the next one: its letters outlive that.
    const others = Array.from({ length: 10_000 }, (_, n) => use(600_000 + n, person));
    const later = failure(700_000, { distinctId: person, timestamp: "2025-10-01T00:00:00Z" });
    await context.goOn([...refused, ...others, later]);
    const lines = datasetLines(context.dataDir);
    const xyzzy = () =>
      datasetLines(context.dataDir).filter(({ input_prompt }) => input_prompt.startsWith("xyzzy"));
    expect(xyzzy()).toHaveLength(20);
    const flags = await otherSanitiser(context.dataDir, {
      version: "3-test",
      change: `{ if (text.includes("xyzzy")) throw new Error("no"); return real.sanitise(text, known); }`,
    });
    const [known, end] = [await context.letters(), await context.deadLetterEnd()];
    const { code, stdout } = await outputOf(context.spawn(["--json"], { flags }));
    expect(code).toBe(0);
    expect(result(stdout)).toMatchObject({ lines: lines.length - 20, deadLetters: known.length + 20 });
    expect([xyzzy(), await context.deadLetterEnd()]).toEqual([[], end]);
    await context.goOn([]);
    expect(await context.letters()).toHaveLength(known.length + 20);
    const ids = await context.lettersOf("xyzzy");
    expect(ids).toHaveLength(20);
    const redriven = await runProgram("tools/dead_letters.ts", {
      args: ["redrive", ...ids],
      env: context.env,
    });
    expect(redriven.code).toBe(0);
    await context.goOn([]);
    expect(xyzzy().map(({ input_prompt }) => input_prompt).sort()).toEqual(
      lines.map(({ input_prompt }) => input_prompt).filter((one) => one.startsWith("xyzzy")).sort(),
    );
    expect(await context.replay()).toMatchObject({ code: 0 });
    expect(xyzzy()).toHaveLength(20);
    expect(await context.replay("--check")).toMatchObject({ code: 0 });
  });
});

describe("Letters", () => {
  test("that a killed writer has decided and not published outlive the swap", async () => {
    const known = await context.letters();
    await context.withLog(async (log) => {
      await log.publish(WEBHOOKS_TOPIC, [failure(2_000_000, { prompt: 1 }), failure(2_000_001)]);
    });
    const writer = spawnProgram("processor/dataset/fixtures/writer_process.ts", {
      args: [context.env.PIPELINE_SECRET!, "500"],
      env: { ...context.env, FAULT_POINT: "dataset.manifest" },
    });
    await killAtFaultPoint(writer, "dataset.manifest");
    expect(await context.letters()).toEqual(known);
    expect(await context.replay()).toMatchObject({ code: 0 });
    expect(await context.letters()).toEqual(known);
    await context.goOn([]);
    expect(await context.letters()).toHaveLength(known.length + 1);
    expect(await context.replay("--check")).toMatchObject({ code: 0 });
  });
});

describe("An erasure that the live dataset has not come to", () => {
  test("holds in a replay all the same, and no check calls that a difference", async () => {
    const person = personIn(3, 33);
    const theirs = () => datasetLines(context.dataDir).filter(({ distinct_id }) => distinct_id === person);
    expect(theirs().length).toBeGreaterThan(5);
    const others = datasetLines(context.dataDir).length - theirs().length;
    await context.withLog((log) =>
      erasePerson(log, 77, { distinctId: person, at: "2026-01-01T00:00:00.000Z" })
    );
    expect(await context.replay("--check")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("an erasure"),
    });
    expect(await context.replay()).toMatchObject({ code: 0 });
    expect([theirs().length, datasetLines(context.dataDir).length]).toEqual([0, others]);
    await context.goOn([
      failure(3_000_000, { distinctId: person, timestamp: null, receivedAt: Date.UTC(2026, 0, 2) }),
    ]);
    expect([theirs().length, datasetLines(context.dataDir).length]).toEqual([1, others + 1]);
    expect(await context.replay("--check")).toMatchObject({ code: 0 });
  });

  test("comes between two runs of an interrupted replay: its lines leave what was built already", async () => {
    const person = personIn(3, 33);
    const to = join(context.dataDir, "to");
    const point = { env: { FAULT_POINT: "replay.built" } };
    await killAtFaultPoint(context.spawn(["--to", to], point), "replay.built");
    expect(textBelow(to)).toContain(`"distinct_id":"${person}"`);
    await context.withLog((log) =>
      erasePerson(log, 77, { distinctId: person, at: "2026-01-01T00:00:00.000Z" })
    );
    expect(await context.replay("--to", to)).toMatchObject({ code: 0 });
    expect(textBelow(to)).not.toContain(`"distinct_id":"${person}"`);
  });
});

function textBelow(root: string): string {
  return [...filesBelow(root).keys()].sort().map((path) => Deno.readTextFileSync(join(root, path))).join("");
}

describe("replay --check", () => {
  test.each([
    ["a changed byte", (path: string) => Deno.writeTextFileSync(path, flipped(Deno.readTextFileSync(path)))],
    ["a missing file", (path: string) => Deno.removeSync(path)],
    ["a shorter file", (path: string) => Deno.truncateSync(path, 10)],
  ])("finds %s and names the file", async (_, damage) => {
    const [path] = Object.keys(context.sums());
    damage(join(context.root(), path!));
    const { code, stdout, stderr } = await context.replay("--check", "--json");
    expect([code, stderr]).toEqual([1, expect.stringContaining(path!)]);
    expect(JSON.parse(stdout).differences.map((one: { path: string }) => one.path)).toEqual([path]);
    const mended = await context.replay();
    expect(mended.code).toBe(0);
    expect((await context.replay("--check")).code).toBe(0);
  });

  test.each([
    ["damaged", (path: string) => Deno.writeTextFileSync(path, "{")],
    ["missing", (path: string) => Deno.removeSync(path)],
  ])("cannot go by a manifest that is %s; a replay makes it good", async (_, damage) => {
    const before = context.sums();
    damage(join(context.root(), "_manifest", "p00003.json"));
    expect(await context.replay("--check")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("p00003.json"),
    });
    expect(await context.replay()).toMatchObject({ code: 0 });
    expect(context.sums()).toEqual(before);
    expect(await context.replay("--check")).toMatchObject({ code: 0 });
  });

  test("passes over what lies beyond a manifest", async () => {
    const [path] = Object.keys(context.sums());
    Deno.writeTextFileSync(join(context.root(), path!), "half a line", { append: true });
    expect(await context.replay("--check")).toMatchObject({ code: 0 });
  });

  test("counts the lines that differ", async () => {
    const flags = await otherSanitiser(context.dataDir, {
      version: "2-test",
      change: `real.sanitise(text.replaceAll("about", "<X>"), known)`,
    });
    const touched = datasetLines(context.dataDir).filter(({ input_prompt }) =>
      input_prompt.includes("about")
    );
    const { code, stdout } = await outputOf(context.spawn(["--check", "--json"], { flags }));
    expect(code).toBe(1);
    expect(result(stdout).partitions.reduce((sum, { changed }) => sum + changed, 0)).toBe(touched.length);
  });
});

function flipped(text: string): string {
  return text.replace("timeout", "timeouT");
}

describe("replay --to", () => {
  test("leaves the dataset in DIR, the live one alone, and no trace of being unfinished", async () => {
    const before = context.sums();
    const to = join(context.dataDir, "elsewhere");
    const { code, stdout } = await context.replay("--to", to, "--json");
    expect(code).toBe(0);
    expect(result(stdout).lines).toBe(datasetLines(context.dataDir).length);
    expect(context.sums()).toEqual(before);
    expect(textBelow(to)).toBe(textBelow(context.root()));
    expect(exists(join(to, "_manifest", "replay.json"))).toBe(false);
    const again = await context.replay("--to", to);
    expect([again.code, again.stderr]).toEqual([1, expect.stringContaining("it is not empty")]);
  });

  test("takes only what was received within the times, and drops the repeats of what was received before", async () => {
    const [from, until] = [RECEIVED_AT + 10_000, RECEIVED_AT + 40_000];
    const to = join(context.dataDir, "stretch");
    const times = [
      "--from-time",
      new Date(from).toISOString(),
      "--until-time",
      new Date(until).toISOString(),
    ];
    const { code } = await context.replay("--to", to, ...times);
    expect(code).toBe(0);
    const wanted = new Set<string>();
    await context.withLog(async (log) => {
      for (const { partition, endOffset } of await log.bounds(WEBHOOKS_TOPIC)) {
        for await (const batch of log.read(WEBHOOKS_TOPIC, { partition, from: 0, until: endOffset })) {
          for (const { timestamp, value } of batch.records) {
            if (timestamp < from || timestamp >= until) continue;
            const body = JSON.parse(new TextDecoder().decode(value));
            const n = /\d+$/.exec(String(body.event?.properties?.input_prompt ?? ""))?.[0];
            if (n) wanted.add(n);
          }
        }
      }
    });
    const inLive = textBelow(context.root()).split("\n").filter((line) => line && wanted.has(numberIn(line)));
    const inStretch = textBelow(to).split("\n").filter(Boolean);
    expect(inStretch.length).toBeGreaterThan(500);
    expect(inStretch).toEqual(inLive);
  });

  test("is refused by a directory that holds something, or another interrupted replay", async () => {
    const to = join(context.dataDir, "taken");
    await Deno.mkdir(to);
    await Deno.writeTextFile(join(to, "notes.txt"), "mine");
    expect(await context.replay("--to", to)).toMatchObject({ code: 1 });
    expect(Deno.readTextFileSync(join(to, "notes.txt"))).toBe("mine");
    await Deno.remove(join(to, "notes.txt"));
    await killAtFaultPoint(
      context.spawn(["--to", to], { env: { FAULT_POINT: "replay.chunk" } }),
      "replay.chunk",
    );
    const other = await context.replay("--to", to, "--until-time", "2026-01-01");
    expect([other.code, other.stderr]).toEqual([
      1,
      expect.stringContaining("a replay with other parameters"),
    ]);
    expect(await context.replay("--to", to)).toMatchObject({ code: 0 });
    expect(textBelow(to)).toBe(textBelow(context.root()));
  });

  test("resumed goes by the range that it began with", async () => {
    const to = join(context.dataDir, "fixed");
    const lines = textBelow(context.root());
    await killAtFaultPoint(
      context.spawn(["--to", to], { env: { FAULT_POINT: "replay.chunk" } }),
      "replay.chunk",
    );
    await context.goOn(Array.from({ length: 20 }, (_, n) => failure(900_000 + n)));
    expect(await context.replay("--to", to)).toMatchObject({ code: 0 });
    expect(textBelow(to)).toBe(lines);
  });
});

function numberIn(line: string): string {
  return /(\d+)$/.exec(JSON.parse(line).input_prompt)?.[1] ?? "";
}

describe("A replay is refused", () => {
  test.each([
    [["--from-time", "2025-01-01"]],
    [["--until-time", "2025-01-01"]],
    [["--to", "x", "--check"]],
    [["--to", "x", "--take-over"]],
    [["--check", "--take-over"]],
    [["--to", "x", "--from-time", "yesterday"]],
    [["--to", "x", "--from-time", "2025-02-01", "--until-time", "2025-01-01"]],
    [["now"]],
  ])("as wrong usage: %j", async (args) => {
    const trees = context.trees();
    expect(await context.replay(...args)).toMatchObject({ code: 2, stdout: "" });
    expect(context.trees()).toEqual(trees);
  });

  test("where the topic has dropped records whose lines the dataset holds; --to takes what is left", async () => {
    // As an operator sets it: every service at its start would keep the topic for ever again.
    const database = new DatabaseSync(join(context.dataDir, "log", "ingest.db"));
    const retentionMs = Date.now() - RECEIVED_AT - 30_000;
    database.prepare("update topic set retention_ms = ? where name = ?").run(retentionMs, WEBHOOKS_TOPIC);
    database.close();
    const sweeping = openSqliteLog({
      dataDir: context.dataDir,
      role: "ingest",
      retentionEveryMs: 5,
      writerOf,
    });
    await until("records have gone", async () => (await sweeping.bounds(WEBHOOKS_TOPIC))[3]!.startOffset > 0);
    await sweeping.close();
    const before = context.sums();
    const { code, stderr } = await context.replay();
    expect([code, stderr]).toEqual([
      1,
      expect.stringMatching(/^Cannot replace the dataset: in partition \d it begins at/m),
    ]);
    expect(stderr).toContain("--to DIR");
    expect(context.sums()).toEqual(before);
    expect(context.trees()).toHaveLength(2);
    expect(await context.replay("--check")).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("retention"),
    });
    const { code: ok, stdout } = await context.replay("--to", join(context.dataDir, "left"), "--json");
    expect(ok).toBe(0);
    expect(result(stdout).lines).toBeGreaterThan(0);
    expect(result(stdout).lines).toBeLessThan(datasetLines(context.dataDir).length);
  });

  test("under another secret than the pipeline's, and makes none where there is none", async () => {
    await context.withLog(async (log) => {
      await log.ensureTopic({
        name: FACTS_TOPIC,
        partitions: 1,
        retentionMs: null,
        retentionBytes: null,
        recordBytesMax: RECORD_BYTES_MAX,
      });
      await log.publish(FACTS_TOPIC, [
        encodeFact({ fact: "secret", at: 0, fingerprint: hashes.fingerprint }),
      ]);
    });
    expect(await context.replay("--check")).toMatchObject({ code: 0 });
    const other = await outputOf(
      context.spawn([], { env: { PIPELINE_SECRET: "another secret of many letters" } }),
    );
    expect([other.code, other.stderr]).toEqual([1, expect.stringContaining("fingerprint")]);
    const none = await outputOf(context.spawn([], { env: { PIPELINE_SECRET: "" } }));
    expect([none.code, none.stderr]).toEqual([1, expect.stringContaining("there is no pipeline.secret")]);
    expect(exists(join(context.dataDir, "pipeline.secret"))).toBe(false);
  });

  test("where the group writes another dataset; --take-over makes this host's the one", async () => {
    const kept = { retentionMs: null, retentionBytes: null, recordBytesMax: RECORD_BYTES_MAX };
    await context.withLog(async (log) => {
      await log.ensureTopic({ name: FACTS_TOPIC, partitions: 1, ...kept });
      await log.publish(FACTS_TOPIC, [
        encodeFact({ fact: "secret", at: 0, fingerprint: hashes.fingerprint }),
        encodeFact({ fact: "dataset", at: 0, id: "another-host" }),
      ]);
    });
    const refused = await context.replay();
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining("--take-over")]);
    const [before, { id }] = [context.sums(), context.identity()];
    await killAtFaultPoint(
      context.spawn(["--take-over"], { env: { FAULT_POINT: "replay.renamed" } }),
      "replay.renamed",
    );
    expect(await context.replay("--take-over")).toMatchObject({ code: 0 });
    expect(context.sums()).toEqual(before);
    expect(context.identity().id).not.toBe(id);
    const facts = await context.withLog(async (log) => {
      const found: { fact: string; id?: string; takesOver?: string }[] = [];
      const { endOffset } = (await log.bounds(FACTS_TOPIC))[0]!;
      for await (const { records } of log.read(FACTS_TOPIC, { partition: 0, from: 0, until: endOffset })) {
        for (const { value } of records) found.push(JSON.parse(new TextDecoder().decode(value)));
      }
      return found;
    });
    expect(facts.slice(2)).toMatchObject([{
      fact: "dataset",
      id: context.identity().id,
      takesOver: "another-host",
    }]);
    const again = await context.replay("--take-over");
    expect([again.code, again.stderr]).toEqual([
      1,
      expect.stringContaining("is the one that the group writes already"),
    ]);
    expect(await context.replay()).toMatchObject({ code: 0 });
  });
});

describe("The program", () => {
  test("has no mailer in its module graph", async () => {
    const modules = async (path: string) => {
      const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["info", "--json", path] }).output();
      const { modules } = JSON.parse(new TextDecoder().decode(stdout)) as {
        modules: { specifier: string }[];
      };
      return modules.map(({ specifier }) => specifier);
    };
    const mailers = /nodemailer|smtp|maildir|mailer|\/sender\.ts|send_attempt|discount_email/;
    const own = await modules("tools/replay/main.ts");
    expect(own.length).toBeGreaterThan(40);
    expect(own.filter((specifier) => mailers.test(specifier))).toEqual([]);
    // It has no Workers, whose modules would not be in that graph; and the expression finds mailers where there are some.
    const workers = own.filter((one) =>
      one.startsWith("file:") && !one.includes("node_modules") &&
      Deno.readTextFileSync(new URL(one)).includes("new Worker(")
    );
    expect(workers).toEqual([]);
    expect(
      (await modules("processor/workers/offer_sender.ts")).filter((specifier) => mailers.test(specifier)),
    ).not
      .toEqual([]);
  });
});
