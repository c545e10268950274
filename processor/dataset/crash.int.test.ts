import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readDeadLetterEntry } from "../../contract/dead_letter.ts";
import { DATASET_WRITER_GROUP, DEAD_LETTER_TOPIC, WEBHOOKS_TOPIC } from "../../contract/names.ts";
import { until } from "../../tests/support/until.ts";
import { openTopicLog } from "../../topic/open_topic.ts";
import { WEBHOOKS_TOPIC_SPEC } from "../../topic/raw_topics.ts";
import type { RecordToPublish } from "../../topic/topic.ts";
import { erasure, failure, personIn, use } from "./fixtures/records.ts";
import { hashes, readManifests, SECRET, sums } from "./fixtures/run.ts";

/**
 * Real processes on the real embedded log. Each stops itself between two effects, is killed with -9 where it stands,
 * and another one goes on with another chunk size. The oracle is a run that nothing has stopped.
 */

const RUNNER = new URL("./fixtures/writer_process.ts", import.meta.url).pathname;
/** So few that entries are sealed within one offset range. */
const MANIFEST_ENTRIES = 2;
const jane = personIn(3, 1);
const carl = personIn(3, 2);

/** Repeats, dead letters, ignored events, several days, and an erasure in the middle of partition 3. */
const RECORDS: readonly RecordToPublish[] = Array.from({ length: 150 }, (_, n) => {
  if (n === 100) return erasure([hashes.subject(jane)], { at: "2025-11-30T20:00:00.000Z", partition: 3 });
  const distinctId = n % 4 === 0 ? jane : n % 4 === 1 ? carl : `user-${n % 7}`;
  if (n % 11 === 7) return failure(n, { distinctId, prompt: n });
  if (n % 10 === 9) return use(n, distinctId);
  const which = n % 13 === 5 ? n - 1 : n;
  const timestamp = `2025-11-${20 + n % 9}T10:00:00Z`;
  return failure(which, { distinctId, timestamp, prompt: `write to a${n}@b.example about ${"ü".repeat(n)}` });
});

const temporary: string[] = [];
let untouched: Awaited<ReturnType<typeof look>>;

beforeAll(async () => {
  const dataDir = await newDataDir();
  await finish(startProcess(dataDir, { chunkRecords: 500 }), dataDir);
  untouched = await look(dataDir);
});
afterAll(async () => {
  for (const directory of temporary) await Deno.remove(directory, { recursive: true });
});

async function newDataDir(): Promise<string> {
  const dataDir = await Deno.makeTempDir();
  temporary.push(dataDir);
  const log = await openTopicLog({ kind: "embedded", dataDir }, "ingest");
  await log.ensureTopic(WEBHOOKS_TOPIC_SPEC);
  await log.publish(WEBHOOKS_TOPIC, RECORDS);
  await log.close();
  return dataDir;
}

type Running = ReturnType<typeof startProcess>;

function startProcess(
  dataDir: string,
  { chunkRecords, faultPoint }: { readonly chunkRecords: number; readonly faultPoint?: string },
) {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", RUNNER, SECRET, String(chunkRecords), String(MANIFEST_ENTRIES)],
    env: { DATA_DIR: dataDir, ...(faultPoint === undefined ? {} : { FAULT_POINT: faultPoint }) },
    stdin: "null",
    stdout: "inherit",
    stderr: "piped",
  }).spawn();
  let stderr = "";
  const reading = (async () => {
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) stderr += text;
  })();
  let code: number | string | null = null;
  const exited = child.status.then(async (status) => {
    await reading;
    code = status.signal ?? status.code;
  });
  return { child, exited, stderr: () => stderr, code: () => code };
}

/** Waits until everything is committed, then ends the process in good order. */
async function finish(running: Running, dataDir: string): Promise<void> {
  const log = await openTopicLog({ kind: "embedded", dataDir }, "command");
  await until("the group has committed everything", async () => {
    if (running.code() !== null) throw new Error(`The writer ended (${running.code()}): ${running.stderr()}`);
    const [bounds, committed] = await Promise.all([
      log.bounds(WEBHOOKS_TOPIC),
      log.committed(WEBHOOKS_TOPIC, DATASET_WRITER_GROUP),
    ]);
    return bounds.every((one) =>
      one.endOffset === one.startOffset || committed[one.partition] === one.endOffset
    );
  });
  await log.close();
  running.child.kill("SIGTERM");
  await running.exited;
  expect(running.code()).toBe(0);
}

