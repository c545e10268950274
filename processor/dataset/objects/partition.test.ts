import { createHash } from "node:crypto";
import { beforeEach, describe, expect, it } from "vitest";
import { noFaultPoint } from "../../../runtime/fault_point.ts";
import { type ManualClock, manualClock, settle } from "../../../tests/support/manual_clock.ts";
import { added } from "../fixtures/added.ts";
import { PartitionLostError, type PartitionStore } from "../store.ts";
import { Builds } from "./builds.ts";
import { CommitLog } from "./commit_log.ts";
import { compactPartition } from "./compact.ts";
import type { ObjectsConfig } from "./config.ts";
import { openObjectDataset } from "./dataset.ts";
import { MemoryBucket, memoryStore } from "./fixtures/memory_store.ts";
import { settings } from "./fixtures/settings.ts";
import { type ObjectStore, ObjectStoreAwayError } from "./object_store.ts";
import { Room } from "./room.ts";

const DAY = "event=generation_failed/date=2025-11-30";
const OTHER_DAY = "event=generation_failed/date=2025-12-01";

let bucket: MemoryBucket;
let clock: ManualClock;
beforeEach(() => {
  bucket = new MemoryBucket();
  clock = manualClock();
});

type Opening = {
  readonly partition?: number;
  readonly config?: Partial<ObjectsConfig>;
  readonly store?: ObjectStore;
  readonly room?: Room;
};

async function open({ partition = 3, config, store = memoryStore(bucket), room }: Opening = {}) {
  const dataset = await openObjectDataset(settings(config), {
    store,
    dedupWindow: 100,
    clock,
    isProbed: true,
    ...(room ? { room } : {}),
  });
  return await dataset.open(partition, 0);
}

async function take(opening?: Opening): Promise<PartitionStore> {
  const store = await open(opening);
  await store.take();
  return store;
}

function line(text: string, distinctId = "d"): string {
  return `{"timestamp":"2025-11-30T16:38:21.968Z","input_prompt":"${text}","distinct_id":"${distinctId}"}\n`;
}

async function write(
  store: PartitionStore,
  nextOffset: number,
  lines: Readonly<Record<string, readonly string[]>> = {},
): Promise<void> {
  const additions = new Map(
    Object.entries(lines).map(([day, some]) => [`${day}/p00003-0000.jsonl`, added(some)]),
  );
  await store.advance({ nextOffset, additions, letters: [], sanitiserVersion: "s1" });
}

const build = () => JSON.parse(bucket.text(bucket.keys("_builds/").at(-1)!)).build as string;
const commits = (partition = 3, of = build()) =>
  bucket.keys(`${of}/_log/p0000${partition}/`).filter((key) => !key.includes("checkpoint"))
    .map((key) => JSON.parse(bucket.text(key)));
const kinds = () => commits().map(({ kind }) => kind);
const objects = () => bucket.keys(`${build()}/event=`);
const at = () => new Date(clock.now()).toISOString();
const tools = {
  subject: (distinctId: string) => `subject of ${distinctId}`,
  heartbeat: () => Promise.resolve(),
  faultPoint: noFaultPoint,
};

/** Partition 3 of the newest build. */
const compact = (about: { readonly before: string; readonly objectBytes?: number }) =>
  compactPartition(memoryStore(bucket), {
    build: build(),
    partition: 3,
    objectBytes: 10_000,
    compression: "none",
    clock,
    ...about,
  });

/** Appends a commit as somebody beside the writer would. */
async function append(kind: "fence" | "erase" | "seal" | "lines", more: Record<string, unknown> = {}) {
  const log = new CommitLog(memoryStore(bucket), { build: build(), partition: 3 });
  await log.readOn();
  const { firstOffset, nextOffset, lettersPublished } = log.state;
  const draft = { kind, writer: "another", at: at(), firstOffset, nextOffset, lettersPublished };
  expect(await log.append({ ...draft, ...more })).toBeNull();
}

