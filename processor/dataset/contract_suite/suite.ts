import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { noFaultPoint } from "../../../runtime/fault_point.ts";
import { until } from "../../../tests/support/until.ts";
import { DedupWindow } from "../core/dedup_window.ts";
import { directoryOf } from "../core/path.ts";
import { added } from "../fixtures/added.ts";
import type { Advance, DatasetStore, PartitionStore } from "../store.ts";

/** The dataset under test, empty at the beginning of each test. */
export type DatasetContractAdapter = {
  /** One more handle on the same dataset, as another process would have it; `dedupWindow` default 100. */
  open(options?: { readonly dedupWindow?: number }): Promise<DatasetStore>;
  /** The lines at a path of a manifest's files. */
  read(path: string): Promise<string>;
  /** Takes away whatever it keeps. */
  remove(): Promise<void>;
};

const DAY = "event=generation_failed/date=2025-11-30";
const OTHER_DAY = "event=generation_failed/date=2025-12-01";
const PATH = `${DAY}/p00003-0000.jsonl`;
const OTHER = `${OTHER_DAY}/p00003-0000.jsonl`;

function line(text: string, distinctId = "d"): string {
  return `{"timestamp":"2025-11-30T16:38:21.968Z","input_prompt":${
    JSON.stringify(text)
  },"distinct_id":"${distinctId}"}\n`;
}

type Chunk = {
  readonly nextOffset: number;
  readonly files?: Readonly<Record<string, readonly string[]>>;
} & Partial<Omit<Advance, "additions" | "nextOffset">>;

async function write(store: PartitionStore, { files = {}, ...to }: Chunk): Promise<void> {
  const one = (index: number) => index === 0 ? ["EMAIL_ADDRESS"] : [];
  const additions = new Map(
    Object.entries(files).map(([path, lines]) => [path, added(lines, { placeholders: one })]),
  );
  await store.intend([...additions.keys()]);
  store.append(additions);
  await store.sync();
  await store.advance({ letters: [], sanitiserVersion: "s1", ...to, additions });
}

const TOOLS = {
  subject: (distinctId: string) => `subject of ${distinctId}`,
  heartbeat: () => Promise.resolve(),
  faultPoint: noFaultPoint,
};

/**
 * Declares what every adapter of the dataset's port promises. It knows no adapter: an object is never asked for by name,
 * and what is durable is what another handle sees.
 */
