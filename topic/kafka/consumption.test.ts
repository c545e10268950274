import { afterEach, describe, expect, test } from "vitest";
import { until } from "../../tests/support/until.ts";
import { KafkaConsumption, type KafkaConsumptionOptions, type MembershipEvents } from "./consumption.ts";
import { LogSetupError, type PartitionHandler, type RecordBatch, type TopicRecord } from "../topic.ts";

/**
 * What a member does when partitions come and go at the worst moment. The group and the log are in-test: a test says who
 * owns what, which commits pass, and what is fetched. They do not imitate generations, sessions, long polls, nor
 * compression; `log.int.test.ts` and the whole-pipeline tests have the real ones.
 */
const running: KafkaConsumption[] = [];
afterEach(async () => {
  for (const consumption of running.splice(0)) await consumption.stop();
});

class Group {
  readonly committed: Record<number, number>[] = [];
  callbacks: MembershipEvents | null = null;
  hasLeft = false;
  commitPasses: () => Promise<void> = () => Promise.resolve();
  join: (callbacks: MembershipEvents) => Promise<void> = (callbacks) => {
    this.callbacks = callbacks;
    return Promise.resolve();
  };

  readonly membership = {
    join: (callbacks: MembershipEvents) => this.join(callbacks),
    commit: async (offsets: ReadonlyMap<number, number>) => {
      const given = Object.fromEntries(offsets);
      await this.commitPasses();
      this.committed.push(given);
    },
    leave: () => {
      this.hasLeft = true;
      return Promise.resolve();
    },
  };

  /** The last offset committed per partition. */
  get offsets(): Record<number, number> {
    return Object.assign({}, ...this.committed);
  }
}

/** Partitions as rows of values; each fetch answers at most one record per partition. */
class Log {
  readonly rows = new Map<number, string[]>();
  fetches: { partition: number; from: number }[][] = [];
  fetchPasses: (from: number) => Promise<void> = () => Promise.resolve();
  valueBytes = 0;

  add(partition: number, ...values: string[]): void {
    this.rows.set(partition, [...this.rows.get(partition) ?? [], ...values]);
  }

  readonly fetcher = {
    fetch: async (wanted: readonly { partition: number; from: number }[]): Promise<RecordBatch[]> => {
      this.fetches.push([...wanted]);
      await this.fetchPasses(wanted[0]!.from);
      await new Promise((resolve) => setTimeout(resolve, 1));
      return wanted.map(({ partition, from }) => {
        const row = this.rows.get(partition) ?? [];
        const values = row.slice(from, from + 1);
        const records = values.map((value, i) => this.#record(partition, { offset: from + i, value }));
        return { partition, records, nextOffset: from + records.length, endOffset: row.length };
      });
    },
    recover: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };

  #record(partition: number, { offset, value }: { offset: number; value: string }): TopicRecord {
    const bytes = new Uint8Array(Math.max(this.valueBytes, value.length));
    new TextEncoder().encodeInto(value, bytes);
    return { partition, offset, timestamp: 0, key: null, value: bytes, headers: {} };
  }
}

/** A handler that notes what is asked of it; `gates` hold up a step of a partition until they are resolved. */
function observed(
  start: (partition: number) => number | null = () => null,
  answer: () => "handled" | "reassign" = () => "handled",
) {
  const calls: string[] = [];
  const gates = new Map<string, PromiseWithResolvers<void>>();
  const note = async (call: string, gate: string) => {
    calls.push(call);
    await gates.get(gate)?.promise;
  };
  const handler: PartitionHandler = {
    async assigned(partition, { signal }) {
      calls.push(`assigned ${partition}`);
      const gate = gates.get(`assigned ${partition}`);
      const aborted = new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
      if (gate) await Promise.race([gate.promise, aborted]);
      return start(partition);
    },
    async handle({ partition, records }) {
      await note(`handle ${partition}:${records[0]!.offset}`, `handle ${partition}`);
      return answer();
    },
    revoked: (partition) => note(`revoked ${partition}`, `revoked ${partition}`),
  };
  const hold = (what: string) => {
    const gate = Promise.withResolvers<void>();
    gates.set(what, gate);
    return () => {
      gates.delete(what);
      gate.resolve();
    };
  };
  return { handler, calls, hold };
}

