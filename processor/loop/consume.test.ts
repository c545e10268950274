import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { backOffMs } from "../../runtime/retry.ts";
import { MemoryLog } from "../../tests/support/memory_log.ts";
import { manualClock, settle } from "../../tests/support/manual_clock.ts";
import { until } from "../../tests/support/until.ts";
import {
  type Consumption,
  LogUnavailableError,
  type PartitionHandler,
  type RecordBatch,
  UnreadableRecordsError,
} from "../../topic/topic.ts";
import {
  consumeGroup,
  type ConsumeGroupOptions,
  isTransient,
  LOOP_BACK_OFF,
  retrying,
  type Trouble,
} from "./consume.ts";

const TOPIC = "t";
const SPEC = { name: TOPIC, partitions: 1, retentionMs: null, retentionBytes: null, recordBytesMax: 1000 };
let log: MemoryLog;

beforeEach(async () => {
  log = new MemoryLog();
  await log.ensureTopic(SPEC);
});
afterEach(() => log.close());

const record = (text: string) => ({
  key: null,
  value: new TextEncoder().encode(text),
  headers: {},
  timestamp: 0,
});
const textOf = (batch: RecordBatch) =>
  batch.records.map((one) => new TextDecoder().decode(one.value)).join("");

function handlerOf(handle: (text: string) => void): PartitionHandler {
  return {
    assigned: () => Promise.resolve(null),
    handle: (batch) =>
      Promise.resolve().then(() => {
        handle(textOf(batch));
        return "handled" as const;
      }),
    revoked: () => Promise.resolve(),
  };
}

describe("consumeGroup()", () => {
  it("hands over, commits and drains when its signal aborts", async () => {
    const draining = new AbortController();
    const seen: string[] = [];
    const running = consumeGroup(log, {
      topic: TOPIC,
      group: "g",
      handler: handlerOf((text) => seen.push(text)),
      clock: manualClock(),
      signal: draining.signal,
    });
    await log.publish(TOPIC, [record("a"), record("b")]);
    await until("it is committed", async () => (await log.committed(TOPIC, "g"))[0] === 2);
    draining.abort();
    await running;
    expect(seen.join("")).toBe("ab");
  });

  it("commits nothing of a batch that fails for now, waits longer each time, and has it again", async () => {
    const clock = manualClock();
    const draining = new AbortController();
    const troubles: Trouble[] = [];
    let fail = 3;
    let assigned = 0;
    const handled: string[] = [];
    const handler = handlerOf((text) => {
      if (fail-- > 0) throw new LogUnavailableError("away");
      handled.push(text);
    });
    const running = consumeGroup(log, {
      topic: TOPIC,
      group: "g",
      handler: { ...handler, assigned: () => Promise.resolve(++assigned).then(() => null) },
      clock,
      signal: draining.signal,
      random: () => 0.5,
      trouble: (trouble) => troubles.push(trouble),
    });
    await log.publish(TOPIC, [record("a")]);
    for (const waitMs of [75, 150, 300]) {
      await until("it waits", () => clock.pending === 1);
      expect(troubles.at(-1)).toMatchObject({ partition: 0, waitMs });
      expect(await log.committed(TOPIC, "g")).toEqual([null]);
      await clock.advance(waitMs - 1);
      expect(clock.pending).toBe(1);
      await clock.advance(1);
    }
    await until("it is committed", async () => (await log.committed(TOPIC, "g"))[0] === 1);
    expect(handled).toEqual(["a"]);
    expect(troubles.map((trouble) => trouble.attempt)).toEqual([1, 2, 3]);
    expect(assigned).toBe(4);
    draining.abort();
    await running;
  });

  it("waits no longer after a batch that is pending: that too ends a row of failures", async () => {
    const clock = manualClock();
    const draining = new AbortController();
    const troubles: Trouble[] = [];
    const answers = ["fails", "pending", "fails", "pending"];
    const running = consumeGroup(log, {
      topic: TOPIC,
      group: "g",
      handler: {
        ...handlerOf(() => {}),
        handle: () =>
          answers.shift() === "pending"
            ? Promise.resolve("pending")
            : Promise.reject(new LogUnavailableError("away")),
      },
      clock,
      signal: draining.signal,
      random: () => 0.5,
      trouble: (trouble) => troubles.push(trouble),
    });
    for (const left of [2, 0]) {
      await log.publish(TOPIC, [record("a")]);
      await until("it waits", () => clock.pending === 1);
      await clock.advance(75);
      await until("it is pending", () => answers.length === left);
    }
    expect(troubles.map(({ attempt, waitMs }) => [attempt, waitMs])).toEqual([[1, 75], [1, 75]]);
    expect(await log.committed(TOPIC, "g")).toEqual([null]);
    draining.abort();
    await running;
  });

  it("hands nothing over of a topic that was made again meanwhile before the partition has come anew", async () => {
    const clock = manualClock();
    const draining = new AbortController();
    const seen: string[] = [];
    const handler = handlerOf((text) => seen.push(text));
    const running = consumeGroup(log, {
      topic: TOPIC,
      group: "g",
      handler: { ...handler, assigned: () => Promise.resolve(seen.push("assigned")).then(() => null) },
      clock,
      signal: draining.signal,
    });
    const publish = async (text: string) => {
      const [position] = await log.publish(TOPIC, [record(text)]);
      await until(
        "it is committed",
        async () => (await log.committed(TOPIC, "g"))[0] === position!.offset + 1,
      );
    };
    await publish("a");
    const again = new MemoryLog();
    await again.ensureTopic(SPEC);
    log.standFor(again);
    await clock.advance(5_000);
    await publish("b");
    await publish("c");
    expect(seen).toEqual(["assigned", "a", "assigned", "b", "c"]);
    draining.abort();
    await running;
    await again.close();
  });

  it("ends with what a handler throws for good", async () => {
    const draining = new AbortController();
    await log.publish(TOPIC, [record("a")]);
    await expect(consumeGroup(log, {
      topic: TOPIC,
      group: "g",
      handler: handlerOf(() => {
        throw new TypeError("a bug");
      }),
      clock: manualClock(),
      signal: draining.signal,
    })).rejects.toThrow("a bug");
    expect(await log.committed(TOPIC, "g")).toEqual([null]);
  });

  it("drains at once while it waits to try again", async () => {
    const clock = manualClock();
    const draining = new AbortController();
    await log.publish(TOPIC, [record("a")]);
    const running = consumeGroup(log, {
      topic: TOPIC,
      group: "g",
      handler: handlerOf(() => {
        throw new LogUnavailableError("away");
      }),
      clock,
      signal: draining.signal,
    });
    await until("it waits", () => clock.pending === 1);
    draining.abort();
    await running;
  });
});