export function describeDatasetContract(
  name: string,
  makeAdapter: () => Promise<DatasetContractAdapter>,
  { whyNot = () => null }: {
    /** Why it cannot be had here, in words that the report prints; null where it can. */
    readonly whyNot?: () => string | null;
  } = {},
): void {
  describe(`${name} keeps the contract of the dataset`, () => {
    let adapter: DatasetContractAdapter;
    const opened: { close(): void }[] = [];
    beforeEach(async (running) => {
      const why = whyNot();
      if (why !== null) running.skip(why);
      adapter = await makeAdapter();
    });
    afterEach(async () => {
      for (const one of opened.splice(0).reverse()) one.close();
      if (whyNot() === null) await adapter.remove();
    });

    async function openDataset(options?: { readonly dedupWindow?: number }): Promise<DatasetStore> {
      const dataset = await adapter.open(options);
      opened.push(dataset);
      return dataset;
    }

    async function take(dataset: DatasetStore, partition = 3, startOffset = 0): Promise<PartitionStore> {
      const store = await dataset.open(partition, startOffset);
      opened.push(store);
      await store.take();
      await store.recover();
      return store;
    }

    /** As the next owner finds it. */
    async function takeAnew(partition = 3): Promise<PartitionStore> {
      return await take(await openDataset(), partition);
    }

    async function linesOf({ manifest }: PartitionStore): Promise<Record<string, string>> {
      const lines: Record<string, string> = {};
      for (const path of Object.keys(manifest.files).sort()) {
        const directory = directoryOf(path);
        lines[directory] = (lines[directory] ?? "") + await adapter.read(path);
      }
      return lines;
    }

    test("a new partition begins where it is told, with nothing in it", async () => {
      const { manifest, durableOffset } = await take(await openDataset(), 3, 17);
      expect(manifest).toMatchObject({ firstOffset: 17, nextOffset: 17, files: {}, letters: [] });
      expect(durableOffset).toBe(17);
    });

    test("what was advanced to and flushed is there for the next owner, in its order", async () => {
      const store = await take(await openDataset());
      await write(store, { nextOffset: 2, files: { [PATH]: [line("a"), line("b")] } });
      await write(store, { nextOffset: 4, files: { [OTHER]: [line("x")], [PATH]: [line("c")] } });
      expect(store.manifest.nextOffset).toBe(4);
      await store.flush("now");
      expect(store.durableOffset).toBe(4);
      await write(store, { nextOffset: 5, files: { [PATH]: [line("d")] } });
      await store.flush("now");

      const next = await takeAnew();
      expect(next.manifest).toMatchObject({ firstOffset: 0, nextOffset: 5 });
      expect(next.durableOffset).toBe(5);
      expect(await linesOf(next)).toEqual({
        [DAY]: line("a") + line("b") + line("c") + line("d"),
        [OTHER_DAY]: line("x"),
      });
      const entries = Object.values(next.manifest.files);
      expect(entries.reduce((sum, { records }) => sum + records, 0)).toBe(5);
      expect(entries.reduce((sum, { placeholders }) => sum + placeholders.EMAIL_ADDRESS!, 0)).toBe(4);
      expect(entries.every(({ sanitiserVersions }) => String(sanitiserVersions) === "s1")).toBe(true);
    });

    test("what was appended and not advanced to is no part of the dataset", async () => {
      const store = await take(await openDataset());
      await write(store, { nextOffset: 1, files: { [PATH]: [line("a")] } });
      await store.flush("now");
      await store.intend([OTHER]);
      store.append(new Map([[PATH, added([line("lost")])], [OTHER, added([line("lost")])]]));
      await store.sync();
      store.close();

      const next = await takeAnew();
      expect(next.manifest.nextOffset).toBe(1);
      expect((await linesOf(next))[DAY]).toBe(line("a"));
      await write(next, { nextOffset: 2, files: { [PATH]: [line("b")] } });
      await next.flush("now");
      expect((await linesOf(await takeAnew()))[DAY]).toBe(line("a") + line("b"));
    });

    test("an offset moves on without a line, and the mark, the outcomes and the minutes with it", async () => {
      const store = await take(await openDataset());
      const none = { lines: 0, duplicates: 0, deadLetters: 0, others: 0 };
      await write(store, { nextOffset: 3, outcomes: { ...none, others: 3 }, minutes: [[7, 3]] });
      const last = { offset: 4, timestamp: 9, sha256: "0a" };
      await write(store, { nextOffset: 5, last, outcomes: { ...none, duplicates: 2 }, minutes: [[8, 2]] });
      const seen = {
        nextOffset: 5,
        last,
        outcomes: { from: 0, to: 5, ...none, others: 3, duplicates: 2 },
        received: { from: 0, to: 5, minutes: [[7, 3], [8, 2]] },
      };
      expect(store.manifest).toMatchObject(seen);
      await store.flush("now");
      expect((await takeAnew()).manifest).toMatchObject(seen);
    });

    test("letters stay until they are published, also for the second owner after a crash", async () => {
      const letter = { offset: 1, step: "parse", reason: "no prompt" } as const;
      const store = await take(await openDataset());
      await write(store, { nextOffset: 2, letters: [letter] });
      await store.flush("now");
      await takeAnew();
      const third = await takeAnew();
      expect(third.manifest.letters).toEqual([letter]);
      third.published(2);
      await write(third, { nextOffset: 3 });
      await third.flush("now");
      expect((await takeAnew()).manifest.letters).toEqual([]);
    });

    test("an erasure takes out all lines of its subjects and leaves the others as they are", async () => {
      const store = await take(await openDataset());
      const none = { lines: 0, duplicates: 0, deadLetters: 0, others: 0 };
      const kept = [line("a", "me"), line("ünï", "you"), line("c", "me")];
      await write(store, { nextOffset: 3, files: { [PATH]: kept }, outcomes: { ...none, lines: 3 } });
      await write(store, {
        nextOffset: 4,
        files: { [OTHER]: [line("x", "me")] },
        outcomes: { ...none, lines: 1 },
      });
      await store.flush("now");
      const at = Date.UTC(2026, 0, 1);
      await store.erase({ subjects: ["subject of me"], at, offset: 4, nextOffset: 5 }, TOOLS);

      const erased = new Map([["subject of me", { offset: 4, at }]]);
      for (const one of [store, await takeAnew()]) {
        const lines = await linesOf(one);
        expect(Object.values(lines).join("")).toBe(line("ünï", "you"));
        expect(one.erased).toEqual(erased);
        expect(one.manifest.nextOffset).toBe(5);
        expect(one.manifest.outcomes).toEqual({ from: 0, to: 5, ...none, lines: 1, others: 4, taken: 3 });
      }
    });

    test("who was erased elsewhere is swept once, up to the time of it, and remembered", async () => {
      const store = await take(await openDataset());
      await write(store, { nextOffset: 2, files: { [PATH]: [line("a", "me"), line("b", "you")] } });
      await store.flush("now");
      const until = { offset: 0, at: Date.parse("2025-11-30T16:38:21.968Z") };
      store.learn(new Map([["subject of me", until], ["subject of you", { ...until, at: until.at - 1 }]]));
      expect([...store.unswept.keys()]).toEqual(["subject of me", "subject of you"]);
      await store.sweep(TOOLS);
      expect(store.unswept.size).toBe(0);
      const next = await takeAnew();
      expect((await linesOf(next))[DAY]).toBe(line("b", "you"));
      expect(next.erased.get("subject of me")).toEqual(until);
      expect(next.manifest.nextOffset).toBe(2);
    });

    test("adopted counts are durable", async () => {
      const store = await take(await openDataset());
      await store.adopt([{ count: 8, from: 0 }]);
      await store.adopt([]);
      expect((await takeAnew()).manifest.counts).toEqual([{ count: 8, from: 0 }]);
    });

    test("a window that was kept is there for a window of that size, and none above the next offset", async () => {
      const store = await take(await openDataset());
      const window = new DedupWindow(100, 1);
      window.seen("an id", { offset: 0, redrives: 0 });
      store.saveWindow(window);
      await write(store, { nextOffset: 1 });
      await store.flush("now");
      await until("the window is kept", async () => (await takeAnew()).loadWindow(100)?.nextOffset === 1);
      expect((await takeAnew()).loadWindow(99)).toBeNull();
      window.seen("another", { offset: 5, redrives: 0 });
      store.saveWindow(window);
      const kept = (await takeAnew()).loadWindow(100);
      expect(kept === null || kept.nextOffset === 1).toBe(true);
    });

    test("of two that note the same count, or the topic's id, the first stands for both", async () => {
      const [one, other] = [await (await openDataset()).tree(), await (await openDataset()).tree()];
      expect(one.counts()).toEqual([]);
      expect(one.topicId()).toBeNull();
      await one.addCount({ count: 2, ends: [0, 0] });
      await other.addCount({ count: 2, ends: [5, 5] });
      await one.addTopicId("t1");
      await other.addTopicId("t2");
      await other.addCount({ count: 3, ends: [5, 5, 0] });
      for (const tree of [other, await (await openDataset()).tree()]) {
        expect(tree.counts()).toEqual([{ count: 2, ends: [0, 0] }, { count: 3, ends: [5, 5, 0] }]);
        expect(tree.topicId()).toBe("t1");
      }
    });

    test("a tree knows what the owners of its partitions have erased, and where they stand", async () => {
      const dataset = await openDataset();
      await (await dataset.tree()).addCount({ count: 4, ends: [0, 0, 0, 0] });
      const store = await take(dataset);
      const before = (await (await openDataset()).tree()).state(4);
      await write(store, { nextOffset: 2, files: { [PATH]: [line("a", "me")] } });
      await store.flush("now");
      await store.erase({ subjects: ["subject of me"], at: 77, offset: 2, nextOffset: 3 }, TOOLS);
      const tree = await (await openDataset()).tree();
      expect(tree.erasedIn(3).get("subject of me")).toEqual({ offset: 2, at: 77 });
      expect(tree.nextOffsetOf(3)).toBe(3);
      expect(tree.nextOffsetOf(2)).toBeNull();
      expect(tree.state(4)).not.toBe(before);
    });

    test("it is called the same by whoever asks, and refuses another DEDUP_WINDOW", async () => {
      const { id, dedupWindow } = await (await openDataset()).identity();
      expect(dedupWindow).toBe(100);
      const other = await openDataset({ dedupWindow: 50 });
      expect((await other.identity()).id).toBe(id);
      await expect(other.open(3, 0)).rejects.toMatchObject({ code: "dataset_window" });
    });
  });
}