describe("a flush", () => {
  it("puts every open object and names them in one commit with one next offset", async () => {
    const store = await take();
    await write(store, 2, { [DAY]: [line("a"), line("b")] });
    await write(store, 5, { [OTHER_DAY]: [line("x")], [DAY]: [line("c")] });
    expect(objects()).toEqual([]);
    await store.flush("now");

    const [fence, lines, ...more] = commits();
    expect(more).toEqual([]);
    expect(fence).toMatchObject({ number: 1, kind: "fence", firstOffset: 0, nextOffset: 0 });
    expect(lines).toMatchObject({ number: 2, kind: "lines", firstOffset: 0, nextOffset: 5, removed: [] });
    expect(objects()).toEqual(lines.added.map(({ path }: { path: string }) => `${build()}/${path}`).sort());
    const [one, other] = lines.added;
    expect(one.path).toMatch(new RegExp(`^${DAY}/p00003-0{20}-0{19}2-[0-9a-f]{16}\\.jsonl$`));
    expect(other.path).toMatch(new RegExp(`^${OTHER_DAY}/p00003-0{19}2-0{19}2-[0-9a-f]{16}\\.jsonl$`));
    const text = bucket.text(`${build()}/${one.path}`);
    expect(text).toBe(line("a") + line("b") + line("c"));
    const sha256 = createHash("sha256").update(text).digest("hex");
    expect(one).toMatchObject({ bytes: text.length, records: 3, sha256, sanitiserVersion: "s1" });
  });

  it("is due when an object is large enough, and not before", async () => {
    const store = await take({ config: { objectBytes: 200 } });
    await write(store, 1, { [DAY]: [line("a")] });
    await store.flush("due");
    await settle();
    expect(kinds()).toEqual(["fence"]);
    await write(store, 2, { [DAY]: [line("b".repeat(100))] });
    await store.flush("due");
    await settle();
    expect(kinds()).toEqual(["fence", "lines"]);
    expect(store.durableOffset).toBe(2);
  });

  it("is due when its first record is old enough, also without a line; an idle partition makes no commit", async () => {
    const store = await take();
    await write(store, 1);
    await clock.advance(29_999);
    await store.flush("due");
    await settle();
    expect(store.durableOffset).toBe(0);
    await clock.advance(1);
    await store.flush("due");
    await settle();
    expect(store.durableOffset).toBe(1);
    for (let i = 0; i < 5; i++) {
      await clock.advance(60_000);
      await store.flush("due");
    }
    await settle();
    expect(kinds()).toEqual(["fence", "lines"]);
  });

  it("goes on in the background while more is gathered, which the next one takes", async () => {
    const puts: (() => void)[] = [];
    const slow = memoryStore(bucket, {
      step: (what) =>
        what.startsWith("put ") ? new Promise((resolve) => puts.push(resolve)) : Promise.resolve(),
    });
    const store = await take({ store: slow, config: { objectAgeMs: 0 } });
    await write(store, 1, { [DAY]: [line("a")] });
    await store.flush("due");
    await settle();
    expect(puts).toHaveLength(1);
    await write(store, 2, { [DAY]: [line("b")] });
    await store.flush("due");
    expect(store.manifest.nextOffset).toBe(2);
    expect(store.durableOffset).toBe(0);
    puts.shift()!();
    await settle();
    expect(store.durableOffset).toBe(1);
    const flushed = store.flush("now");
    await settle();
    puts.shift()!();
    await flushed;
    expect(commits().map(({ nextOffset }) => nextOffset)).toEqual([0, 1, 2]);
  });

  it("that fails is told at the next call, and the store is good for nothing but close", async () => {
    const broken = memoryStore(bucket, {
      step: (what) =>
        what.startsWith("put ") ? Promise.reject(new ObjectStoreAwayError("away")) : Promise.resolve(),
    });
    const store = await take({ store: broken, config: { objectAgeMs: 0 } });
    await write(store, 1, { [DAY]: [line("a")] });
    await store.flush("due");
    await settle();
    await expect(store.flush("due")).rejects.toThrow("away");
    await expect(write(store, 2)).rejects.toThrow("away");
    await expect(store.flush("now")).rejects.toThrow("away");
    expect(kinds()).toEqual(["fence"]);
  });

  it("takes whole partitions, the fullest first, where more is gathered than the writer may hold", async () => {
    const room = new Room(36_000, 100_000);
    const dataset = await openObjectDataset(settings(), {
      store: memoryStore(bucket),
      dedupWindow: 100,
      clock,
      isProbed: true,
      room,
    });
    const stores = [await dataset.open(0, 0), await dataset.open(1, 0)];
    for (const store of stores) await store.take();
    await write(stores[0]!, 1, { [DAY]: [line("a".repeat(7_000))] });
    await write(stores[1]!, 1, { [DAY]: [line("b".repeat(20_000))] });
    await settle();
    expect(stores.map(({ durableOffset }) => durableOffset)).toEqual([0, 0]);
    await write(stores[0]!, 2, { [OTHER_DAY]: [line("c".repeat(4_000))] });
    await settle();
    expect(stores.map(({ durableOffset }) => durableOffset)).toEqual([0, 1]);
  });
});

