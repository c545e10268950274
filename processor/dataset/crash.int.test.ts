import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readDeadLetterEntry } from "../../contract/dead_letter.ts";
import { DATASET_WRITER_GROUP, DEAD_LETTER_TOPIC, WEBHOOKS_TOPIC } from "../../contract/names.ts";
import {
  DATASET_PLACES,
  type DatasetPlace,
  type DatasetPlaces,
  openPlaces,
} from "../../tests/support/dataset_place.ts";
import { until } from "../../tests/support/until.ts";
import { openTopicLog } from "../../topic/open_topic.ts";
import { WEBHOOKS_TOPIC_SPEC } from "../../topic/raw_topics.ts";
import type { RecordToPublish } from "../../topic/topic.ts";
import { erasure, failure, personIn, use } from "./fixtures/records.ts";
import { hashes, readManifests, SECRET, sums } from "./fixtures/run.ts";

/**
 * Real processes on the real embedded log, their dataset in a directory or in the bucket of a real server. Each stops itself
 * between two effects, is killed with -9 where it stands, and another one goes on with another chunk size. The oracle is a
 * run into a directory that nothing has stopped.
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

type World = { readonly dataDir: string; readonly place: DatasetPlace };

const temporary: string[] = [];
let untouched: Awaited<ReturnType<typeof look>>;
let untouchedOnDisk: ReturnType<typeof lookOnDisk>;

beforeAll(async () => {
  const directories = await openPlaces({ isBucket: false });
  const world = await newWorld(directories);
  await finish(startProcess(world, { chunkRecords: 500 }), world);
  untouched = await look(world);
  untouchedOnDisk = lookOnDisk(world);
});
afterAll(async () => {
  for (const directory of temporary) await Deno.remove(directory, { recursive: true });
});

async function newWorld(places: DatasetPlaces): Promise<World> {
  const dataDir = await Deno.makeTempDir();
  temporary.push(dataDir);
  const log = await openTopicLog({ kind: "embedded", dataDir }, "ingest");
  await log.ensureTopic(WEBHOOKS_TOPIC_SPEC);
  await log.publish(WEBHOOKS_TOPIC, RECORDS);
  await log.close();
  return { dataDir, place: places.at(dataDir) };
}

type Running = ReturnType<typeof startProcess>;

function startProcess(
  { dataDir, place }: World,
  { chunkRecords, faultPoint }: { readonly chunkRecords: number; readonly faultPoint?: string },
) {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", RUNNER, SECRET, String(chunkRecords), String(MANIFEST_ENTRIES)],
    env: {
      DATA_DIR: dataDir,
      ...place.env,
      ...(faultPoint === undefined ? {} : { FAULT_POINT: faultPoint }),
    },
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

/** Starts one and waits until it has stopped itself at the fault point. */
async function stopAt(
  world: World,
  options: { readonly chunkRecords: number; readonly faultPoint: string },
): Promise<Running> {
  const running = startProcess(world, options);
  const name = options.faultPoint.split(":")[0]!;
  await until(`it has stopped at ${name}`, () => {
    if (running.code() !== null) {
      throw new Error(`It ended (${running.code()}) before ${name}: ${running.stderr()}`);
    }
    return running.stderr().includes(`fault point ${name}\n`);
  });
  if (Deno.build.os === "linux") {
    // The words come first, the stop a moment later.
    await until("it is stopped", () => / T /.test(Deno.readTextFileSync(`/proc/${running.child.pid}/stat`)));
  }
  return running;
}

async function killAt(...args: Parameters<typeof stopAt>): Promise<void> {
  const stopped = await stopAt(...args);
  stopped.child.kill("SIGKILL");
  await stopped.exited;
}

/** Waits until everything is committed and what a crash has left is gone, then ends the process in good order. */
async function finish(running: Running, { dataDir, place }: World): Promise<void> {
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
  await until("nothing lies beside what is named", async () => !(await place.beside())?.length);
  running.child.kill("SIGTERM");
  await running.exited;
  expect(running.code()).toBe(0);
}

/**
 * What a crash must not change, wherever the dataset lies: each file's lines in their order, and which positions have letters.
 * Where a record of hers failed below the erasure, a partition that has heard of it from another one writes no letter.
 */
async function look({ dataDir, place }: World) {
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
  return { files: await place.files(), letters: [...letters].sort() };
}

/** On a disk also every byte that lies there, and what the manifests say. */
function lookOnDisk({ dataDir }: World) {
  const manifests = Object.fromEntries(
    Object.entries(readManifests(dataDir)).map((
      [name, { nextOffset, files }],
    ) => [name, { nextOffset, files }]),
  );
  return { sums: sums(dataDir), manifests };
}

describe("a run that nothing stops", () => {
  it("holds lines of several days, letters, and nothing of the erased person", () => {
    expect(untouched.files.size).toBeGreaterThan(6);
    expect(untouched.letters.length).toBeGreaterThan(5);
    expect(untouchedOnDisk.manifests["p00003.json"]!.nextOffset).toBeGreaterThan(50);
  });
});

const ON_DISK = [
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
/** Before it nothing of a chunk is outside of the process. */
const IN_A_BUCKET = [
  "dataset.objects_put:1",
  "dataset.commit_created:4",
  "dataset.letters:1",
  "erase.temp:1",
  "erase.manifest:1",
];

describe.each(DATASET_PLACES)(
  "a writer into $name that is killed with -9 between two effects",
  ({ isBucket, why }) => {
    if (why !== null) {
      it("leaves what a run without a crash leaves", (running) => running.skip(why));
      return;
    }
    let places: DatasetPlaces;
    beforeAll(async () => void (places = await openPlaces({ isBucket })));
    afterAll(() => places.stop());

    const goesOn = async (world: World, chunkRecords: number) => {
      await finish(startProcess(world, { chunkRecords }), world);
      expect(await look(world)).toEqual(untouched);
      if (!isBucket) expect(lookOnDisk(world)).toEqual(untouchedOnDisk);
    };

    it.each(isBucket ? IN_A_BUCKET : ON_DISK)(
      "at %s leaves the bytes, counts and letters of a run without a crash",
      async (faultPoint) => {
        const world = await newWorld(places);
        await killAt(world, { chunkRecords: 7, faultPoint });
        await goesOn(world, 11);
      },
    );

    it("several times in a row, each time a little further on, loses and doubles nothing", async () => {
      const world = await newWorld(places);
      const onDisk = ["dataset.appended:3", "dataset.manifest:3", "dataset.synced:4", "erase.manifest:1"];
      // What one was killed at has not happened, so the next one meets it; other partitions may be anywhere by then.
      const inABucket = ["erase.temp:1", "erase.manifest:1", "dataset.commit_created:1"];
      for (const faultPoint of isBucket ? inABucket : onDisk) {
        await killAt(world, { chunkRecords: 5, faultPoint });
      }
      await goesOn(world, 500);
    });

    if (isBucket) return;

    it("holds its partitions while it is only stopped: a second one waits, and goes on once it is gone", async () => {
      const world = await newWorld(places);
      const stopped = await stopAt(world, { chunkRecords: 7, faultPoint: "dataset.appended:4" });
      const path = join(world.dataDir, "dataset.locks", "p00003.lock");
      const lock = Deno.openSync(path, { read: true, write: true });
      expect(lock.tryLockSync(true)).toBe(false);
      lock.close();
      stopped.child.kill("SIGKILL");
      await stopped.exited;
      await goesOn(world, 3);
    });
  },
);
