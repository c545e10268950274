import { describe, expect, it } from "vitest";
import { systemClock } from "../../../runtime/clock.ts";
import { NOBODY } from "../../record/erasure.ts";
import { AddedLines } from "../core/added_lines.ts";
import { Bucket } from "./bucket.ts";
import { MemoryBucket, memoryStore } from "./fixtures/memory_store.ts";
import { LEAVING_MS } from "../core/commit_state.ts";
import { objectLines } from "./lines.ts";

/** Builds that are deleted, and objects that are joined, by commands that are killed between any two requests. */

const DAY = "event=generation_failed/date=2025-11-30";
const config = { objectBytes: 10_000, objectAgeMs: 30_000, compression: "gzip" as const };

class Killed extends Error {}

/** A command on the bucket that is killed before its request of that number; 0: never. */
function commandOn(objects: MemoryBucket, { dieAt = 0, now = systemClock.now, objectBytes = 10_000 } = {}) {
  let requests = 0;
  const store = memoryStore(objects, {
    step: (what) => {
      if (what.startsWith("answer") || ++requests !== dieAt) return Promise.resolve();
      return Promise.reject(new Killed());
    },
  });
  return new Bucket(store, { config: { ...config, objectBytes }, clock: { ...systemClock, now } });
}

/** A build with `commits` commits of one line each. */
async function fill(dataset: Awaited<ReturnType<Bucket["at"]>>, commits: number): Promise<void> {
  const identity = { id: "d", createdAt: "2025-11-30T00:00:00.000Z", dedupWindow: 10 };
  await dataset.make({ identity, note: new TextEncoder().encode("building") });
  const store = await dataset.build(0, { firstOffset: 0, erased: NOBODY });
  for (let n = 1; n <= commits; n++) {
    const added = new AddedLines();
    const line = {
      timestamp: "2025-11-30T16:38:21.968Z",
      event: "generation_failed",
      failure_reason: null,
      input_prompt: `prompt ${n} ${"a".repeat(100)}`,
      distinct_id: "somebody",
    };
    added.add(`${JSON.stringify(line)}\n`, { reason: null, promptLength: 5, placeholders: [] });
    const additions = new Map([[`${DAY}/p00000-0000.jsonl`, added]]);
    await store.advance({ nextOffset: n, additions, letters: [], sanitiserVersion: "1" });
    await store.flush("now");
  }
  store.close();
}

/** A current build, one of before, and one that no replay has ended. */
async function world() {
  const objects = new MemoryBucket();
  const bucket = commandOn(objects);
  const first = (await bucket.first())!;
  await fill(first, 6);
  await first.removeNote();
  const second = bucket.beside("2025-11-30T17:00:00.000Z");
  await fill(second, 6);
  await bucket.seal([0]);
  expect(await bucket.switchTo(second.place)).toBe(true);
  await second.removeNote();
  const third = bucket.beside("2025-11-30T18:00:00.000Z");
  await fill(third, 6);
  const [before, current, interrupted] = [first, second, third].map(({ place }) => place.split("/").at(-1)!);
  return { objects, before: before!, current: current!, interrupted: interrupted! };
}

async function linesOf(objects: MemoryBucket, build: string): Promise<string[]> {
  const store = memoryStore(objects);
  const lines: string[] = [];
  for (const path of Object.keys((await commandOn(objects).at(`memory/${build}`).sizes())!)) {
    for await (const some of objectLines(store, { build, path })) {
      lines.push(...some.map((line) => new TextDecoder().decode(line)));
    }
  }
  return lines.sort();
}

const objectsOf = (objects: MemoryBucket, build: string) => objects.keys(`${build}/event=`);
const isOf = async (objects: MemoryBucket, build: string) =>
  (await commandOn(objects).builds()).find((one) => one.build === build)?.is;

/** Kills it before every request, each time in a world of its own, until it comes to its end. */
async function killedAnywhere(
  act: (bucket: Bucket, one: Awaited<ReturnType<typeof world>>) => Promise<unknown>,
  look: (one: Awaited<ReturnType<typeof world>>) => Promise<void>,
): Promise<number> {
  for (let dieAt = 1;; dieAt++) {
    const one = await world();
    const end = await act(commandOn(one.objects, { dieAt }), one).catch((error) => error);
    if (!(end instanceof Killed)) return dieAt;
    await look(one);
  }
}