it("a partition waits while more is on its way than the writer may hold", async () => {
  const puts: (() => void)[] = [];
  const slow = memoryStore(bucket, {
    step: (what) =>
      what.startsWith("put ") ? new Promise((resolve) => puts.push(resolve)) : Promise.resolve(),
  });
  const store = await take({ store: slow, room: new Room(10_000, 30_000) });
  await write(store, 1, { [DAY]: [line("a".repeat(20_000))] });
  let goesOn = false;
  const writing = write(store, 2, { [DAY]: [line("b".repeat(20_000))] }).then(() => goesOn = true);
  await settle();
  expect([puts.length, goesOn]).toEqual([1, false]);
  puts.shift()!();
  await writing;
  expect(store.durableOffset).toBe(1);
});

describe("a commit whose number is taken", () => {
  it("by a compaction is made anew under the next number, with objects that carry it", async () => {
    const store = await take();
    for (const [i, text] of ["a", "b"].entries()) {
      await write(store, i + 1, { [DAY]: [line(text)] });
      await store.flush("now");
    }
    const compacted = await compact({ before: "2026-01-01" });
    expect(compacted).toMatchObject({ joined: 2, made: 1 });
    await write(store, 3, { [DAY]: [line("c")] });
    await store.flush("now");
    await settle();
    expect(kinds()).toEqual(["fence", "lines", "lines", "compact", "lines"]);
    const named = Object.keys((await open()).manifest.files).sort();
    expect(named.map((path) => bucket.text(`${build()}/${path}`))).toEqual([
      line("a") + line("b"),
      line("c"),
    ]);
    expect(commits()[4].added[0].path).toContain(`-${"5".padStart(20, "0")}-`);
    // What lost its number is gone; what was joined stays for readers that list.
    expect(objects()).toHaveLength(4);
  });

  it("by a fence, or by lines, of another writer lets go, and waits so that they do not fence each other off", async () => {
    const store = await take();
    const other = await take();
    await write(store, 1, { [DAY]: [line("a")] });
    const lost = await store.flush("now").catch((error) => error);
    expect(lost).toBeInstanceOf(PartitionLostError);
    expect(lost.waitMs).toBe(10_000);
    await write(other, 1, { [DAY]: [line("a")] });
    await other.flush("now");
    await settle();
    expect(kinds()).toEqual(["fence", "fence", "lines"]);
    expect(objects()).toHaveLength(1);
  });

  it("by a command's erasure lets go at once where lines are gathered: they were decided without it", async () => {
    const store = await take();
    await write(store, 1, { [DAY]: [line("a", "me")] });
    await append("erase", { erased: [{ subject: "subject of me", at: at(), offset: 0 }] });
    await expect(store.flush("now")).rejects.toMatchObject({ name: "PartitionLostError", waitMs: 0 });
    expect((await take()).erased.has("subject of me")).toBe(true);
    expect(objects()).toEqual([]);
  });

  it("is found to stand where only its answer was lost", async () => {
    let lose = false;
    const store = await take({
      store: memoryStore(bucket, {
        random: () => 0,
        faults: () => ({ answerLost: 0, refused: 0, retried: lose ? 1 : 0, repeated: 0, late: 0 }),
      }),
    });
    lose = true;
    await write(store, 1, { [DAY]: [line("a")] });
    await store.flush("now");
    expect(store.durableOffset).toBe(1);
    expect(kinds()).toEqual(["fence", "lines"]);
  });

  it("is found by a writer that is idle, within 5 s", async () => {
    const store = await take();
    await append("fence");
    await store.flush("due");
    await clock.advance(5_000);
    await store.flush("due");
    await settle();
    await expect(store.flush("due")).rejects.toBeInstanceOf(PartitionLostError);
  });
});