describe("consumeGroup() at what cannot be read", () => {
  const UNREAD = { partition: 0, offset: 1, nextOffset: 3, reason: "its codec 9 is not known" };
  const run = (unreadable?: ConsumeGroupOptions["unreadable"]) => {
    const draining = new AbortController();
    const seen: string[] = [];
    let consumption!: Consumption;
    const ended = consumeGroup(log, {
      topic: TOPIC,
      group: "g",
      handler: handlerOf((text) => seen.push(text)),
      ...(unreadable ? { unreadable } : {}),
      clock: manualClock(),
      signal: draining.signal,
      started: (started) => consumption = started,
    });
    return {
      seen,
      consumption,
      ended,
      stop: () => {
        draining.abort();
        return ended;
      },
    };
  };
  const committed = async () => (await log.committed(TOPIC, "g"))[0];

  beforeEach(async () => {
    await log.ensureTopic({
      name: TOPIC,
      partitions: 2,
      retentionMs: null,
      retentionBytes: null,
      recordBytesMax: 1000,
    });
    await log.publish(TOPIC, [{ ...record("a"), partition: 0 }]);
    log.appendUnreadable(TOPIC, { partition: 0, records: 2 });
    await log.publish(TOPIC, [{ ...record("b"), partition: 0 }]);
  });

  it("its partition stands alone, and the others flow", async () => {
    const group = run();
    await until("it stands", () => group.consumption.state().standing !== undefined);
    expect(group.consumption.state().standing).toMatchObject([UNREAD]);
    await log.publish(TOPIC, [{ ...record("c"), partition: 1 }]);
    await until("the other is handled", () => group.seen.join("") === "ac");
    expect(await committed()).toBe(1);
    await group.stop();
  });

  it("goes on behind it once it may be passed over, commits that, and says that it stands no more", async () => {
    let answer: "skip" | "wait" = "wait";
    const group = run(() => Promise.resolve(answer));
    await until("it stands", () => group.consumption.state().standing !== undefined);
    answer = "skip";
    await log.publish(TOPIC, [{ ...record("c"), partition: 1 }]);
    await until("it goes on", async () => await committed() === 4);
    expect([...group.seen].sort().join("")).toBe("abc");
    expect(group.consumption.state().standing).toBeUndefined();
    await group.stop();
  });

  it("a look-up that fails for now leaves it standing, and a bug in it ends the loop", async () => {
    const group = run(() => Promise.reject(new LogUnavailableError("away")));
    await until("it stands", () => group.consumption.state().standing !== undefined);
    await group.stop();
    await expect(run(() => Promise.reject(new TypeError("a bug"))).ended).rejects.toThrow("a bug");
  });
});

describe("retrying()", () => {
  it("answers what succeeds in the end, and undefined once it is told to stop", async () => {
    const clock = manualClock();
    const stop = new AbortController();
    let fail = 1;
    const result = retrying(
      () => fail-- > 0 ? Promise.reject(new LogUnavailableError("away")) : Promise.resolve(7),
      {
        clock,
        signal: stop.signal,
        random: () => 0,
      },
    );
    await settle();
    await clock.advance(50);
    expect(await result).toBe(7);
    stop.abort();
    expect(await retrying(() => Promise.resolve(7), { clock, signal: stop.signal })).toBeUndefined();
  });
});

describe("what is tried again", () => {
  it("is a log that is away, what cannot be read yet and what the operating system refuses, nothing else", () => {
    const unread = { partition: 0, offset: 1, nextOffset: 2, reason: "codec", bytes: null };
    expect(isTransient(new UnreadableRecordsError(unread, "t"))).toBe(true);
    expect(isTransient(new LogUnavailableError("away"))).toBe(true);
    expect(isTransient(Object.assign(new Error("No space left on device"), { code: "ENOSPC" }))).toBe(true);
    expect(isTransient(new TypeError("bug"))).toBe(false);
    expect(isTransient(Object.assign(new Error("gap"), { code: "dataset_gap" }))).toBe(false);
    expect(isTransient("ENOSPC")).toBe(false);
  });

  it("waits at most 10 s, never less than half of it", () => {
    expect(backOffMs(1, LOOP_BACK_OFF, () => 0)).toBe(50);
    expect(backOffMs(1000, LOOP_BACK_OFF, () => 0.999_999)).toBeLessThanOrEqual(10_000);
    expect(backOffMs(1000, LOOP_BACK_OFF, () => 0)).toBe(5_000);
  });
});
