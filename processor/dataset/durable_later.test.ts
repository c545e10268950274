import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DATASET_WRITER_GROUP, DEAD_LETTER_TOPIC, WEBHOOKS_TOPIC } from "../../contract/names.ts";
import { manualClock } from "../../tests/support/manual_clock.ts";
import { MemoryLog } from "../../tests/support/memory_log.ts";
import { randomFrom } from "../../tests/support/replay_topic.ts";
import { until } from "../../tests/support/until.ts";
import { DEAD_LETTER_TOPIC_SPEC, WEBHOOKS_TOPIC_SPEC } from "../../topic/raw_topics.ts";
import { type ConsumeOptions, LogUnavailableError, type TopicLog } from "../../topic/topic.ts";
import { PartitionLostError } from "./store.ts";
import { HeldDataset, LOST_WAIT_MS } from "./fixtures/held_dataset.ts";
import { erasure, failure, personIn, publish, uuid } from "./fixtures/records.ts";
import { hashes, startWriter, type WriterRun, type WriterSettings } from "./fixtures/run.ts";

/** The writer where chunks become durable later than they are written, as on object storage; the test says when. */

const P = 3;
const distinctId = personIn(P);
const good = (...numbers: number[]) => numbers.map((n) => failure(n, { distinctId }));
const bad = (n: number, prompt: unknown = 5) => failure(n, { distinctId, prompt });

let log: MemoryLog;
let dataset: HeldDataset;
const runs: WriterRun[] = [];

beforeEach(async () => {
  log = watched(new MemoryLog());
  dataset = new HeldDataset();
  await log.ensureTopic(WEBHOOKS_TOPIC_SPEC);
  await log.ensureTopic(DEAD_LETTER_TOPIC_SPEC);
});
afterEach(async () => {
  dataset.onFlush = () => {};
  for (const run of runs.splice(0)) await run.stop().catch(() => {});
  await log.close();
});

/** A log that writes down which letters are published and which offsets committed. */
function watched<T extends TopicLog>(log: T): T {
  const { publish, consume } = log;
  log.publish = async (topic, records) => {
    const positions = await publish.call(log, topic, records);
    if (topic === DEAD_LETTER_TOPIC) dataset.effects.push(...records.map(() => "letter"));
    return positions;
  };
  log.consume = (options: ConsumeOptions) => {
    const consumption = consume.call(log, options);
    const { commit } = consumption;
    consumption.commit = (partition, nextOffset) => {
      if (partition === P) dataset.effects.push(`group ${partition}:${nextOffset}`);
      commit.call(consumption, partition, nextOffset);
    };
    return consumption;
  };
  return log;
}

function start(settings: Partial<WriterSettings> = {}): WriterRun {
  const run = startWriter({
    log,
    dataDir: "/nowhere",
    open: () => Promise.resolve(dataset.open()),
    ...settings,
  });
  runs.push(run);
  return run;
}

/** A writer that is ready, and its clock. */
async function running(settings: Partial<WriterSettings> = {}) {
  const clock = manualClock();
  const run = start({ clock, ...settings });
  await until("it is ready", async () => {
    await clock.advance(200);
    return run.health()?.is === "ready";
  });
  return { clock, run };
}

const committed = async () => (await log.committed(WEBHOOKS_TOPIC, DATASET_WRITER_GROUP))[P];
const isCommitted = (offset: number) =>
  until(`${offset} is committed`, async () => await committed() === offset);
const isWritten = (offset: number) => until(`${offset} is written`, () => dataset.written(P) === offset);
const prompts = () => dataset.lines.map((line) => JSON.parse(line).input_prompt);
const promptsOf = (...numbers: number[]) => numbers.map((n) => `write a poem about ${n}`);
/** What has happened to the partition once it was taken. */
const effects = () => dataset.effects.filter((effect) => !/^take|^\w+ [^3]/.test(effect));
const letters = () => log.records(DEAD_LETTER_TOPIC).map(({ headers }) => headers["source-offset"]);