describe("a build that is deleted", () => {
  it.each(["before", "interrupted"] as const)(
    "and was one that is %s leaves nothing, wherever the command is killed, once it has run again",
    async (which) => {
      const deaths = await killedAnywhere(
        (bucket, one) => bucket.discard(one[which]),
        async ({ objects, [which]: build, current }) => {
          const is = await isOf(objects, build);
          // Half of it is never taken for a build that others may read or erase from.
          if (is === which) expect(await linesOf(objects, build)).toHaveLength(6);
          else expect(["left", undefined]).toContain(is);
          await commandOn(objects).discard(build);
          expect(objects.keys(`${build}/`)).toEqual([]);
          expect(await isOf(objects, build)).toBe(undefined);
          expect(await linesOf(objects, current)).toHaveLength(6);
        },
      );
      expect(deaths).toBeGreaterThan(5);
    },
  );

  it.each(["its commits", "its lines"])(
    "and has lost only some of %s is no build, and goes",
    async (first) => {
      const whole = await world();
      const count = whole.objects.keys(`${whole.before}/`).length;
      for (let deleted = 1; deleted < count; deleted++) {
        const { objects, before } = await world();
        const store = memoryStore(objects);
        const dies = {
          ...store,
          async remove(keys: readonly string[]) {
            if (keys.length === 1) return await store.remove(keys);
            const ordered = first === "its commits" ? keys : keys.toReversed();
            await store.remove(ordered.slice(0, deleted));
            throw new Killed();
          },
        };
        await expect(new Bucket(dies, { config, clock: systemClock }).discard(before)).rejects.toThrow(
          Killed,
        );
        expect(await isOf(objects, before)).toBe("left");
        await commandOn(objects).discard(before);
        expect(objects.keys(`${before}/`)).toEqual([]);
      }
    },
  );

  it("is told with its objects and bytes, and the current one never is", async () => {
    const { objects, before, current } = await world();
    const keys = objects.keys(`${before}/`);
    const bytes = keys.reduce((sum, key) => sum + objects.objects.get(key)!.bytes.length, 0);
    expect(await commandOn(objects).discard(before)).toEqual({ objects: keys.length, bytes });
    expect(await commandOn(objects).discard(current)).toBe(null);
    expect(await linesOf(objects, current)).toHaveLength(6);
  });

  it("and that a writer of long ago puts something into is no build, and goes again", async () => {
    const { objects, before } = await world();
    const late = objectsOf(objects, before)[5]!;
    const bytes = objects.objects.get(late)!.bytes;
    await commandOn(objects).discard(before);
    objects.write(late, bytes);
    expect(await isOf(objects, before)).toBe("left");
    await commandOn(objects).discard(before);
    expect(objects.keys(`${before}/`)).toEqual([]);
  });
});

it("what others keep below the prefix is no build", async () => {
  const { objects, before, current, interrupted } = await world();
  for (const key of ["notes.txt", "exports/a.jsonl", "other/_builds/0000000001.json", "other/event=x/y"]) {
    objects.write(key, new Uint8Array(1));
  }
  expect(Object.fromEntries((await commandOn(objects).builds()).map(({ build, is }) => [build, is]))).toEqual(
    {
      [before]: "before",
      [current]: "current",
      [interrupted]: "interrupted",
    },
  );
});

describe("a compaction", () => {
  it("that is killed anywhere leaves the lines, and run again what it would have left", async () => {
    const compact = (bucket: Bucket) => Array.fromAsync(bucket.compact("2026-01-01"));
    const deaths = await killedAnywhere(compact, async ({ objects, current }) => {
      expect(await linesOf(objects, current)).toHaveLength(6);
      const days = (await compact(commandOn(objects))).flat();
      expect(days).toEqual([expect.objectContaining({ date: "2025-11-30", after: 1 })]);
      expect(await linesOf(objects, current)).toHaveLength(6);
      // An hour later, with what nobody named.
      const later = commandOn(objects, { now: () => Date.now() + LEAVING_MS });
      await compact(later);
      expect(objectsOf(objects, current)).toHaveLength(1);
    });
    expect(deaths).toBeGreaterThan(10);
  });

  it("fills an object by its lines, however small they are when packed", async () => {
    const { objects, current } = await world();
    // Each line is 230 bytes or so, and packed the six would fit.
    const small = commandOn(objects, { objectBytes: 600 });
    expect((await Array.fromAsync(small.compact("2026-01-01"))).flat()).toEqual([
      { event: "generation_failed", date: "2025-11-30", before: 6, after: 3 },
    ]);
    expect((await Array.fromAsync(small.compact("2026-01-01"))).flat()).toMatchObject([{
      before: 3,
      after: 3,
    }]);
    expect(await linesOf(objects, current)).toHaveLength(6);
  });
});

it("a search of everything passes over what goes while it looks", async () => {
  const { objects, before } = await world();
  const gone = objectsOf(objects, before)[0]!;
  const found: string[] = [];
  for await (const { key, lines } of commandOn(objects).everything()) {
    objects.objects.delete(gone);
    if ((await Array.fromAsync(lines)).length > 0) found.push(key);
  }
  expect(found).toContain(objectsOf(objects, before)[0]);
  expect(found).not.toContain(gone);
});
