import fc from "fast-check";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { EnvelopeRecord } from "../../contract/envelope.ts";
import { noFaultPoint } from "../../runtime/fault_point.ts";
import { until } from "../../tests/support/until.ts";
import { Spool, SpoolFullError, type SpoolOptions } from "./spool.ts";
import { encodeFrame } from "./frame.ts";

let directory: string;
let said: string[];
beforeEach(async () => {
  directory = join(await Deno.makeTempDir({ prefix: "spool-" }), "spool");
  said = [];
});
afterEach(() => Deno.remove(join(directory, ".."), { recursive: true }));

const all = { recordsMax: 500, bytesMax: 4 * 1024 * 1024 };

describe("what was appended", () => {
  test("comes back in its order, byte for byte, with its received time", async () => {
    const spool = await open();
    await Promise.all(
      ["a", "b", "c"].map((text, index) => spool.append(record(text, { timestamp: index + 7 }))),
    );
    const batch = await spool.read(all);
    expect(batch?.records.map(textOf)).toEqual(["a", "b", "c"]);
    expect(batch?.records.map(({ timestamp }) => timestamp)).toEqual([7, 8, 9]);
    expect(batch?.records[0]?.headers).toEqual({ id: "a" });
    await spool.close();
  });

  test("is there after a close and an open, and is counted", async () => {
    await fill(["a", "b"]);
    const again = await open();
    expect(again.pendingRecords).toBe(2);
    await again.append(record("c"));
    expect(await drain(again)).toEqual(["a", "b", "c"]);
    await again.close();
  });

  test("shares one fsync with whatever is appended at the same time", async () => {
    let flushes = 0;
    const spool = await open({ faultPoint: (name) => name === "spool.appended" && flushes++ });
    await Promise.all(Array.from({ length: 200 }, (_, index) => spool.append(record(String(index)))));
    expect(flushes).toBe(1);
    expect(spool.pendingRecords).toBe(200);
    await spool.close();
  });

  test("is answered only after its fsync has succeeded", async () => {
    const steps: string[] = [];
    const real = Deno.FsFile.prototype.syncData;
    const spy = vi.spyOn(Deno.FsFile.prototype, "syncData").mockImplementation(
      async function (this: Deno.FsFile) {
        await real.call(this);
        steps.push("synced");
      },
    );
    const spool = await open();
    await spool.append(record("a")).then(() => steps.push("answered"));
    expect(steps).toEqual(["synced", "answered"]);
    spy.mockRejectedValueOnce(new Error("I/O error"));
    await expect(spool.append(record("b"))).rejects.toThrow("I/O error");
    await spool.append(record("c"));
    spy.mockRestore();
    expect(await drain(spool)).toEqual(["a", "c"]);
    await spool.close();
  });

  test("comes in batches of the asked size, the same batch again until it is marked", async () => {
    const spool = await open();
    for (const text of ["a", "b", "c"]) await spool.append(record(text));
    const two = { ...all, recordsMax: 2 };
    expect((await spool.read(two))?.records.map(textOf)).toEqual(["a", "b"]);
    const batch = (await spool.read(two))!;
    expect(batch.records.map(textOf)).toEqual(["a", "b"]);
    await spool.markDrained(batch);
    expect((await spool.read(two))?.records.map(textOf)).toEqual(["c"]);
    await spool.close();
  });

  test("is read whole where one record alone is larger than the asked bytes", async () => {
    const spool = await open();
    await spool.append(record("x".repeat(5_000)));
    expect((await spool.read({ recordsMax: 10, bytesMax: 100 }))?.records.map(textOf)).toEqual([
      "x".repeat(5_000),
    ]);
    await spool.close();
  });
});

describe("what was drained", () => {
  test("does not come back after an open, and its file is gone", async () => {
    const spool = await open();
    await spool.append(record("a"));
    await drain(spool);
    expect(spool.pendingRecords).toBe(0);
    expect(spool.bytes).toBe(0);
    expect(await names()).toEqual(["mark.json"]);
    await spool.append(record("b"));
    await spool.close();
    const again = await open();
    expect(await drain(again)).toEqual(["b"]);
    await again.close();
  });

  test("comes back where the mark was lost: repeats are allowed, loss is not", async () => {
    const spool = await open();
    for (const text of ["a", "b"]) await spool.append(record(text));
    await spool.markDrained((await spool.read({ ...all, recordsMax: 1 }))!);
    await spool.close();
    await Deno.remove(join(directory, "mark.json"));
    const again = await open();
    expect(await drain(again)).toEqual(["a", "b"]);
    await again.close();
  });

  test("never hides a later record behind an old mark, however the two meet", async () => {
    const spool = await open();
    for (const text of ["a", "b", "c"]) await spool.append(record(text));
    await drain(spool);
    await spool.close();
    // The file is gone and its mark is not; a file of the same number would begin behind the mark.
    const again = await open();
    await again.append(record("d"));
    await again.close();
    const third = await open();
    expect(await drain(third)).toEqual(["d"]);
    await third.close();
  });

  test("a mark that cannot be read drains everything again", async () => {
    await fill(["a"]);
    await Deno.writeTextFile(join(directory, "mark.json"), "{");
    const again = await open();
    expect(await drain(again)).toEqual(["a"]);
    await again.close();
  });
});

