import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { DEAD_LETTER_TOPIC, WEBHOOKS_PARTITIONS, WEBHOOKS_TOPIC } from "../../contract/names.ts";
import { type DatasetLocks, openDatasetLocks } from "../../processor/dataset/files/locks.ts";
import { erasure, failure, publish } from "../../processor/dataset/fixtures/records.ts";
import {
  hashes,
  readManifests,
  startWriter,
  sums,
  writeAllOf,
} from "../../processor/dataset/fixtures/run.ts";
import { readProcessorConfig } from "../../processor/config.ts";
import { openBucket } from "../../processor/dataset/mod.ts";
import { systemClock } from "../../runtime/clock.ts";
import {
  DATASET_PLACES,
  type DatasetPlace,
  type DatasetPlaces,
  linesAt,
  openPlaces,
} from "../../tests/support/dataset_place.ts";
import { MemoryLog } from "../../tests/support/memory_log.ts";
import { until } from "../../tests/support/until.ts";
import { openTopicLog } from "../../topic/open_topic.ts";
import { partitionOf } from "../../topic/partitioner.ts";
import { DEAD_LETTER_TOPIC_SPEC, WEBHOOKS_TOPIC_SPEC } from "../../topic/raw_topics.ts";
import type { TopicLog } from "../../topic/topic.ts";
import { bucketHome } from "./bucket_home.ts";
import { checkDataset } from "./check.ts";
import { directoryHome, directoryTarget } from "./directory_home.ts";
import { parametersWith, replaying } from "./fixtures/replaying.ts";
import { replayInPlace } from "./in_place.ts";
import type { ReplayDependencies } from "./home.ts";
import { replayTo } from "./to.ts";

/**
 * An operator raises the number of partitions, and keys move: an erased person's late event, in a partition that has no
 * record of the erasure, gave a line again, and a uuid delivered before and after gave two.
 */

const W = 100;
const MORE = 8;
const AT = "2025-11-30T18:00:00.000Z";
const LATE = { timestamp: "2025-11-30T17:00:00.000Z", receivedAt: Date.UTC(2025, 11, 2) };

let dataDir: string;
let place: DatasetPlace;
let log: TopicLog;

/** Where the dataset of a suite lies; everywhere else in a directory. */
function datasetsIn({ isBucket }: { readonly isBucket: boolean }): void {
  let places: DatasetPlaces;
  beforeAll(async () => void (places = await openPlaces({ isBucket })));
  beforeEach(() => void (place = places.at(dataDir)));
  afterAll(() => places.stop());
}

/** A distinct_id that goes to these partitions, of six and of eight: both even, or both odd. */
function mover(from: number, to: number, n = 0): string {
  for (let i = 0;; i++) {
    const id = `mover-${from}-${to}-${n}-${i}`;
    const key = new TextEncoder().encode(id);
    if (partitionOf(key, WEBHOOKS_PARTITIONS) === from && partitionOf(key, MORE) === to) return id;
  }
}

async function openLog(open: () => Promise<TopicLog>): Promise<void> {
  log = await open();
  await log.ensureTopic(WEBHOOKS_TOPIC_SPEC);
  await log.ensureTopic(DEAD_LETTER_TOPIC_SPEC);
}

const raise = (partitions = MORE) => log.ensureTopic({ ...WEBHOOKS_TOPIC_SPEC, partitions });
const objects = () => readProcessorConfig({ DATA_DIR: dataDir, ...place.env }).objects;
const writing = () => ({ log, dataDir, config: { dedupWindow: W, objects: objects() }, settleMs: 0 });
const write = () => writeAllOf(writing());
const eraseIn = (partitions: readonly number[], distinctId: string, at = AT) =>
  publish(
    log,
    partitions.map((partition) => erasure([hashes.subject(distinctId)], { at, partition, n: partition })),
  );
const OLD = [0, 1, 2, 3, 4, 5];
const promptsOf = async (distinctId: string) =>
  (await linesAt(place)).filter((line) => line.distinct_id === distinctId).map((line) => line.input_prompt);

const deps = (locks: DatasetLocks | null = null): ReplayDependencies =>
  replaying(log, { home: directoryHome(join(dataDir, "dataset"), locks), dedupWindow: W });
const parameters = parametersWith(W);

