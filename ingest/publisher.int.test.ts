import { Buffer } from "node:buffer";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { EnvelopeRecord } from "../contract/envelope.ts";
import { readRefusedFile } from "../contract/refused_webhook.ts";
import { noFaultPoint } from "../runtime/fault_point.ts";
import { partitionOf } from "../topic/partitioner.ts";
import { type ManualClock, manualClock } from "../tests/support/manual_clock.ts";
import { until } from "../tests/support/until.ts";
import { DEFAULT_LIMITS } from "./config.ts";
import { Drainer } from "./spool/drainer.ts";
import { type FakeLog, fakeLog } from "./fixtures/fake_log.ts";
import { Publisher, type PublisherOptions } from "./publisher.ts";
import { Spool } from "./spool/spool.ts";

let directory: string;
let clock: ManualClock;
let log: FakeLog;
let spool: Spool;
let said: string[];
let options: PublisherOptions;
let publisher: Publisher;
let drainer: Drainer;

beforeEach(async () => {
  directory = await Deno.makeTempDir({ prefix: "publisher-" });
  clock = manualClock();
  log = fakeLog();
  said = [];
  await openSpool({ bytesMax: 1024 ** 2 });
});

afterEach(async () => {
  await Promise.all([drainer.stop(), clock.advance(DEFAULT_LIMITS.publishMsMax)]);
  await spool.close();
  await Deno.remove(directory, { recursive: true });
});

describe("while the log answers", () => {
  test("a record goes straight to it", async () => {
    expect(await publish("a")).toEqual({ is: "published" });
    expect(log.values()).toEqual(["a"]);
    expect([publisher.published, publisher.spooled, spool.pendingRecords]).toEqual([1, 0, 0]);
  });

  test("a record larger than the topic takes is turned away without a way through the spool, and the next one is taken", async () => {
    expect(await publish("refuse my size")).toEqual({ is: "refused" });
    expect(await publish("b")).toEqual({ is: "published" });
    expect([spool.pendingRecords, publisher.spooled]).toEqual([0, 0]);
  });

  test("that is said once a minute, with the log's words and how often it was", async () => {
    const told = () => said.filter((text) => text.includes("record_too_large"));
    for (let n = 0; n < 50; n++) await publish("refuse my size");
    expect(told()).toHaveLength(1);
    await clock.advance(60_000);
    await publish("refuse my size");
    expect(told()).toEqual([expect.anything(), expect.stringContaining("(and 49 times more")]);
  });

  test.each(["refuse my time", "refuse my kind"])(
    "a record that it refuses for itself (%s) is kept, set aside and holds up nothing",
    async (text) => {
      drainer.start();
      expect(await publish(text)).toEqual({ is: "spooled" });
      await drained();
      expect(await publish("b")).toEqual({ is: "published" });
      expect(log.values()).toEqual(["b"]);
      expect(setAside().map(({ record }) => new TextDecoder().decode(record.value))).toEqual([text]);
    },
  );
});

describe("before the topic is there", () => {
  test("records go to the spool, and to the log once it is", async () => {
    publisher = new Publisher(options);
    expect(await publish("a")).toEqual({ is: "spooled" });
    expect(log.asked).toBe(0);
    publisher.logIsReady();
    drainer.start();
    await drained();
    expect(log.values()).toEqual(["a"]);
  });
});

describe("while a partition has no leader", () => {
  test("its records wait in their order, and those of the others go out ahead of them, each once", async () => {
    log.leaderless = [1];
    drainer.start();
    expect(await publish("b1", keyIn(1))).toEqual({ is: "spooled" });
    for (const [text, partition] of [["a1", 0], ["b2", 1], ["c1", 2], ["a2", 0]] as const) {
      expect(await publish(text, keyIn(partition))).toEqual({ is: "spooled" });
    }
    await untilLanded("a1", "c1", "a2");
    expect(said.filter((text) => text.includes("partition 1 has no leader now"))).not.toEqual([]);
    log.leaderless = [1, 2];
    for (const [text, partition] of [["c2", 2], ["b3", 1], ["a3", 0]] as const) {
      await publish(text, keyIn(partition));
    }
    await untilLanded("a1", "c1", "a2", "a3");
    log.leaderless = [];
    await until("all of them are there", async () => {
      await clock.advance(DEFAULT_LIMITS.retryMsFirst);
      return spool.pendingRecords === 0;
    });
    expect(log.values()).toEqual(["a1", "c1", "a2", "a3", "b1", "b2", "c2", "b3"]);
    await clock.advance(DEFAULT_LIMITS.logRestMs);
    expect(await publish("b4", keyIn(1))).toEqual({ is: "published" });
  });

  test("what the log refuses is set aside once, also where it lies behind records that wait", async () => {
    log.leaderless = [1];
    drainer.start();
    await publish("b1", keyIn(1));
    await publish("refuse my kind", keyIn(0));
    await publish("a1", keyIn(0));
    await untilLanded("a1");
    log.leaderless = [];
    await until("all of them are there", async () => {
      await clock.advance(DEFAULT_LIMITS.retryMsFirst);
      return spool.pendingRecords === 0;
    });
    expect(log.values()).toEqual(["a1", "b1"]);
    expect(setAside()).toHaveLength(1);
  });

  test("what went ahead comes again after a crash, and nothing is missing", async () => {
    log.leaderless = [1];
    drainer.start();
    await publish("b1", keyIn(1));
    await publish("a1", keyIn(0));
    await untilLanded("a1");
    await Promise.all([drainer.stop(), clock.advance(DEFAULT_LIMITS.publishMsMax)]);
    await spool.close();
    log.leaderless = [];
    await openSpool({ bytesMax: 1024 ** 2 });
    drainer.start();
    await drained();
    expect(log.values()).toEqual(["a1", "b1", "a1"]);
  });
});