describe("the files", () => {
  test("one that is drained to its end stays while an append to it is under way", async () => {
    const spool = await open();
    await spool.append(record("a"));
    const batch = (await spool.read(all))!;
    const real = Deno.FsFile.prototype.syncData;
    const gate = Promise.withResolvers<void>();
    const spy = vi.spyOn(Deno.FsFile.prototype, "syncData").mockImplementation(
      async function (this: Deno.FsFile) {
        await gate.promise;
        await real.call(this);
      },
    );
    const appended = spool.append(record("b"));
    await until("the append has reached the disk", () => spy.mock.calls.length === 1);
    await spool.markDrained(batch);
    gate.resolve();
    await appended;
    spy.mockRestore();
    expect(await drain(spool)).toEqual(["b"]);
    expect(await names()).toEqual(["mark.json"]);
    await spool.close();
  });

  test("are rotated, drained across, and deleted one by one", async () => {
    const spool = await open({ segmentBytes: 200 });
    const texts = Array.from({ length: 10 }, (_, index) => `${index}${"x".repeat(100)}`);
    for (const text of texts) await spool.append(record(text));
    expect(await names()).toHaveLength(texts.length);
    await spool.markDrained((await spool.read(all))!);
    expect(await names()).not.toContain("000000000001.spool");
    expect(await names()).toHaveLength(texts.length - 1 + 1);
    expect(await drain(spool)).toEqual(texts.slice(1));
    expect(await names()).toEqual(["mark.json"]);
    await spool.close();
  });

  test("are readable by their owner only", async () => {
    await fill(["a"]);
    for (const name of await names()) {
      expect((await Deno.stat(join(directory, name))).mode! & 0o077, name).toBe(0);
    }
  });

  test("stay within the bound, and take again once something is drained", async () => {
    const frame = encodeFrame(record("a")).length;
    const spool = await open({ bytesMax: 2 * frame, segmentBytes: frame });
    await Promise.all([spool.append(record("a")), spool.append(record("b"))]);
    await expect(spool.append(record("c"))).rejects.toThrow(SpoolFullError);
    expect(spool.state).toBe("full");
    await drain(spool);
    expect(spool.state).toBe("taking");
    await spool.append(record("d"));
    expect(await drain(spool)).toEqual(["d"]);
    await spool.close();
  });

  test("a disk that takes nothing fails the append, and the next one succeeds when it takes again", async () => {
    const spool = await open();
    await spool.append(record("a"));
    await drain(spool);
    await Deno.remove(directory, { recursive: true });
    await expect(spool.append(record("b"))).rejects.toThrow();
    expect([spool.state, spool.pendingRecords, spool.bytes]).toEqual(["failing", 0, 0]);
    await Deno.mkdir(directory);
    await spool.append(record("c"));
    expect(spool.state).toBe("taking");
    expect((await spool.read(all))?.records.map(textOf)).toEqual(["c"]);
    await spool.close();
  });
});

describe("after a crash", () => {
  const frames = ["a", "b", "c"].map((text) => encodeFrame(record(text)));
  const whole = frames.reduce((sum, frame) => sum + frame.length, 0);

  test("a tail torn at any byte is cut, everything before it is there, and new records follow", async () => {
    await fill(["a", "b", "c"]);
    const path = join(directory, await segmentName());
    const bytes = await Deno.readFile(path);
    expect(bytes.length).toBe(whole);
    const ends = [0, frames[0]!.length, frames[0]!.length + frames[1]!.length, whole];
    for (const length of [1, 7, 8, 9, ends[1]!, ends[1]! + 3, ends[2]!, ends[2]! + 1, whole - 1]) {
      await Deno.remove(directory, { recursive: true });
      await Deno.mkdir(directory);
      await Deno.writeFile(path, bytes.subarray(0, length));
      const kept = ends.filter((end) => end > 0 && end <= length).length;
      const spool = await open();
      await spool.append(record("new"));
      expect(said.filter((text) => text.includes("disk changed"))).toEqual([]);
      expect(await drain(spool), `torn at ${length}`).toEqual([...["a", "b", "c"].slice(0, kept), "new"]);
      await spool.close();
    }
  });

  test("a torn tail is gone from its file after the open, and the operator is told", async () => {
    await fill(["a", "b"]);
    const path = join(directory, await segmentName());
    await Deno.truncate(path, frames[0]!.length + 3);
    await (await open()).close();
    expect((await Deno.stat(path)).size).toBe(frames[0]!.length);
    expect(said).toEqual([expect.stringContaining("cut 3 bytes")]);
  });

  test("a tail torn behind the mark leaves nothing to drain", async () => {
    const spool = await open();
    for (const text of ["a", "b"]) await spool.append(record(text));
    await spool.markDrained((await spool.read({ ...all, recordsMax: 1 }))!);
    await spool.close();
    const path = join(directory, await segmentName());
    await Deno.truncate(path, frames[0]!.length + 5);
    const again = await open();
    expect(again.pendingRecords).toBe(0);
    expect(await drain(again)).toEqual([]);
    await again.close();
  });

  test("bytes that the disk changed are kept aside, named, and do not block", async () => {
    await fill(["a", "b", "c"]);
    const path = join(directory, await segmentName());
    const bytes = await Deno.readFile(path);
    bytes[frames[0]!.length + 20]! ^= 0xff;
    await Deno.writeFile(path, bytes);
    const spool = await open();
    await spool.append(record("d"));
    expect(await drain(spool)).toEqual(["a", "d"]);
    expect(said.join("\n")).toContain(".damaged");
    const kept = await Deno.readFile(join(directory, "refused", `1-${frames[0]!.length}.damaged`));
    expect(kept).toEqual(bytes.subarray(frames[0]!.length));
    await spool.close();
  });

  test("an empty file, made and not yet written, is no trouble", async () => {
    await Deno.mkdir(directory);
    await Deno.writeFile(join(directory, "000000000003.spool"), new Uint8Array());
    const spool = await open();
    await spool.append(record("a"));
    expect(await drain(spool)).toEqual(["a"]);
    await spool.close();
  });
});