/** What a replay gives is what lies there, in place and beside it. */
async function expectReplayToAgree(): Promise<void> {
  if (objects() !== null) return await expectReplayOfBucketToAgree();
  const before = sums(dataDir);
  expect((await checkDataset(deps())).differences).toEqual([]);
  const to = join(dataDir, "beside", "dataset");
  const onResult = () => {};
  await replayTo(directoryTarget(to, join(dataDir, "dataset")), {
    deps: deps(),
    parameters: { ...parameters, mode: "to" },
    onResult,
  });
  expect(sums(join(dataDir, "beside"))).toEqual(before);
  await Deno.remove(join(dataDir, "beside"), { recursive: true });
  const locks = openDatasetLocks(join(dataDir, "dataset"));
  await replayInPlace(deps(locks), { parameters: { ...parameters, mode: "swap" }, onResult });
  locks.close();
  expect(sums(dataDir)).toEqual(before);
  expect((await checkDataset(deps())).differences).toEqual([]);
}

async function expectReplayOfBucketToAgree(): Promise<void> {
  const before = await place.files();
  const bucket = await openBucket(objects()!, { clock: systemClock });
  const there = replaying(log, { home: bucketHome(bucket), dedupWindow: W });
  try {
    expect((await checkDataset(there)).differences).toEqual([]);
    await replayInPlace(there, { parameters: { ...parameters, mode: "swap" }, onResult() {} });
    expect(await place.files()).toEqual(before);
    expect((await checkDataset(there)).differences).toEqual([]);
  } finally {
    bucket.close();
  }
}

const directories = await openPlaces({ isBucket: false });

beforeEach(async () => {
  dataDir = await Deno.makeTempDir();
  place = directories.at(dataDir);
  await openLog(() => Promise.resolve(new MemoryLog()));
});
afterEach(async () => {
  await log.close();
  await Deno.remove(dataDir, { recursive: true });
});

describe.each(DATASET_PLACES)(
  "a person who was erased before partitions were added, in $name",
  ({ isBucket, why }) => {
    if (why !== null) {
      it("leaves no line that a replay would not leave", (running) => running.skip(why));
      return;
    }
    datasetsIn({ isBucket });

    const jane = mover(0, 6);

    it("loses a line that a running writer wrote before the erasure lay in any other partition", async () => {
      const writer = startWriter(writing());
      await writer.caughtUp();
      await raise();
      await publish(log, [
        failure(2, { distinctId: jane, ...LATE, prompt: "late" }),
        failure(3, { distinctId: mover(0, 6, 1), ...LATE, prompt: "another's" }),
        failure(4, {
          distinctId: jane,
          timestamp: "2025-12-01T10:00:00Z",
          receivedAt: LATE.receivedAt,
          prompt: "new",
        }),
      ]);
      await writer.caughtUp();
      expect(await promptsOf(jane)).toEqual(["late", "new"]);
      // As by a client that did not know of the new ones yet; nothing comes to those any more.
      await eraseIn(OLD, jane);
      await until("the line is gone", async () => !(await promptsOf(jane)).includes("late"));
      expect([await promptsOf(jane), await promptsOf(mover(0, 6, 1))]).toEqual([["new"], ["another's"]]);
      await publish(log, [failure(5, { distinctId: jane, ...LATE, prompt: "later" })]);
      await writer.caughtUp();
      await writer.stop();
      expect(await promptsOf(jane)).toEqual(["new"]);
      await expectReplayToAgree();
    });

    // The others differ in their records alone, and it is nothing to those where lines lie.
    if (isBucket) return;

    it("gets no line by a late event in a new partition, and one by what they do afterwards", async () => {
      await publish(log, [failure(1, { distinctId: jane })]);
      await eraseIn(OLD, jane);
      await write();
      await raise();
      await publish(log, [
        failure(2, { distinctId: jane, ...LATE, prompt: "late" }),
        failure(3, {
          distinctId: jane,
          timestamp: "2025-12-01T10:00:00Z",
          receivedAt: LATE.receivedAt,
          prompt: "new",
        }),
      ]);
      await write();
      expect(await promptsOf(jane)).toEqual(["new"]);
      await expectReplayToAgree();
    });

    it("gets none either where everything is written from the topic's start, and no letter", async () => {
      await publish(log, [failure(1, { distinctId: mover(1, 1) })]);
      await eraseIn(OLD, jane);
      await raise();
      await publish(log, [
        failure(2, { distinctId: jane, ...LATE, prompt: "late" }),
        failure(3, { distinctId: jane, ...LATE, prompt: 17 }),
      ]);
      await write();
      expect(await promptsOf(jane)).toEqual([]);
      expect(await log.bounds(DEAD_LETTER_TOPIC)).toMatchObject([{ endOffset: 0 }]);
    });

    it("is known by a partition that was closed while another one met the erasure", async () => {
      await raise();
      await publish(log, [failure(2, { distinctId: jane, ...LATE, prompt: "late" })]);
      await write();
      await eraseIn(OLD, jane);
      await write();
      expect(await promptsOf(jane)).toEqual([]);
      await expectReplayToAgree();
    });
  },
);