describe("when the log is away", () => {
  test("a record is spooled, and the following ones go straight there", async () => {
    log.mode = "away";
    expect(await publish("a")).toEqual({ is: "spooled" });
    expect(await publish("b")).toEqual({ is: "spooled" });
    expect(log.asked).toBe(1);
    expect(said.filter((text) => text.includes("away"))).toHaveLength(1);
  });

  test("new records queue behind the spool although the log is back, and all keep their order", async () => {
    log.mode = "away";
    await publish("a");
    await clock.advance(60_000);
    log.mode = "takes";
    expect(await publish("b")).toEqual({ is: "spooled" });
    drainer.start();
    await drained();
    expect(await publish("c")).toEqual({ is: "published" });
    expect(log.values()).toEqual(["a", "b", "c"]);
  });

  test("the drainer tries again with growing waits until it is back", async () => {
    log.mode = "away";
    await publish("a");
    drainer.start();
    await until("the drainer has tried", () => log.asked === 2);
    await clock.advance(199);
    expect(log.asked).toBe(2);
    await clock.advance(1);
    expect(log.asked).toBe(3);
    await clock.advance(399);
    expect(log.asked).toBe(3);
    log.mode = "takes";
    await clock.advance(1);
    await drained();
    expect(log.values()).toEqual(["a"]);
  });

  test("a record keeps its received time while it waits", async () => {
    log.mode = "away";
    const receivedAt = clock.now();
    await publish("a");
    await clock.advance(3_600_000);
    log.mode = "takes";
    drainer.start();
    await drained();
    expect(log.records[0]?.timestamp).toBe(receivedAt);
  });

  test("a missing permission lets records wait instead of setting them aside", async () => {
    log.mode = "forbids";
    expect(await publish("a")).toEqual({ is: "spooled" });
    drainer.start();
    await until("the drainer has tried", () => log.asked === 2);
    expect(spool.pendingRecords).toBe(1);
    log.mode = "takes";
    await clock.advance(200);
    await drained();
    expect(log.values()).toEqual(["a"]);
  });
});

describe("when the log is slow", () => {
  test("a record is spooled after 1.5 s, not before", async () => {
    log.mode = "silent";
    let outcome: unknown = null;
    publish("a").then((result) => outcome = result);
    await clock.advance(1_499);
    expect([outcome, spool.pendingRecords]).toEqual([null, 0]);
    await clock.advance(1);
    await until("it is answered", () => outcome !== null);
    expect(outcome).toEqual({ is: "spooled" });
  });

  test("what lands late is on the topic twice, and never missing", async () => {
    log.mode = "silent";
    const answered = publish("a");
    await clock.advance(1_500);
    await answered;
    log.land();
    log.mode = "takes";
    drainer.start();
    await drained();
    expect(log.values()).toEqual(["a", "a"]);
  });
});

describe("when neither can take a record", () => {
  beforeEach(async () => {
    await spool.close();
    await openSpool({ bytesMax: 300 });
  });

  test("it is unavailable, and the log is not asked again before it has rested", async () => {
    log.mode = "away";
    expect(await publish("x".repeat(400))).toEqual({ is: "unavailable" });
    expect(await publish("x".repeat(400))).toEqual({ is: "unavailable" });
    expect(log.asked).toBe(1);
    log.mode = "takes";
    await clock.advance(DEFAULT_LIMITS.logRestMs);
    expect(await publish("x".repeat(400))).toEqual({ is: "published" });
  });

  test("what is spooled already is drained all the same", async () => {
    log.mode = "away";
    expect(await publish("a")).toEqual({ is: "spooled" });
    expect(await publish("x".repeat(400))).toEqual({ is: "unavailable" });
    log.mode = "takes";
    drainer.start();
    await drained();
    expect(log.values()).toEqual(["a"]);
  });
});