describe("a chunk that becomes durable later", () => {
  it("has its letters published then, is counted then, and only then the group's offset moves on", async () => {
    await publish(log, [...good(1), bad(2), ...good(3)]);
    const run = start({
      faultPoint: (name) => void (name === "dataset.letters" && dataset.effects.push(name)),
    });
    await isWritten(3);
    await until("it has been looked at", () => run.health()?.is === "ready");
    expect(effects()).toEqual([]);
    expect([run.count("lines"), run.count("dead_letters"), letters(), await committed()]).toEqual([
      0,
      0,
      [],
      null,
    ]);
    expect(run.steps().map(({ step }) => step)).toEqual(["polled", "polled", "polled"]);

    dataset.makeDurable(P);
    await isCommitted(3);
    expect(effects())
      .toEqual(["durable 3:3", "letter", "dataset.letters", "group 3:3"]);
    expect([run.count("lines"), run.count("dead_letters"), letters()]).toEqual([2, 1, ["1"]]);
    expect(dataset.held(P).letters).toEqual([]);
    expect(run.steps().slice(3).map(({ step }) => step)).toEqual(["written", "dead_lettered", "written"]);
  });

  it("counts as lag until then, and what comes after it is handled meanwhile", async () => {
    await publish(log, [...good(1, 2), bad(3), ...good(4)]);
    const run = start({ chunkRecordsMax: 1 });
    await isWritten(4);
    const lag = async () => (await log.lag(WEBHOOKS_TOPIC, DATASET_WRITER_GROUP, Date.now()))[P]!.lag;
    expect(await lag()).toBe(4);
    dataset.makeDurable(P, 2);
    await isCommitted(2);
    expect([await lag(), run.count("lines"), letters()]).toEqual([2, 2, []]);
    dataset.makeDurable(P);
    await isCommitted(4);
    expect([await lag(), run.count("lines"), letters()]).toEqual([0, 3, ["2"]]);
    expect(prompts()).toEqual(promptsOf(1, 2, 4));
  });

  it("moves the group's offset on with the next batch too, where one follows another", async () => {
    await running();
    await publish(log, [...good(1), bad(2)]);
    await isWritten(2);
    dataset.makeDurable(P);
    await publish(log, good(3));
    await isCommitted(2);
    expect([letters(), dataset.written(P)]).toEqual([["1"], 3]);
  });

  it("is made so at once where records of more than 16 MiB wait, for their letters and for what is told", async () => {
    const prompt = `x${"y".repeat(1024 * 1024)}`;
    await publish(log, Array.from({ length: 16 }, (_, n) => bad(n, prompt)));
    start({ chunkRecordsMax: 1 });
    await isWritten(16);
    await until("the group hears of it", async () => (await committed() ?? 0) > 0);
    expect(letters().length).toBeGreaterThan(0);
  });

  it("waits for an age, not for a size, where its letters are few", async () => {
    const prompt = `x${"y".repeat(1024 * 1024)}`;
    await publish(log, Array.from({ length: 7 }, (_, n) => bad(n, prompt)));
    const flushed: string[] = [];
    dataset.onFlush = (partition, when) => void (partition === P && flushed.push(when));
    start({ chunkRecordsMax: 1 });
    await isWritten(7);
    expect(new Set(flushed)).toEqual(new Set(["due"]));
  });

  it("comes before an erasure that lies behind it, with its letters", async () => {
    await publish(log, [
      ...good(1),
      bad(2),
      erasure([hashes.subject("nobody")], { at: "2025-11-30T18:00:00.000Z", partition: P }),
      ...good(3),
    ]);
    start();
    await isWritten(4);
    await isCommitted(3);
    expect(effects())
      .toEqual(["durable 3:2", "letter", "erase 3:3", "group 3:3"]);
  });
});