describe("a log", () => {
  it("is read from its newest checkpoint on, whoever made it", async () => {
    const store = await take();
    for (let n = 1; n < 205; n++) {
      await write(store, n, n % 50 === 0 ? { [DAY]: [line(`${n}`)] } : {});
      await store.flush("now");
    }
    expect(bucket.keys().filter((key) => key.includes("checkpoint"))).toHaveLength(2);
    const reads: string[] = [];
    const spied = memoryStore(bucket, { step: (what) => Promise.resolve(void reads.push(what)) });
    const next = await open({ store: spied });
    expect(next.manifest).toMatchObject({ firstOffset: 0, nextOffset: 204 });
    expect(Object.keys(next.manifest.files)).toHaveLength(4);
    const log = reads.filter((what) => what.startsWith("get ") && what.includes("_log"));
    expect(log.length).toBeLessThan(40);
    const whole = new CommitLog(memoryStore(bucket), { build: build(), partition: 3 }, {
      checkpointEvery: 1e6,
    });
    await whole.readOn();
    expect(whole.state.toCheckpoint().objects.map(({ path }) => path)).toEqual(
      Object.keys(next.manifest.files),
    );
  });

  it("with a commit that cannot be read stops loudly, and is not gone past", async () => {
    const store = await take();
    await write(store, 1, { [DAY]: [line("a")] });
    await store.flush("now");
    const [, key] = bucket.keys(`${build()}/_log/`);
    bucket.write(key!, new TextEncoder().encode('{"number":2'));
    await expect(open()).rejects.toMatchObject({ code: "dataset_damaged" });
    await expect(open()).rejects.toThrow(key!);
  });
});

describe("a seal", () => {
  const sealAgainst = async () => {
    const { number } = (await new Builds(memoryStore(bucket), clock).current())!;
    await append("seal", { builds: number });
  };

  it("sends the writer to the build that has taken the place of its own", async () => {
    const store = await take();
    await sealAgainst();
    const builds = new Builds(memoryStore(bucket), clock);
    const { number } = (await builds.current())!;
    expect(await builds.create(number, { build: "another", because: "replay" })).not.toBeNull();
    await write(store, 1);
    await expect(store.flush("now")).rejects.toMatchObject({ name: "PartitionLostError", waitMs: 0 });
    await take();
    expect(commits(3, "another").map(({ kind }) => kind)).toEqual(["fence"]);
  });

  it("of a replay that is heard of no more is waited for a minute; then the old build is taken up again", async () => {
    const dataset = await openObjectDataset(settings(), {
      store: memoryStore(bucket),
      dedupWindow: 100,
      clock,
      isProbed: true,
    });
    const old = build;
    await (await dataset.open(3, 0)).take();
    const name = old();
    await sealAgainst();
    for (let waited = 0; waited < 60_000; waited += 5_000) {
      const again = await dataset.open(3, 0);
      await expect(again.take()).rejects.toMatchObject({ name: "PartitionLostError", waitMs: 5_000 });
      await clock.advance(5_000);
    }
    await (await dataset.open(3, 0)).take();
    const entries = bucket.keys("_builds/").map((key) => JSON.parse(bucket.text(key)));
    expect(entries.map(({ build, because }) => [build, because])).toEqual([[name, "first"], [
      name,
      "reopened",
    ]]);
    expect(kinds()).toEqual(["fence", "seal", "fence"]);
    // For who comes later the seal is none any more, although nobody has gone past it in that partition.
    await (await open({ partition: 3 })).take();
  });

  it("is not needed by a partition that had no log when the others were sealed", async () => {
    const store = await take({ partition: 7 });
    const builds = new Builds(memoryStore(bucket), clock);
    await builds.create((await builds.current())!.number, { build: "another", because: "replay" });
    await clock.advance(5_000);
    await store.flush("due");
    await settle();
    await expect(store.flush("due")).rejects.toMatchObject({ name: "PartitionLostError", waitMs: 0 });
  });
});