describe.each(DATASET_PLACES)(
  "a uuid that is delivered before and after partitions were added, in $name",
  ({ isBucket, why }) => {
    if (why !== null) {
      it("leaves no line that a replay would not leave", (running) => running.skip(why));
      return;
    }
    datasetsIn({ isBucket });

    it("gives one line beside a running writer, which knows of the change by the first key that has moved", async () => {
      const distinctId = mover(0, 2);
      const writer = startWriter(writing());
      await publish(log, [failure(1, { distinctId })]);
      await writer.caughtUp();
      await raise();
      await publish(log, [failure(1, { distinctId }), failure(2, { distinctId })]);
      await writer.caughtUp();
      await writer.stop();
      expect(await promptsOf(distinctId)).toHaveLength(2);
      await expectReplayToAgree();
    });

    // As above.
    if (isBucket) return;

    it.each([["a new one", mover(3, 7)], ["another old one", mover(0, 2)]])(
      "gives one line where its key goes to %s",
      async (_, distinctId) => {
        const twice = failure(1, { distinctId });
        await publish(log, [twice, ...OLD.map((n) => failure(10 + n, { distinctId: mover(n, n) }))]);
        await write();
        await raise();
        await publish(log, [twice, failure(2, { distinctId })]);
        await write();
        await publish(log, [twice]);
        await write();
        expect(await promptsOf(distinctId)).toEqual(["write a poem about 1", "write a poem about 2"]);
        await expectReplayToAgree();
      },
    );

    it("stops a writer that waits for ids in a transaction which somebody leaves open", async () => {
      await publish(log, OLD.map((n) => failure(10 + n, { distinctId: mover(n, n) })));
      await write();
      await publish(log, [failure(1, { distinctId: mover(0, 2) })]);
      await raise();
      const read = log.read.bind(log);
      let isWaiting = false;
      log.read = (topic, options) => {
        const { partition, until, endsAtOpenTransaction } = options;
        const isHidden = topic === WEBHOOKS_TOPIC && partition === 0 && until === 2;
        if (!isHidden || endsAtOpenTransaction) return read(topic, options);
        isWaiting = true;
        return read(topic, { partition: 0, from: 100 });
      };
      const writer = startWriter(writing());
      await until("it waits", () => isWaiting);
      await writer.stop();
      expect(await promptsOf(mover(0, 2))).toEqual([]);
    });

    it("gives one line where partitions are added twice", async () => {
      const id = mover(0, 6);
      await publish(log, [failure(1, { distinctId: id })]);
      await write();
      await raise();
      await write();
      for (const partitions of [11, 13]) {
        await raise(partitions);
        await publish(log, [failure(1, { distinctId: id })]);
        await write();
      }
      expect(await promptsOf(id)).toHaveLength(1);
      await expectReplayToAgree();
    });

    it("is one that failed before: its redriven copy gives the line, and a repeat after that none", async () => {
      const distinctId = mover(4, 6);
      await publish(log, [failure(1, { distinctId, prompt: 17 })]);
      await write();
      await raise();
      const redriven = failure(1, { distinctId, prompt: "mended" });
      const copy = { ...redriven, headers: { ...redriven.headers, redrives: "1" } };
      await publish(log, [failure(1, { distinctId, prompt: "a repeat" }), copy, copy]);
      await write();
      expect(await promptsOf(distinctId)).toEqual(["mended"]);
      await expectReplayToAgree();
    });

    it("is looked for within the window only", async () => {
      const [distinctId, other] = [mover(3, 7), mover(3, 7, 1)];
      await publish(log, [failure(1, { distinctId })]);
      await write();
      await raise();
      await publish(log, [failure(50, { distinctId: mover(1, 7) })]);
      await write();
      await publish(log, Array.from({ length: W }, (_, n) => failure(100 + n, { distinctId: other })));
      await publish(log, [failure(1, { distinctId })]);
      await write();
      expect(await promptsOf(distinctId)).toHaveLength(2);
      await expectReplayToAgree();
    });

    it("loses nothing where a partition adopts two changes while it is behind", async () => {
      // home of six: 0, of eight: 6, of eleven: 0 again.
      const id = (() => {
        for (let n = 0;; n++) {
          const one = mover(0, 6, n);
          if (partitionOf(new TextEncoder().encode(one), 11) === 0) return one;
        }
      })();
      await publish(log, [failure(1, { distinctId: id })]);
      await raise();
      await publish(log, [failure(1, { distinctId: id })]);
      await raise(11);
      await publish(log, [failure(1, { distinctId: id })]);
      await write();
      expect((await promptsOf(id)).length).toBeGreaterThan(0);
      await expectReplayToAgree();
    });
  },
);