describe("somebody who was erased in other partitions only", () => {
  it("is looked for once what waits is durable and settled", async () => {
    await publish(log, [...good(1), bad(2)]);
    const run = start();
    await until("it is ready", () => run.health()?.is === "ready");
    await isWritten(2);
    dataset.erased = new Map([["somebody", { at: 1, offset: 0 }]]);
    await until("it has looked", () => dataset.effects.includes("sweep 3"));
    await isCommitted(2);
    expect(effects())
      .toEqual(["durable 3:2", "letter", "sweep 3", "group 3:2"]);
  });
});

describe("a failure between two effects loses nothing and doubles nothing", () => {
  const away = () => Object.assign(new Error("the bucket is away"), { code: "EOBJECTSTORE" });

  it("while nobody sends another record: what was not durable is read again", async () => {
    await publish(log, [...good(1), bad(2), ...good(3)]);
    start();
    await isWritten(3);
    let failures = 1;
    dataset.onFlush = (partition) => {
      if (partition === P && failures-- > 0) throw away();
    };
    await until(
      "it has been taken again",
      () => dataset.effects.filter((one) => one === "take 3").length === 2,
    );
    await isWritten(3);
    expect([dataset.lines, letters(), await committed()]).toEqual([[], [], null]);
    dataset.makeDurable(P);
    await isCommitted(3);
    expect([prompts(), letters()]).toEqual([promptsOf(1, 3), ["1"]]);
  });

  it("of what the others are asked, while a batch is in hand: the batch is handled, and nothing dropped", async () => {
    const { clock } = await running();
    const [refreshing, flushing] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    dataset.onRefresh = () => refreshing.promise;
    await clock.advance(200);
    dataset.onFlush = (partition) => partition === P ? flushing.promise : undefined;
    await publish(log, good(1));
    await isWritten(1);
    refreshing.reject(away());
    await clock.advance(0);
    dataset.onRefresh = () => {};
    flushing.resolve();
    await clock.advance(200);
    dataset.makeDurable(P);
    await clock.advance(200);
    await isCommitted(1);
    expect(prompts()).toEqual(promptsOf(1));
    expect(dataset.effects.filter((effect) => effect === "take 3")).toHaveLength(1);
  });

  it("in the middle of a batch: seen in its health, and read again after a while", async () => {
    let failures = 1;
    dataset.onFlush = (partition) => {
      if (partition === P && dataset.written(P) === 2 && failures-- > 0) throw away();
    };
    const run = start({ chunkRecordsMax: 1 });
    await until("it is ready", () => run.health()?.is === "ready");
    await publish(log, [...good(1), bad(2), ...good(3)]);
    await isWritten(3);
    const messages = run.messages.flatMap((one) => one.kind === "log" ? [one.text] : []);
    expect(messages).toEqual([expect.stringContaining("the bucket is away (attempt 1")]);
    dataset.makeDurable(P);
    await isCommitted(3);
    expect([prompts(), letters()]).toEqual([promptsOf(1, 3), ["1"]]);
  });

  it("between the lines and their letter: the next opening publishes it", async () => {
    await publish(log, [...good(1), bad(2), ...good(3)]);
    start();
    await isWritten(3);
    const { publish: publishes } = log;
    let failures = 1;
    log.publish = (topic, records) =>
      topic === DEAD_LETTER_TOPIC && failures-- > 0
        ? Promise.reject(new LogUnavailableError("away"))
        : publishes.call(log, topic, records);
    dataset.makeDurable(P);
    await isCommitted(3);
    expect(failures).toBeLessThan(1);
    expect([prompts(), letters()]).toEqual([promptsOf(1, 3), ["1"]]);
  });

  it("between the letter and the group's offset: the next writer goes on behind it", async () => {
    await publish(log, [...good(1), bad(2), ...good(3)]);
    const first = start();
    await isWritten(3);
    const { consume } = log;
    // Killed: what is durable stays, the group hears of nothing.
    dataset.makeDurable(P);
    dataset.takeAway(P);
    await first.stop();
    log.consume = consume;
    await publish(log, good(4));
    start();
    await isWritten(4);
    dataset.makeDurable(P);
    await isCommitted(4);
    expect([prompts(), letters()]).toEqual([promptsOf(1, 3, 4), ["1"]]);
  });
});

