import { afterEach, describe, expect, test } from "vitest";
import { manualClock } from "../../tests/support/manual_clock.ts";
import { until } from "../../tests/support/until.ts";
import { KafkaConsumption, type KafkaConsumptionOptions, type MembershipEvents } from "./consumption.ts";
import { LogSetupError, type PartitionHandler, type UnreadableRecords } from "../topic.ts";
import type { Fetched, Wanted } from "./fetcher.ts";
import { batch } from "./records/fixtures/entries.ts";
import { RecordSet } from "./records/record_set.ts";

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

/** Partitions as rows of values, led by one broker; each fetch answers at most one batch of one record per partition. */
class Log {
  readonly rows = new Map<number, string[]>();
  fetches: Wanted[][] = [];
  fetchPasses: (from: number) => Promise<void> = () => Promise.resolve();
  valueBytes = 0;
  /** Offsets whose batch is damaged, by partition. */
  readonly damaged = new Set<string>();
  readonly errors = new Map<number, Error>();
  readonly recovered: unknown[] = [];
  leaderOf: (partition: number) => number | null = () => 1;

  add(partition: number, ...values: string[]): void {
    this.rows.set(partition, [...this.rows.get(partition) ?? [], ...values]);
  }

  readonly fetcher = {
    connect: () => Promise.resolve(),
    leaderOf: (partition: number) => this.leaderOf(partition),
    fetch: async (_: number, wanted: readonly Wanted[]): Promise<Fetched[]> => {
      this.fetches.push([...wanted]);
      await this.fetchPasses(wanted[0]!.from);
      await new Promise((resolve) => setTimeout(resolve, 1));
      return wanted.map(({ partition, from }) => {
        const error = this.errors.get(partition);
        if (error) return { partition, error };
        const endOffset = this.rows.get(partition)?.length ?? 0;
        const records = new RecordSet(this.#batch(partition, from), { partition, from });
        return { partition, records, endOffset, stableOffset: endOffset };
      });
    },
    boundsOf: (partition: number) =>
      Promise.resolve({ partition, startOffset: 0, endOffset: this.rows.get(partition)?.length ?? 0 }),
    recover: (error: unknown) => {
      this.recovered.push(error);
      return Promise.resolve();
    },
    close: () => Promise.resolve(),
  };

  /** A row of "" is a batch that compaction has emptied. */
  #batch(partition: number, from: number): Uint8Array {
    const value = this.rows.get(partition)?.[from];
    if (value === undefined) return new Uint8Array(0);
    const bytes = new Uint8Array(Math.max(this.valueBytes, value.length));
    new TextEncoder().encodeInto(value, bytes);
    const written = batch({ baseOffset: from, records: value === "" ? [] : [{ value: bytes }] });
    if (this.damaged.has(`${partition}:${from}`)) written[61]! ^= 1;
    return written;
  }
}