async function member(
  { start, answer, options = {}, prepare }: {
    start?: (partition: number) => number | null;
    answer?: () => "handled" | "reassign";
    options?: Partial<KafkaConsumptionOptions>;
    prepare?: (group: Group, log: Log) => void;
  } = {},
) {
  const [group, log, seen] = [new Group(), new Log(), observed(start, answer)];
  prepare?.(group, log);
  const consumption = new KafkaConsumption({
    handler: seen.handler,
    batchRecordsMax: 1,
    batchBytesMax: 1_000_000,
    membership: group.membership,
    fetcher: log.fetcher,
    bounds: () =>
      Promise.resolve([0, 1].map((partition) => ({
        partition,
        startOffset: 0,
        endOffset: log.rows.get(partition)?.length ?? 0,
      }))),
    committed: () => Promise.resolve([group.offsets[0] ?? null, group.offsets[1] ?? null]),
    messageOf: (error) => (error as Error).message,
    ...options,
  });
  running.push(consumption);
  if (prepare === undefined) await until("it asks to join", () => group.callbacks);
  return { group, log, consumption, ...seen };
}

const called = (calls: readonly string[], call: string) => until(call, () => calls.includes(call));

describe("A member of a group", () => {
  test("commits behind the handler, up to what it has handled", async () => {
    const { group, log, calls } = await member();
    log.add(0, "a", "b", "c");
    group.callbacks!.owns([0]);
    await until("all is committed", () => group.offsets[0] === 3);
    expect(calls).toEqual(["assigned 0", "handle 0:0", "handle 0:1", "handle 0:2"]);
  });

  test("commits the offset that its handler starts at, so that lag is right before the first record", async () => {
    const { group } = await member({ start: () => 7 });
    group.callbacks!.owns([0]);
    await until("the start is committed", () => group.offsets[0] === 7);
  });

  test("tries a commit that failed again", async () => {
    const { group, log } = await member();
    let attempts = 0;
    group.commitPasses = () => ++attempts === 1 ? Promise.reject(new Error("away")) : Promise.resolve();
    log.add(0, "a");
    group.callbacks!.owns([0]);
    await until("it is committed all the same", () => group.offsets[0] === 1);
    expect(attempts).toBe(2);
  });

  test("says a commit again when it is back in the group: the client may have dropped it silently", async () => {
    const { group, log } = await member();
    log.add(0, "a");
    group.callbacks!.owns([0]);
    await until("it is committed", () => group.committed.length === 1);
    group.callbacks!.owns([0]);
    await until("it is committed again", () => group.committed.length === 2);
    expect(group.committed).toEqual([{ 0: 1 }, { 0: 1 }]);
  });

  test("begins a partition anew where its handler wants that, and uses nothing that was on its way", async () => {
    const answers: ("handled" | "reassign")[] = ["reassign"];
    const { group, log, calls, hold } = await member({
      start: () => 0,
      answer: () => answers.pop() ?? "handled",
    });
    log.add(0, "a", "b");
    const release = hold("handle 0");
    const gate = Promise.withResolvers<void>();
    log.fetchPasses = (from) => from === 1 ? gate.promise : Promise.resolve();
    group.callbacks!.owns([0]);
    await called(calls, "handle 0:0");
    await until("the next fetch is under way", () => log.fetches.at(-1)?.[0]?.from === 1);
    release();
    await until("it begins anew", () => calls.filter((call) => call === "assigned 0").length === 2);
    gate.resolve();
    await until("all is handled", () => group.offsets[0] === 2);
    expect(calls).toEqual(["assigned 0", "handle 0:0", "assigned 0", "handle 0:0", "handle 0:1"]);
  });

  test("fetches no more than it may keep in memory while its handler is slow", async () => {
    const { group, log, calls, hold } = await member();
    log.valueBytes = 1024 * 1024;
    log.add(0, ...Array.from({ length: 50 }, () => "x"));
    const release = hold("handle 0");
    group.callbacks!.owns([0]);
    await called(calls, "handle 0:0");
    const asked = async () => {
      const before = log.fetches.length;
      await new Promise((resolve) => setTimeout(resolve, 20));
      return log.fetches.length > before;
    };
    await until("it asks for nothing more", async () => !await asked());
    expect(log.fetches.length).toBeGreaterThanOrEqual(4);
    expect(log.fetches.length).toBeLessThanOrEqual(6);
    release();
  });

  test("says that the log is away, in words, until a fetch passes again", async () => {
    const { group, log, consumption } = await member();
    log.fetchPasses = () => Promise.reject(new Error("no broker answers"));
    group.callbacks!.owns([0]);
    await until("it is away", () => consumption.state().is === "away");
    expect(consumption.state()).toEqual({ is: "away", partitions: [0], reason: "no broker answers" });
    log.fetchPasses = () => Promise.resolve();
    await until("it is back", () => consumption.state().is === "joined");
  });

  test("says that committed offsets cannot be read, until they can", async () => {
    let isAway = true;
    const { group, consumption } = await member({
      options: {
        committed: () => isAway ? Promise.reject(new Error("no coordinator")) : Promise.resolve([null, null]),
      },
    });
    group.callbacks!.owns([0]);
    await until("it is away", () => consumption.state().reason === "no coordinator");
    isAway = false;
    await until("it is back", () => consumption.state().is === "joined");
  });

  test("ends where its state was made from another log", async () => {
    const outOfRange = Object.assign(new Error("out of range"), { type: "OFFSET_OUT_OF_RANGE" });
    const { group, log, consumption } = await member({ start: () => 1_000 });
    log.fetchPasses = () => Promise.reject(outOfRange);
    group.callbacks!.owns([0]);
    await expect(consumption.ended).rejects.toBeInstanceOf(LogSetupError);
  });
});