describe("what no commit names", () => {
  const stray = (commit: number, day = DAY) =>
    `${build()}/${day}/p00003-${"0".repeat(20)}-${String(commit).padStart(20, "0")}-0123456789abcdef.jsonl`;

  it("goes when a writer has taken the partition, unless a coming commit may name it", async () => {
    await take();
    const [old, coming] = [stray(1), stray(9)];
    bucket.write(old, new Uint8Array());
    bucket.write(coming, new Uint8Array());
    const store = await take();
    await store.flush("due");
    await settle();
    expect(objects()).toEqual([coming]);
  });

  it("goes also where it came late, until the writer has run well for 180 s, and again after an erasure", async () => {
    const store = await take();
    const look = async (ms: number) => {
      await clock.advance(ms);
      await store.flush("due");
      await settle();
    };
    for (let i = 0; i < 3; i++) {
      await look(0);
      bucket.write(stray(1), new Uint8Array());
      await look(60_000);
      expect(objects()).toEqual([]);
    }
    await look(60_000);
    bucket.write(stray(1), new Uint8Array());
    await look(600_000);
    expect(objects()).toHaveLength(1);
    await store.erase({ subjects: ["nobody"], at: 0, offset: 0, nextOffset: 1 }, tools);
    await look(60_000);
    expect(objects()).toEqual([]);
  });
});

describe("compacted objects", () => {
  async function compacted() {
    const store = await take();
    for (const [i, who] of ["me", "you"].entries()) {
      await write(store, i + 1, { [DAY]: [line(who, who)] });
      await store.flush("now");
    }
    await compact({ before: "2026-01-01" });
    return await take();
  }

  it("stay an hour for readers that list, and go then", async () => {
    const store = await compacted();
    await store.flush("due");
    await clock.advance(3_599_000);
    await store.flush("due");
    await settle();
    expect(objects()).toHaveLength(3);
    await clock.advance(1_000);
    await store.flush("due");
    await settle();
    expect(objects()).toHaveLength(1);
  });

  it("go at once where somebody is erased", async () => {
    const store = await compacted();
    await store.erase({ subjects: ["subject of me"], at: clock.now(), offset: 2, nextOffset: 3 }, tools);
    expect(objects().map((key) => bucket.text(key))).toEqual([line("you", "you")]);
    expect(kinds().at(-1)).toBe("erase");
    expect(commits().at(-1).erased).toEqual([{ subject: "subject of me", at: at(), offset: 2 }]);
  });

  it("of an open day, large ones and those of another sanitiser are left alone", async () => {
    const store = await take();
    for (let n = 1; n < 4; n++) {
      const additions = new Map([[`${DAY}/p00003-0000.jsonl`, added([line(String(n))])]]);
      await store.advance({ nextOffset: n, additions, letters: [], sanitiserVersion: n < 3 ? "s1" : "s2" });
      await store.flush("now");
    }
    expect(await compact({ before: "2025-11-30" })).toMatchObject({ joined: 0, made: 0 });
    expect(await compact({ before: "2025-12-01", objectBytes: 150 })).toMatchObject({ joined: 0, made: 0 });
    expect(await compact({ before: "2025-12-01" })).toMatchObject({ joined: 2, made: 1 });
  });
});