describe("a dataset of an earlier version", () => {
  it("goes on, and remembers what it lacked with the next write", async () => {
    await publish(log, [failure(1, { distinctId: mover(3, 7) })]);
    await write();
    const directory = join(dataDir, "dataset", "_manifest");
    Deno.removeSync(join(directory, "partitions-00006.json"));
    const path = join(directory, "p00003.json");
    const { last: _, ...manifest } = JSON.parse(Deno.readTextFileSync(path));
    Deno.writeTextFileSync(path, JSON.stringify(manifest));
    await write();
    await publish(log, [failure(2, { distinctId: mover(3, 7) })]);
    await write();
    expect(readManifests(dataDir)["p00003.json"]).toMatchObject({ last: { offset: 1 } });
    await raise();
    await publish(log, [failure(1, { distinctId: mover(3, 7) })]);
    await write();
    expect(await promptsOf(mover(3, 7))).toHaveLength(2);
    await expectReplayToAgree();
  });
});

describe("a topic that was made again and has grown past the dataset", () => {
  const records = () => OLD.map((n) => failure(n, { distinctId: mover(n, n) }));

  it("stops the writer, and a replay and its check: what lies there is not what was written", async () => {
    await publish(log, [...records(), ...records()]);
    await write();
    const before = sums(dataDir);
    await log.close();
    const again = new MemoryLog();
    again.standFor(log as MemoryLog);
    log = again;
    await log.ensureTopic(WEBHOOKS_TOPIC_SPEC);
    await log.ensureTopic(DEAD_LETTER_TOPIC_SPEC);
    for (let n = 1; n < 6; n++) {
      await publish(log, OLD.map((p) => failure(100 * n + p, { distinctId: mover(p, p) })));
    }
    await expect(write()).rejects.toMatchObject({
      code: "dataset_other_topic",
      message: expect.stringMatching(
        /at offset 1 the log holds another record .* with another DATA_DIR and on Kafka another KAFKA_TOPIC_PREFIX too/,
      ),
    });
    await expect(checkDataset(deps())).rejects.toThrow("the topic has been deleted and made again");
    const locks = openDatasetLocks(join(dataDir, "dataset"));
    const swap = replayInPlace(deps(locks), { parameters: { ...parameters, mode: "swap" }, onResult() {} });
    await expect(swap).rejects.toThrow("the topic has been deleted and made again");
    locks.close();
    expect(sums(dataDir)).toEqual(before);
  });

  it("is told by its id where the log gives one, also where no record was written yet", async () => {
    const withId = (id: string) =>
      Object.assign(new MemoryLog({}, log as MemoryLog), { topicId: () => Promise.resolve(id) });
    const [first, second] = [withId("a".repeat(32)), withId("b".repeat(32))];
    await writeAllOf({ ...writing(), log: first });
    await publish(log, records());
    await writeAllOf({ ...writing(), log: first });
    await publish(log, records());
    await expect(writeAllOf({ ...writing(), log: second })).rejects.toThrow(
      /its id is b+, .* with id a+;/,
    );
  });

  it("is not seen in a record that an erasure has emptied, nor in one that retention has dropped", async () => {
    await publish(log, records());
    await write();
    const memory = log as MemoryLog;
    const [record] = memory.records(WEBHOOKS_TOPIC, 3);
    Object.assign(record!, { key: null, value: new Uint8Array(), headers: { event: "$scrubbed" } });
    memory.trim(WEBHOOKS_TOPIC, { partition: 4, startOffset: 1 });
    await publish(log, records().map((one) => ({ ...one, headers: { ...one.headers, redrives: "1" } })));
    await write();
    expect(await linesAt(place)).toHaveLength(12);
  });
});

describe("on the embedded log", () => {
  it("neither an erased person's late event nor a repeated uuid gives a line, and a log that was put anew stops", async () => {
    await log.close();
    const open = () => openTopicLog({ kind: "embedded", dataDir }, "processor");
    await openLog(open);
    const [jane, carl] = [mover(0, 6), mover(0, 2)];
    await publish(log, [failure(1, { distinctId: jane }), failure(2, { distinctId: carl })]);
    await eraseIn(OLD, jane);
    await write();
    await raise();
    await publish(log, [
      failure(3, { distinctId: jane, ...LATE }),
      failure(2, { distinctId: carl }),
      failure(4, { distinctId: carl }),
    ]);
    await write();
    expect([await promptsOf(jane), (await promptsOf(carl)).length]).toEqual([[], 2]);
    await expectReplayToAgree();
    await log.close();
    await Deno.remove(join(dataDir, "log"), { recursive: true });
    await openLog(open);
    await publish(log, Array.from({ length: 40 }, (_, n) => failure(100 + n, { distinctId: `user-${n}` })));
    await expect(write()).rejects.toThrow("has been deleted and made again");
  });
});