describe("When a partition goes to another member", () => {
  test("the batch in hand is finished and not committed, now or later", async () => {
    const { group, log, calls, hold } = await member();
    log.add(0, "a", "b");
    log.add(1, "c");
    const release = hold("handle 0");
    group.callbacks!.owns([0, 1]);
    await called(calls, "handle 0:0");
    group.callbacks!.owns([1]);
    release();
    await called(calls, "revoked 0");
    log.add(1, "d");
    await until("the other one is committed", () => group.offsets[1] === 2);
    expect(group.committed.filter((offsets) => 0 in offsets)).toEqual([]);
    expect(calls).not.toContain("handle 0:1");
  });

  test("an offset whose commit has not passed yet is dropped", async () => {
    const { group, log } = await member();
    let isAway = true;
    group.commitPasses = () => isAway ? Promise.reject(new Error("away")) : Promise.resolve();
    log.add(0, "a");
    log.add(1, "b");
    group.callbacks!.owns([0, 1]);
    await until("both are fetched to their ends", () => {
      const last = log.fetches.at(-1) ?? [];
      return last.length === 2 && last.every(({ from }) => from === 1);
    });
    group.callbacks!.owns([1]);
    isAway = false;
    await until("what is left is committed", () => group.offsets[1] === 1);
    expect(group.offsets).toEqual({ 1: 1 });
  });

  test("an assignment that waits is given up, and its answer is not used", async () => {
    const { group, log, calls, hold } = await member({ start: () => 0 });
    log.add(0, "a");
    hold("assigned 0");
    group.callbacks!.owns([0]);
    await called(calls, "assigned 0");
    group.callbacks!.owns([]);
    await called(calls, "revoked 0");
    expect(calls).toEqual(["assigned 0", "revoked 0"]);
    expect(group.committed).toEqual([]);
  });

  test("and comes back at once, its new life waits until the former one has ended", async () => {
    const { group, log, calls, hold } = await member();
    log.add(0, "a", "b");
    const release = hold("handle 0");
    group.callbacks!.owns([0]);
    await called(calls, "handle 0:0");
    group.callbacks!.owns([]);
    group.callbacks!.owns([0]);
    release();
    await until("the new life has handled all", () => group.offsets[0] === 2);
    expect(calls).toEqual([
      "assigned 0",
      "handle 0:0",
      "revoked 0",
      "assigned 0",
      "handle 0:0",
      "handle 0:1",
    ]);
  });

  test("another that comes does not wait for its end", async () => {
    const { group, log, calls, hold } = await member();
    log.add(0, "a");
    log.add(1, "b");
    const release = hold("handle 0");
    group.callbacks!.owns([0]);
    await called(calls, "handle 0:0");
    group.callbacks!.owns([1]);
    await called(calls, "handle 1:0");
    expect(calls).not.toContain("revoked 0");
    release();
  });
});