test("appends, drains and restarts in any order lose nothing and keep the order", async () => {
  const action = fc.oneof(
    fc.record({ is: fc.constant("append" as const), count: fc.integer({ min: 1, max: 20 }) }),
    fc.record({
      is: fc.constant("drain" as const),
      recordsMax: fc.integer({ min: 1, max: 30 }),
      meanwhile: fc.integer({ min: 0, max: 30 }),
    }),
    fc.record({ is: fc.constant("restart" as const) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(action, { maxLength: 30 }), async (actions) => {
      await Deno.remove(directory, { recursive: true }).catch(() => {});
      const appended: string[] = [];
      const drained: string[] = [];
      const background: Promise<void>[] = [];
      let spool = await open({ segmentBytes: 500 });
      for (const action of actions) {
        switch (action.is) {
          case "append":
            // Not awaited: drains meet files that are being written.
            for (let n = 0; n < action.count; n++) {
              appended.push(String(appended.length));
              background.push(spool.append(record(appended.at(-1)!)));
            }
            break;
          case "drain": {
            const batch = await spool.read({ ...all, recordsMax: action.recordsMax });
            const marked = batch ? spool.markDrained(batch) : null;
            for (let n = 0; n < action.meanwhile; n++) {
              await new Promise((resolve) => setImmediate(resolve));
              appended.push(String(appended.length));
              background.push(spool.append(record(appended.at(-1)!)));
            }
            await marked;
            drained.push(...batch?.records.map(textOf) ?? []);
            break;
          }
          case "restart":
            await spool.close();
            spool = await open({ segmentBytes: 500 });
        }
      }
      await Promise.all(background);
      drained.push(...await drain(spool));
      await spool.close();
      expect(drained).toEqual(appended);
      expect((await names()).filter((name) => name.endsWith(".spool"))).toEqual([]);
    }),
    { numRuns: 60 },
  );
});

test("a record set aside can be read by a person", async () => {
  const spool = await open();
  const path = await spool.setAside(record(`{"a":"ü"}`), { at: "1-0", reason: "too large" });
  expect(JSON.parse(await Deno.readTextFile(path))).toEqual({
    reason: "too large",
    receivedAt: "1970-01-01T00:00:00.000Z",
    key: "user",
    headers: { id: `{"a":"ü"}` },
    value: `{"a":"ü"}`,
  });
  await spool.close();
});

function open(options: Partial<SpoolOptions> = {}): Promise<Spool> {
  return Spool.open({
    directory,
    bytesMax: 1024 ** 2,
    segmentBytes: 1024 ** 2,
    faultPoint: noFaultPoint,
    report: (_, text) => said.push(text),
    ...options,
  });
}

async function fill(texts: readonly string[]): Promise<void> {
  const spool = await open();
  for (const text of texts) await spool.append(record(text));
  await spool.close();
}

async function drain(spool: Spool): Promise<string[]> {
  const texts: string[] = [];
  for (let batch = await spool.read(all); batch; batch = await spool.read(all)) {
    texts.push(...batch.records.map(textOf));
    await spool.markDrained(batch);
  }
  return texts;
}

function record(text: string, { timestamp = 0 } = {}): EnvelopeRecord {
  const encoder = new TextEncoder();
  return { key: encoder.encode("user"), value: encoder.encode(text), headers: { id: text }, timestamp };
}

function textOf({ value }: EnvelopeRecord): string {
  return new TextDecoder().decode(value);
}

async function names(): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(directory), ({ name }) => name)).sort();
}

async function segmentName(): Promise<string> {
  return (await names()).find((name) => name.endsWith(".spool"))!;
}