describe("spooled records that the log refuses for good", () => {
  const odd = {
    key: Uint8Array.of(0xff, 0, 1),
    value: Uint8Array.of(0xff, 0xfe, ...new TextEncoder().encode("refuse my kind")),
    headers: { id: "an id" },
    timestamp: 1_764_520_701_968,
  };

  test("are set aside whole and named, and what lies behind them goes on", async () => {
    log.mode = "away";
    await Promise.all(["a", "refuse my size", "b"].map((text) => publish(text)));
    await publisher.publish(odd);
    await publish("c");
    log.mode = "takes";
    drainer.start();
    await drained();
    expect(log.values()).toEqual(["a", "b", "c"]);
    expect([drainer.setAside, spool.refused.records]).toEqual([2, 2]);
    const [first, second] = setAside();
    expect(first).toMatchObject({ reason: "the topic does not take it: record_too_large" });
    expect(second?.record).toEqual({ ...odd, key: Buffer.from(odd.key), value: Buffer.from(odd.value) });
    expect(said.filter((text) => text.includes(refusedNames()[0]!))).toHaveLength(1);
  });

  test("of another spool's time are not replaced by later ones of the same place", async () => {
    await spool.setAside(odd, { at: "1-0", reason: "one" });
    await spool.setAside({ ...odd, headers: { id: "another" } }, { at: "1-0", reason: "one" });
    await spool.setAside(odd, { at: "1-0", reason: "one" });
    expect(setAside().map(({ record }) => record.headers.id).sort()).toEqual(["an id", "another"]);
  });

  test("wait where they would take more than SPOOL_MAX_BYTES, and go on once there is room", async () => {
    await spool.close();
    await openSpool({ bytesMax: 1_500 });
    const setOneAside = (n: number) => spool.setAside(odd, { at: `1-${n}`, reason: "x" });
    for (let n = 0; await setOneAside(n).then(() => true, () => false);) n++;
    log.mode = "away";
    for (const text of ["a", "refuse my kind, too", "b"]) await publish(text);
    log.mode = "takes";
    drainer.start();
    const held = () => said.filter((text) => text.includes("dead-letters redrive --all"));
    await until("it says that it cannot go on", () => held().length === 1);
    for (let n = 0; n < 5; n++) await clock.advance(1_000);
    expect([log.values(), spool.pendingRecords, held().length]).toEqual([["a"], 3, 1]);
    await Deno.remove(join(directory, "spool", "refused"), { recursive: true });
    await clock.advance(DEFAULT_LIMITS.retryMsMax);
    await drained();
    expect(log.values()).toEqual(["a", "b"]);
    expect(spool.refused.records).toBe(1);
  });
});

test("the drainer passes spool.drained after the log has acknowledged and before the mark moves", async () => {
  log.mode = "away";
  await publish("a");
  log.mode = "takes";
  const seen: unknown[] = [];
  drainer = new Drainer({
    ...options,
    faultPoint: (name) => seen.push([name, log.values(), spool.pendingRecords]),
  });
  drainer.start();
  await drained();
  expect(seen).toEqual([["spool.drained", ["a"], 1]]);
});

async function openSpool({ bytesMax }: { bytesMax: number }): Promise<void> {
  const report: PublisherOptions["report"] = (_, text) => said.push(text);
  spool = await Spool.open({
    directory: join(directory, "spool"),
    bytesMax,
    segmentBytes: 1024 ** 2,
    faultPoint: noFaultPoint,
    report,
  });
  options = {
    // Chance gives the longest waits.
    random: () => 1 - Number.EPSILON,
    log,
    topic: "t",
    spool,
    clock,
    limits: DEFAULT_LIMITS,
    faultPoint: noFaultPoint,
    report,
  };
  publisher = new Publisher(options);
  publisher.logIsReady();
  drainer = new Drainer(options);
}

async function untilLanded(...values: readonly string[]): Promise<void> {
  await until(`${values} are there`, async () => {
    await clock.advance(DEFAULT_LIMITS.retryMsFirst);
    return log.values().length >= values.length;
  });
  expect(log.values()).toEqual(values);
}

/** A key of this partition of six. */
function keyIn(partition: number): string {
  for (let n = 0;; n++) if (partitionOf(encoder.encode(`user-${n}`), 6) === partition) return `user-${n}`;
}

const encoder = new TextEncoder();

function publish(text: string, key = "user") {
  const record: EnvelopeRecord = {
    key: encoder.encode(key),
    value: encoder.encode(text),
    headers: {},
    timestamp: clock.now(),
  };
  return publisher.publish(record);
}

function refusedNames(): string[] {
  return [...Deno.readDirSync(join(directory, "spool", "refused"))].map(({ name }) => name)
    .sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
}

function setAside() {
  return refusedNames().map((name) =>
    readRefusedFile(Deno.readFileSync(join(directory, "spool", "refused", name)))!
  );
}

/** Drained, and the rest that the log is given after a failure is over. */
async function drained(): Promise<void> {
  await until("the spool is drained", () => spool.pendingRecords === 0);
  await clock.advance(DEFAULT_LIMITS.logRestMs);
}