describe("whatever fails, is lost, stopped and started, in whatever order", () => {
  const SEEDS = 40;
  const STEPS = 60;
  const away = () => Object.assign(new Error("the bucket is away"), { code: "EOBJECTSTORE" });

  it.each(Array.from({ length: SEEDS }, (_, n) => n + 1))(
    "each line is there once, and each letter (seed %i)",
    async (seed) => {
      const random = randomFrom(seed);
      const chance = (share: number) => random() < share;
      const among = (count: number) => Math.floor(random() * count);
      const clock = manualClock();
      const { publish: publishes } = log;
      let isCalm = false;
      log.publish = (topic, records) =>
        topic === DEAD_LETTER_TOPIC && !isCalm && chance(0.2)
          ? Promise.reject(new LogUnavailableError("away"))
          : publishes.call(log, topic, records);
      dataset.onFlush = async (partition, when) => {
        if (!isCalm && chance(0.1)) throw away();
        if (chance(0.3)) await Promise.resolve();
        if (when === "due" && chance(0.2)) {
          dataset.makeDurable(partition, dataset.held(partition).nextOffset + 1 + among(5));
        }
      };
      const alive = new Set<WriterRun>();
      const begin = () =>
        alive.add(
          start({ clock, chunkRecordsMax: 1 + among(4), log: alive.size > 0 ? new MemoryLog({}, log) : log }),
        );
      begin();
      const wanted: number[] = [];
      const refused: number[] = [];
      let n = 0;
      for (let step = 0; step < STEPS; step++) {
        const kind = among(6);
        if (kind === 0) dataset.takeAway(among(6));
        else if (kind === 1 && alive.size < 3) begin();
        else if (kind === 2 && alive.size > 1) {
          const one = [...alive][among(alive.size)]!;
          alive.delete(one);
          const stopped = one.stop();
          await clock.advance(7_000);
          await stopped;
        } else {
          const records = Array.from({ length: 1 + among(6) }, () => {
            const isBad = chance(0.2);
            (isBad ? refused : wanted).push(++n);
            return failure(n, isBad ? { prompt: 5 } : {});
          });
          await publish(log, records);
        }
        await clock.advance(among(3) * 200);
      }
      isCalm = true;
      await until("everything is durable and committed", async () => {
        for (let partition = 0; partition < 6; partition++) dataset.makeDurable(partition);
        await clock.advance(LOST_WAIT_MS);
        const bounds = await log.bounds(WEBHOOKS_TOPIC);
        const offsets = await log.committed(WEBHOOKS_TOPIC, DATASET_WRITER_GROUP);
        return bounds.every(({ endOffset, partition }) =>
          endOffset === 0 || offsets[partition] === endOffset
        );
      });
      const sorted = (texts: readonly string[]) => [...texts].sort();
      expect(sorted(prompts())).toEqual(sorted(promptsOf(...wanted)));
      const uuids = log.records(DEAD_LETTER_TOPIC).map(({ headers }) => headers.id);
      expect(new Set(uuids)).toEqual(new Set(refused.map(uuid)));
    },
  );
});