describe("When its session may have ended", () => {
  test("a member lets go of everything, says so, and takes it again when the group says that it may", async () => {
    const { group, log, calls, consumption } = await member();
    log.add(0, "a");
    group.callbacks!.owns([0]);
    await until("it is committed", () => group.offsets[0] === 1);
    group.callbacks!.lost("no heartbeat went through for 9 s");
    expect(consumption.state()).toEqual({
      is: "away",
      partitions: [],
      reason: "no heartbeat went through for 9 s",
    });
    await called(calls, "revoked 0");
    group.callbacks!.owns([0]);
    expect(consumption.state()).toEqual({ is: "joined", partitions: [0] });
  });

  test("what it finishes then is not committed", async () => {
    const { group, log, calls, hold } = await member();
    log.add(0, "a");
    const release = hold("handle 0");
    group.callbacks!.owns([0]);
    await called(calls, "handle 0:0");
    group.callbacks!.lost("silence");
    release();
    await called(calls, "revoked 0");
    expect(group.committed).toEqual([]);
  });
});

describe("When it is stopped", () => {
  test("what has been handled is committed before it leaves", async () => {
    const { group, log, calls, consumption, hold } = await member();
    log.add(0, "a");
    const release = hold("handle 0");
    group.callbacks!.owns([0]);
    await called(calls, "handle 0:0");
    const stopped = consumption.stop();
    release();
    await stopped;
    expect(group.committed).toEqual([{ 0: 1 }]);
    expect(group.hasLeft).toBe(true);
  });

  test("a partition that moves on meanwhile is not committed", async () => {
    const { group, log, calls, consumption, hold } = await member();
    log.add(0, "a");
    const release = hold("handle 0");
    group.callbacks!.owns([0]);
    await called(calls, "handle 0:0");
    const stopped = consumption.stop();
    group.callbacks!.owns([]);
    release();
    await stopped;
    expect(group.committed).toEqual([]);
  });

  test("while it joins it takes nothing more", async () => {
    const joining = Promise.withResolvers<void>();
    const { group, calls, consumption } = await member({
      prepare: (group) =>
        group.join = (callbacks) => {
          group.callbacks = callbacks;
          return joining.promise;
        },
    });
    await until("it joins", () => group.callbacks);
    const stopped = consumption.stop();
    group.callbacks!.owns([0]);
    joining.resolve();
    await stopped;
    expect([calls, group.hasLeft, consumption.state().partitions]).toEqual([[], true, []]);
  });

  test("while no broker answers it ends, and its commits are tried no more", async () => {
    const { group, log, consumption } = await member();
    let attempts = 0;
    group.commitPasses = () => Promise.reject(new Error(`away ${++attempts}`));
    log.add(0, "a");
    group.callbacks!.owns([0]);
    await until("a commit was tried", () => attempts > 0);
    await consumption.stop();
    const tried = attempts;
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    expect(attempts).toBe(tried);
  });

  test("it need not have joined: it tries with back-off, says why, and ends when told to", async () => {
    let joins = 0;
    const { consumption } = await member({
      prepare: (group) => group.join = () => Promise.reject(new Error(`no broker answers (${++joins})`)),
    });
    await until("it has tried again", () => joins >= 2);
    expect(consumption.state()).toMatchObject({ is: "away", reason: expect.stringMatching(/no broker/) });
    await consumption.stop();
  });
});
