import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DEAD_LETTER_TOPIC } from "../../contract/names.ts";
import { datasetLines } from "../../tests/support/pipeline.ts";
import { MemoryLog } from "../../tests/support/memory_log.ts";
import { until } from "../../tests/support/until.ts";
import { DEAD_LETTER_TOPIC_SPEC, WEBHOOKS_TOPIC_SPEC } from "../../topic/raw_topics.ts";
import { openDatasetLocks } from "./files/locks.ts";
import { failure, personIn, publish } from "./fixtures/records.ts";
import { readFiles, startWriter } from "./fixtures/run.ts";

const ALL = [0, 1, 2, 3, 4, 5];

let dataDir: string;
let log: MemoryLog;

beforeEach(async () => {
  dataDir = await Deno.makeTempDir();
  log = await newLog();
});
afterEach(async () => {
  await log.close();
  await Deno.remove(dataDir, { recursive: true });
});

async function newLog(): Promise<MemoryLog> {
  const made = new MemoryLog();
  await made.ensureTopic(WEBHOOKS_TOPIC_SPEC);
  await made.ensureTopic(DEAD_LETTER_TOPIC_SPEC);
  return made;
}

describe("a partition's lock", () => {
  it("keeps a second writer waiting, visibly, and lets it take over when the first is gone", async () => {
    // Two logs of the same records stand for a group that takes the first writer for dead while it still writes.
    const other = await newLog();
    other.standFor(log);
    const records = [1, 2, 3].map((n) => failure(n, { distinctId: personIn(n) }));
    await publish(log, records);
    await publish(other, records);
    const first = startWriter({ log, dataDir });
    await first.caughtUp();
    const second = startWriter({ log: other, dataDir });
    await until("it waits", () => second.health()?.is === "waiting");
    expect(second.health()?.message).toBe("waiting for lock of partition 0, 1, 2, 3, 4, 5");
    expect(datasetLines(dataDir)).toHaveLength(3);
    await first.stop();
    await second.caughtUp();
    await until("it is ready", () => second.health()?.is === "ready");
    expect(datasetLines(dataDir)).toHaveLength(3);
    await second.stop();
    await other.close();
  });

  it("goes to a new member of the group at a rebalance, after the old one's chunk", async () => {
    const first = startWriter({ log, dataDir });
    await until("it is ready", () => first.health()?.is === "ready");
    const second = startWriter({ log, dataDir });
    await until(
      "each has a half",
      () =>
        first.health()?.partitions.length === 3 && second.health()?.partitions.length === 3 &&
        second.health()?.is === "ready",
    );
    await publish(log, ALL.map((n) => failure(n, { distinctId: personIn(n) })));
    await first.caughtUp();
    expect(datasetLines(dataDir)).toHaveLength(6);
    await first.stop();
    await publish(log, ALL.map((n) => failure(10 + n, { distinctId: personIn(n) })));
    await second.caughtUp();
    expect(datasetLines(dataDir)).toHaveLength(12);
    await second.stop();
  });

  it("is waited for no longer than the partition is owned", async () => {
    const locks = openDatasetLocks(join(dataDir, "dataset"));
    const held = ALL.map((partition) => locks.takePartition(partition)!);
    const run = startWriter({ log, dataDir });
    await until("it waits", () => run.health()?.is === "waiting");
    await run.stop();
    for (const lock of held) lock.release();
    locks.close();
  });
});

describe("a replay that wants the dataset", () => {
  it("gets every lock, idle partitions' too, and the writer goes on in the tree that lies there afterwards", async () => {
    await publish(log, [failure(1, { distinctId: personIn(1) })]);
    const run = startWriter({ log, dataDir });
    await run.caughtUp();
    const datasetDir = join(dataDir, "dataset");
    const locks = openDatasetLocks(datasetDir);
    const swap = await until("the wish is heard", () => locks.takeSwapWanted());
    const held = await until("every lock is free", () => {
      const taken = ALL.map((partition) => locks.takePartition(partition));
      if (taken.every((lock) => lock !== null)) return taken;
      for (const lock of taken) lock?.release();
      return null;
    });
    await publish(log, [failure(2, { distinctId: personIn(1) })]);
    const old = Deno.realPathSync(datasetDir);
    await copyTree(old, `${datasetDir}.rebuilt`);
    Deno.symlinkSync("dataset.rebuilt", `${datasetDir}.link`);
    Deno.renameSync(`${datasetDir}.link`, datasetDir);
    expect(datasetLines(dataDir)).toHaveLength(1);
    for (const lock of held) lock!.release();
    swap.release();
    await run.caughtUp();
    await until("it is ready again", () => run.health()?.is === "ready");
    expect(datasetLines(dataDir).map((line) => line.input_prompt)).toHaveLength(2);
    expect(Deno.realPathSync(datasetDir)).toBe(Deno.realPathSync(`${datasetDir}.rebuilt`));
    const [path] = Object.keys(readFiles(dataDir));
    expect(Deno.readTextFileSync(join(old, path!)).split("\n")).toHaveLength(2);
    await run.stop();
    locks.close();
  });

  it("leaves letters in its manifests that an idle writer publishes when it comes back", async () => {
    await publish(log, [failure(1, { distinctId: personIn(1) })]);
    const run = startWriter({ log, dataDir });
    await run.caughtUp();
    const locks = openDatasetLocks(join(dataDir, "dataset"));
    const swap = await until("the wish is heard", () => locks.takeSwapWanted());
    const held = await until("the lock is free", () => locks.takePartition(1));
    const path = join(dataDir, "dataset", "_manifest", "p00001.json");
    const manifest = JSON.parse(Deno.readTextFileSync(path));
    manifest.letters = [{ offset: 0, step: "sanitise", reason: "a newer sanitiser refused it" }];
    Deno.writeTextFileSync(path, JSON.stringify(manifest));
    held.release();
    swap.release();
    await until("the letter is out", () => log.records(DEAD_LETTER_TOPIC).length === 1);
    expect(log.records(DEAD_LETTER_TOPIC)[0]!.headers["source-offset"]).toBe("0");
    await run.stop();
    locks.close();
  });

  it("whose tree lies further back is caught up from there, nothing skipped", async () => {
    const distinctId = personIn(1);
    await publish(log, [1, 2, 3].map((n) => failure(n, { distinctId })));
    const run = startWriter({ log, dataDir });
    await run.caughtUp();
    const before = readFiles(dataDir);
    const datasetDir = join(dataDir, "dataset");
    const locks = openDatasetLocks(datasetDir);
    const swap = await until("the wish is heard", () => locks.takeSwapWanted());
    await until("the lock is free", () => {
      const lock = locks.takePartition(1);
      lock?.release();
      return lock;
    });
    Deno.removeSync(join(datasetDir, "_manifest", "p00001.json"));
    for (const path of Object.keys(before)) Deno.removeSync(join(datasetDir, path));
    swap.release();
    await until("it is ready again", () => run.health()?.is === "ready");
    await publish(log, [failure(4, { distinctId })]);
    await until("all are there", () => datasetLines(dataDir).length === 4);
    await run.stop();
    locks.close();
  });
});

async function copyTree(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const entry of Deno.readDir(from)) {
    if (entry.isDirectory) await copyTree(join(from, entry.name), join(to, entry.name));
    else await Deno.copyFile(join(from, entry.name), join(to, entry.name));
  }
}