/**
 * Everything that a crash must not change: bytes, what the manifests say of them, and which positions have letters.
 * Where a record of hers failed below the erasure, a partition that has heard of it from another one writes no letter.
 */
async function look(dataDir: string) {
  const log = await openTopicLog({ kind: "embedded", dataDir }, "command");
  const letters = new Set<string>();
  const until = (await log.bounds(DEAD_LETTER_TOPIC))[0]!.endOffset;
  for await (const batch of log.read(DEAD_LETTER_TOPIC, { partition: 0, from: 0, until })) {
    for (const record of batch.records) {
      const entry = readDeadLetterEntry(record);
      if (entry.is === "letter" && new TextDecoder().decode(record.key!) !== jane) {
        letters.add(`${entry.letter.source.partition}:${entry.letter.source.offset}`);
      }
    }
  }
  await log.close();
  const manifests = Object.fromEntries(
    Object.entries(readManifests(dataDir)).map((
      [name, { nextOffset, files }],
    ) => [name, { nextOffset, files }]),
  );
  return { sums: sums(dataDir), manifests, letters: [...letters].sort() };
}

describe("a run that nothing stops", () => {
  it("holds lines of several days, letters, and nothing of the erased person", () => {
    expect(Object.keys(untouched.sums).length).toBeGreaterThan(6);
    expect(untouched.letters.length).toBeGreaterThan(5);
    expect(untouched.manifests["p00003.json"]!.nextOffset).toBeGreaterThan(50);
  });
});

describe("a writer that is killed with -9 between two effects", () => {
  const places = [
    "dataset.sealed:1",
    "dataset.sealed:6",
    "dataset.unsealed:1",
    "dataset.unsealed:7",
    "dataset.intended:2",
    "dataset.appended:1",
    "dataset.appended:9",
    "dataset.synced:5",
    "dataset.manifest:4",
    "dataset.letters:6",
    "dataset.committed:3",
    "erase.temp:1",
    "erase.temp:2",
    "erase.manifest:1",
    "erase.renamed:1",
    "erase.renamed:3",
  ];
  it.each(places)(
    "at %s leaves the bytes, counts and letters of a run without a crash",
    async (faultPoint) => {
      const dataDir = await newDataDir();
      const stopped = startProcess(dataDir, { chunkRecords: 7, faultPoint });
      const name = faultPoint.split(":")[0]!;
      await until(`it has stopped at ${name}`, () => {
        if (stopped.code() !== null) {
          throw new Error(`It ended (${stopped.code()}) before ${name}: ${stopped.stderr()}`);
        }
        return stopped.stderr().includes(`fault point ${name}\n`);
      });
      if (Deno.build.os === "linux") {
        // The words come first, the stop a moment later.
        await until(
          "it is stopped",
          () => / T /.test(Deno.readTextFileSync(`/proc/${stopped.child.pid}/stat`)),
        );
      }
      stopped.child.kill("SIGKILL");
      await stopped.exited;
      await finish(startProcess(dataDir, { chunkRecords: 11 }), dataDir);
      expect(await look(dataDir)).toEqual(untouched);
    },
  );

  it("several times in a row, each time a little further on, loses and doubles nothing", async () => {
    const dataDir = await newDataDir();
    for (
      const faultPoint of ["dataset.appended:3", "dataset.manifest:3", "dataset.synced:4", "erase.manifest:1"]
    ) {
      const stopped = startProcess(dataDir, { chunkRecords: 5, faultPoint });
      await until(`it has stopped at ${faultPoint}`, () => stopped.stderr().includes("fault point"));
      stopped.child.kill("SIGKILL");
      await stopped.exited;
    }
    await finish(startProcess(dataDir, { chunkRecords: 500 }), dataDir);
    expect(await look(dataDir)).toEqual(untouched);
  });

  it("holds its partitions while it is only stopped: a second one waits, and goes on once it is gone", async () => {
    const dataDir = await newDataDir();
    const stopped = startProcess(dataDir, { chunkRecords: 7, faultPoint: "dataset.appended:4" });
    await until("it has stopped", () => stopped.stderr().includes("fault point"));
    const lock = Deno.openSync(join(dataDir, "dataset.locks", "p00003.lock"), { read: true, write: true });
    expect(lock.tryLockSync(true)).toBe(false);
    lock.close();
    stopped.child.kill("SIGKILL");
    await stopped.exited;
    await finish(startProcess(dataDir, { chunkRecords: 3 }), dataDir);
    expect(await look(dataDir)).toEqual(untouched);
  });
});