describe("a partition that another writer has taken", () => {
  const lost = (run: WriterRun) =>
    until("it waits", () => run.health()?.is === "waiting" && run.health()?.message);
  const logged = (run: WriterRun) => run.messages.flatMap((one) => one.kind === "log" ? [one] : []);

  it("is let go without trouble, waited for, and opened anew, also where no record comes", async () => {
    await publish(log, [...good(1), bad(2)]);
    const { clock, run } = await running();
    await isWritten(2);
    dataset.effects.length = 0;
    dataset.takeAway(P);
    await clock.advance(200);
    expect(await lost(run)).toBe("another writer has partition 3");
    await clock.advance(LOST_WAIT_MS - 400);
    expect(dataset.effects).toEqual([]);
    await clock.advance(400);
    await isWritten(2);
    expect(dataset.effects).toEqual(["take 3"]);
    await clock.advance(200);
    expect(run.health()?.is).toBe("ready");
    dataset.makeDurable(P);
    await clock.advance(200);
    await isCommitted(2);
    expect([prompts(), letters()]).toEqual([promptsOf(1), ["1"]]);
    expect(logged(run).map(({ level, text }) => `${level}: ${text}`)).toEqual([
      "info: another writer has partition 3",
      expect.stringMatching(/^warn: dead letter/),
    ]);
  });

  it("is let go in the middle of a batch too, and other partitions flow meanwhile", async () => {
    const { clock, run } = await running();
    dataset.takeAway(P);
    await publish(log, [...good(1), failure(2, { distinctId: personIn(4) })]);
    expect(await lost(run)).toBe("another writer has partition 3");
    await until("the other is written", () => dataset.written(4) === 1);
    expect(dataset.written(P)).toBe(0);
    await clock.advance(LOST_WAIT_MS);
    await isWritten(1);
    expect(logged(run).filter(({ level }) => level !== "info")).toEqual([]);
  });

  it("that comes back lost is waited for again; what the other one has written until it is taken counts", async () => {
    await publish(log, good(1, 2));
    const { clock, run } = await running();
    await isWritten(2);
    dataset.takeAway(P);
    await clock.advance(200);
    await lost(run);
    const held = dataset.held(P);
    // The other one wins once more, and its last commit comes between the next opening and its fence.
    dataset.onTake = () => {
      dataset.onTake = () => {
        const theirs = JSON.stringify({ input_prompt: "theirs" });
        Object.assign(held, { nextOffset: 1, lines: [...held.lines, theirs] });
        dataset.onTake = () => {};
      };
      throw new PartitionLostError("another writer has won", LOST_WAIT_MS);
    };
    await clock.advance(LOST_WAIT_MS);
    expect(run.health()).toMatchObject({ is: "waiting", message: "another writer has won" });
    await clock.advance(LOST_WAIT_MS);
    await isWritten(2);
    dataset.makeDurable(P);
    await clock.advance(200);
    await isCommitted(2);
    expect(prompts()).toEqual(["theirs", ...promptsOf(2)]);
  });

  it("keeps nobody from stopping while it is waited for", async () => {
    const { clock, run } = await running();
    dataset.takeAway(P);
    await clock.advance(200);
    await lost(run);
    await run.stop();
  });
});