/** A handler that notes what is asked of it; `gates` hold up a step of a partition until they are resolved. */
function observed(
  start: (partition: number) => number | null = () => null,
  answer: () => "handled" | "pending" | "reassign" = () => "handled",
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
      await note(`handle ${partition}:${records[0]?.offset ?? "-"}`, `handle ${partition}`);
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
    answer?: () => "handled" | "pending" | "reassign";
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

  test("commits what its handler says later, and not once the partition is another member's", async () => {
    const { group, log, consumption, calls, hold } = await member({ answer: () => "pending" });
    log.add(0, "a", "b", "c");
    group.callbacks!.owns([0]);
    await called(calls, "handle 0:2");
    expect(group.committed).toEqual([]);
    consumption.commit(0, 2);
    consumption.commit(0, 1);
    await until("it is committed", () => group.offsets[0] === 2);
    const release = hold("revoked 0");
    group.callbacks!.owns([]);
    await called(calls, "revoked 0");
    consumption.commit(0, 3);
    release();
    await consumption.stop();
    expect(group.committed).toEqual([{ 0: 2 }]);
  });

  test("commits what its handler says while it is revoked for a partition that came back at once", async () => {
    const { group, log, consumption, calls, hold } = await member({ answer: () => "pending" });
    log.add(0, "a");
    group.callbacks!.owns([0]);
    await called(calls, "handle 0:0");
    const release = hold("revoked 0");
    group.callbacks!.owns([]);
    group.callbacks!.owns([0]);
    await called(calls, "revoked 0");
    consumption.commit(0, 1);
    await until("it is committed", () => group.offsets[0] === 1);
    release();
    await until("it has come again", () => calls.filter((call) => call === "assigned 0").length === 2);
  });

  test("begins a partition anew when asked to, after the batch in hand", async () => {
    const { group, log, consumption, calls, hold } = await member({
      start: () => 0,
      answer: () => "pending",
    });
    log.add(0, "a", "b");
    const release = hold("handle 0");
    group.callbacks!.owns([0]);
    await called(calls, "handle 0:0");
    consumption.reassign(0);
    release();
    await called(calls, "handle 0:1");
    expect(calls).toEqual(["assigned 0", "handle 0:0", "assigned 0", "handle 0:0", "handle 0:1"]);
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
    log.valueBytes = 256 * 1024;
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

describe("Where the position moves without a record", () => {
  test("its handler gets a batch without records, and the group's offset reaches the end", async () => {
    const { group, log, calls } = await member();
    log.add(0, "a", "", "");
    group.callbacks!.owns([0]);
    await until("all is committed", () => group.offsets[0] === 3);
    expect(calls).toContain("handle 0:-");
  });
});

describe("Records that cannot be read", () => {
  async function standing(answers: ("skip" | "wait")[] = []) {
    const clock = manualClock();
    const asked: UnreadableRecords[] = [];
    const seen = observed();
    const handler: PartitionHandler = {
      ...seen.handler,
      unreadable: (records) => {
        asked.push(records);
        return Promise.resolve(answers.shift() ?? "wait");
      },
    };
    const started = await member({ options: { handler, clock } });
    started.log.add(0, "a", "b", "c");
    started.log.add(1, "d");
    started.log.damaged.add("0:1");
    started.group.callbacks!.owns([0, 1]);
    return { ...started, calls: seen.calls, asked, clock };
  }

  test("stop their partition alone, behind the records before them, and say why", async () => {
    const { group, calls, consumption } = await standing();
    const records = await until("it stands", () => consumption.state().standing?.[0]);
    expect(records).toMatchObject({
      partition: 0,
      offset: 1,
      nextOffset: 2,
      reason: expect.stringMatching(/CRC-32C/),
      bytes: null,
    });
    await until("the other one is handled", () => group.offsets[1] === 1);
    expect(group.offsets[0]).toBe(1);
    expect(calls).toContain("handle 0:0");
    expect(calls).not.toContain("handle 0:2");
    expect(consumption.state().is).toBe("joined");
  });

  test("are read again every five seconds: what can be read then flows on", async () => {
    const { group, log, asked, clock, consumption } = await standing();
    await until("it stands", () => asked.length === 1);
    await until("it waits", () => clock.pending > 0);
    await clock.advance(4_999);
    expect(asked.length).toBe(1);
    await clock.advance(1);
    await until("it is asked again", () => asked.length === 2);
    log.damaged.clear();
    await until("it waits", () => clock.pending > 0);
    await clock.advance(5_000);
    await until("all is handled", () => group.offsets[0] === 3);
    expect(consumption.state().standing).toBeUndefined();
  });

  test("are passed over where its handler says so, also at the log's end", async () => {
    const { group, log, calls } = await standing(["skip", "skip"]);
    log.add(0, "e");
    log.damaged.add("0:3");
    await until("the end is committed", () => group.offsets[0] === 4);
    expect(calls.filter((call) => call.startsWith("handle 0"))).toEqual(
      expect.arrayContaining(["handle 0:0", "handle 0:2"]),
    );
  });

  test("end nothing when the partition goes or the member stops meanwhile", async () => {
    const { group, calls, asked, consumption } = await standing();
    await until("it stands", () => asked.length === 1);
    group.callbacks!.owns([1]);
    await called(calls, "revoked 0");
    expect(consumption.state().standing).toBeUndefined();
    group.callbacks!.owns([0, 1]);
    await until("it stands again", () => asked.length === 2);
    await consumption.stop();
    await consumption.ended;
  });
});

describe("An error of one partition", () => {
  const typed = (type: string) => Object.assign(new Error(type), { type });

  test.each(["NOT_LEADER_FOR_PARTITION", "UNKNOWN_TOPIC_OR_PARTITION", "KAFKA_STORAGE_ERROR"])(
    "%s stops nobody else's, shows in words, and passes",
    async (type) => {
      const { group, log, consumption } = await member();
      log.add(0, "a");
      log.add(1, "b", "c", "d");
      log.errors.set(0, typed(type));
      group.callbacks!.owns([0, 1]);
      await until("the other one is handled", () => group.offsets[1] === 3);
      expect(consumption.state()).toEqual({ is: "away", partitions: [0, 1], reason: type });
      expect(log.recovered[0]).toMatchObject({ type });
      log.errors.clear();
      await until("it is handled too", () => group.offsets[0] === 1);
      expect(consumption.state().is).toBe("joined");
    },
  );

  test("without a leader it is asked of nobody, until it has one", async () => {
    const { group, log, consumption } = await member();
    let leader: number | null = null;
    log.leaderOf = (partition) => partition === 0 ? leader : 1;
    log.add(0, "a");
    log.add(1, "b", "c");
    group.callbacks!.owns([0, 1]);
    await until("the other one is handled", () => group.offsets[1] === 2);
    expect(consumption.state().reason).toMatch(/partition 0 has no leader/);
    leader = 2;
    await until("it is handled too", () => group.offsets[0] === 1);
  });

  test("a broker that does not answer holds up only what it leads", async () => {
    const { group, log } = await member();
    const silent = new Promise<void>(() => {});
    log.leaderOf = (partition) => partition + 1;
    log.add(0, "a");
    log.add(1, "b", "c", "d");
    const { fetch } = log.fetcher;
    log.fetcher.fetch = (leader, wanted) => leader === 1 ? silent.then(() => []) : fetch(leader, wanted);
    group.callbacks!.owns([0, 1]);
    await until("the other one is handled", () => group.offsets[1] === 3);
    expect(group.offsets[0]).toBeUndefined();
  });

  test("what retention took is passed over in it alone", async () => {
    const { group, log } = await member({ start: (partition) => partition === 0 ? 0 : null });
    log.add(0, "a", "b");
    log.add(1, "c");
    log.errors.set(0, typed("OFFSET_OUT_OF_RANGE"));
    log.fetcher.boundsOf = (partition) => {
      log.errors.clear();
      return Promise.resolve({ partition, startOffset: partition === 0 ? 1 : 0, endOffset: 2 });
    };
    group.callbacks!.owns([0, 1]);
    await until("both are handled", () => group.offsets[0] === 2 && group.offsets[1] === 1);
    expect(log.recovered).toEqual([]);
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