describe("a partition that is let go", () => {
  it("is made durable, settled and committed before the group is left", async () => {
    await publish(log, [...good(1), bad(2), ...good(3)]);
    const run = start();
    await isWritten(3);
    await run.stop();
    expect(effects())
      .toEqual(["durable 3:3", "letter", "group 3:3"]);
    expect([await committed(), prompts(), letters(), run.count("lines")]).toEqual([
      3,
      promptsOf(1, 3),
      ["1"],
      2,
    ]);
  });

  it("goes on at another member's where it ended, each line once", async () => {
    await publish(log, [...good(1), bad(2)]);
    const other = start();
    await isWritten(2);
    start({ log: watched(new MemoryLog({}, log)) });
    // The first keeps the even ones.
    await until("it is the second's", () => dataset.effects.filter((one) => one === "take 3").length === 2);
    expect(await committed()).toBe(2);
    await publish(log, good(3));
    await isWritten(3);
    dataset.makeDurable(P);
    await isCommitted(3);
    expect([prompts(), letters(), other.count("lines")]).toEqual([promptsOf(1, 3), ["1"], 1]);
  });

  it("and comes back to a dataset that lies further back is caught up from there, also where no record comes", async () => {
    await publish(log, [...good(1), bad(2)]);
    const run = start();
    await isWritten(2);
    dataset.isWanted = true;
    await until("what waited is settled", () => run.count("dead_letters") === 1);
    await until("it is let go", () => run.health()?.is === "starting");
    Object.assign(dataset.held(P), { nextOffset: 0, lines: [], owner: null });
    dataset.isWanted = false;
    await isWritten(2);
    dataset.makeDurable(P);
    await until("it is settled again", () => dataset.lines.length === 1);
    expect([prompts(), new Set(letters())]).toEqual([promptsOf(1), new Set(["1"])]);
  });

  it("because the topic was made again commits nothing in the new one", async () => {
    const { clock, run } = await running();
    await publish(log, good(1));
    await isWritten(1);
    const again = new MemoryLog();
    await again.ensureTopic(WEBHOOKS_TOPIC_SPEC);
    log.standFor(again);
    await clock.advance(5_000);
    await publish(log, good(2));
    await expect(run.ended).rejects.toMatchObject({ code: "dataset_other_topic" });
    expect(effects()).toEqual(["durable 3:1"]);
    expect(await committed()).toBe(null);
    await again.close();
  });

  it("whose lines cannot be made durable now is no error: its next owner reads the same records again", async () => {
    await publish(log, good(1));
    const first = start();
    await isWritten(1);
    dataset.onFlush = () => {
      throw new Error("the bucket is away");
    };
    await first.stop();
    dataset.onFlush = () => {};
    expect([dataset.lines, await committed()]).toEqual([[], null]);
    expect(first.messages.flatMap((one) => one.kind === "log" ? [one.text] : [])).toEqual([
      "Cannot make durable what partition 3 has handled: the bucket is away. Its next owner reads it again.",
    ]);
    await start().stop();
    start();
    await isWritten(1);
    dataset.makeDurable(P);
    await isCommitted(1);
    expect(prompts()).toEqual(promptsOf(1));
  });

  it("takes 6 s for it at most, and nothing of it is told later", async () => {
    await publish(log, [bad(1)]);
    const clock = manualClock();
    const run = start({ clock });
    await isWritten(1);
    const gate = Promise.withResolvers<void>();
    dataset.onFlush = (_, when) => when === "now" ? gate.promise : undefined;
    const stopped = run.stop();
    await until("it waits", () => clock.pending === 1);
    await clock.advance(5_999);
    expect(clock.pending).toBe(1);
    await clock.advance(1);
    await stopped;
    expect(run.messages.flatMap((one) => one.kind === "log" ? [one.text] : [])).toEqual([
      expect.stringContaining("not done after 6000 ms"),
    ]);
    gate.resolve();
    await clock.advance(1_000);
    expect([letters(), await committed(), run.count("dead_letters")]).toEqual([[], null, 0]);
  });
});

describe("an opening", () => {
  it("publishes the letters of whoever wrote before, once it has the partition, and says that they are out", async () => {
    await publish(log, [...good(1), bad(2)]);
    const held = dataset.held(P);
    Object.assign(held, { nextOffset: 2, letters: [{ offset: 1, step: "parse", reason: "no" }] });
    start();
    await until("the letter is there", () => letters().length === 1);
    await until("it is noted", () => held.letters.length === 0);
    expect(dataset.effects.indexOf("take 3")).toBeLessThan(dataset.effects.indexOf("letter"));
    expect(dataset.lines).toEqual([]);
  });

  it("asks others only when it looks, not for each batch", async () => {
    const clock = manualClock();
    let looks = 0;
    dataset.onRefresh = () => void looks++;
    const run = start({ clock });
    await until("it is ready", async () => {
      await clock.advance(200);
      return run.health()?.is === "ready";
    });
    const before = looks;
    for (const n of [1, 2, 3]) {
      await publish(log, good(n));
      await isWritten(n);
    }
    expect(looks).toBe(before);
    await clock.advance(200);
    expect(looks).toBe(before + 6);
  });
});
