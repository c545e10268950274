import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DEAD_LETTER_TOPIC } from "../../contract/names.ts";
import { datasetLines } from "../../tests/support/pipeline.ts";
import { MemoryLog } from "../../tests/support/memory_log.ts";
import { DEAD_LETTER_TOPIC_SPEC, WEBHOOKS_TOPIC_SPEC } from "../../topic/raw_topics.ts";
import { erasure, failure, personIn, publish } from "./fixtures/records.ts";
import { exists, hashes, readFiles, readManifests, sums, writeAllOf } from "./fixtures/run.ts";

const PARTITION = 3;
const jane = personIn(PARTITION, 1);
const carl = personIn(PARTITION, 2);
const AT = "2025-11-30T18:00:00.000Z";

let dataDir: string;
let log: MemoryLog;

beforeEach(async () => {
  dataDir = await Deno.makeTempDir();
  log = await newLog();
});
afterEach(async () => {
  await log.close();
  await Deno.remove(dataDir, { recursive: true });
});

async function newLog(options = {}): Promise<MemoryLog> {
  const made = new MemoryLog(options);
  await made.ensureTopic(WEBHOOKS_TOPIC_SPEC);
  await made.ensureTopic(DEAD_LETTER_TOPIC_SPEC);
  return made;
}

const erase = (distinctIds: readonly string[]) =>
  erasure(distinctIds.map((distinctId) => hashes.subject(distinctId)), { at: AT, partition: PARTITION });
const days = ["2025-11-28T10:00:00Z", "2025-11-29T10:00:00Z", "2025-11-30T10:00:00Z"];
const linesOf = (distinctId: string, from: number) =>
  days.map((timestamp, n) => failure(from + n, { distinctId, timestamp }));

describe("an erasure", () => {
  it("takes the person's lines out of every file and leaves the others' byte for byte", async () => {
    await publish(log, [...linesOf(jane, 10), ...linesOf(carl, 20), ...linesOf(jane, 30).slice(0, 1)]);
    await writeAllOf({ log, dataDir });
    const carls = Object.values(readFiles(dataDir)).map((text) =>
      text.split("\n").filter((line) => line.includes(carl))
    );
    await publish(log, [erase([jane])]);
    await writeAllOf({ log, dataDir });
    expect(Object.values(readFiles(dataDir)).map((text) => text.trimEnd().split("\n"))).toEqual(carls);
    const manifest = readManifests(dataDir)[`p0000${PARTITION}.json`]!;
    expect(manifest.nextOffset).toBe(8);
    for (const [path, text] of Object.entries(readFiles(dataDir))) {
      expect(manifest.files[path]).toMatchObject({ bytes: text.length, records: 1 });
    }
    expect(JSON.stringify(Deno.readTextFileSync(join(dataDir, "dataset", "_manifest", "p00003.erased.json"))))
      .not.toContain(jane);
  });

  it("stands alone in its chunk: what is polled with it is written before and after", async () => {
    await publish(log, [
      ...linesOf(jane, 10),
      erase([jane]),
      ...linesOf(carl, 20),
      failure(40, { distinctId: jane }),
    ]);
    await writeAllOf({ log, dataDir });
    expect(new Set(datasetLines(dataDir).map((line) => line.distinct_id))).toEqual(new Set([carl]));
    const day = { distinctId: jane, timestamp: "2025-12-01T08:00:00Z", receivedAt: Date.UTC(2025, 11, 1, 9) };
    await publish(log, [failure(50, day)]);
    await writeAllOf({ log, dataDir });
    expect(datasetLines(dataDir).filter((line) => line.distinct_id === jane)).toHaveLength(1);
  });

  it("keeps late events of the person out after a restart, and what they do later is new data", async () => {
    await publish(log, [...linesOf(jane, 10), erase([jane])]);
    await writeAllOf({ log, dataDir });
    const receivedAt = Date.UTC(2025, 11, 1, 9);
    await publish(log, [
      failure(60, { distinctId: jane, timestamp: "2025-11-30T17:59:59.999Z", receivedAt }),
      failure(61, { distinctId: jane, timestamp: AT, receivedAt }),
      failure(62, { distinctId: jane, timestamp: "2025-11-30T18:00:00.001Z", receivedAt }),
      failure(63, { distinctId: jane, timestamp: null, receivedAt }),
      failure(64, { distinctId: jane, timestamp: null, receivedAt: Date.parse(AT) - 1 }),
    ]);
    const run = await writeAllOf({ log, dataDir });
    expect(datasetLines(dataDir).map((line) => line.timestamp).sort()).toEqual([
      "2025-11-30T18:00:00.001Z",
      "2025-12-01T09:00:00.000Z",
    ]);
    expect(run.count("ignored", "erased")).toBe(3);
  });

  it("makes no dead letter of an erased person's late record", async () => {
    await publish(log, [erase([jane]), failure(60, { distinctId: jane, prompt: 5 })]);
    await writeAllOf({ log, dataDir });
    expect(log.records(DEAD_LETTER_TOPIC)).toEqual([]);
  });

  it("finds the lines that carry a pseudonym, and an id that only looks like one", async () => {
    const address = "jane@example.com";
    const subject = hashes.subject(address);
    const looksLike = `person-${"a".repeat(32)}`;
    const at = { at: AT, partition: 0 };
    const other = await newLog();
    for (const partition of [0, 1, 2, 3, 4, 5]) {
      await publish(other, [{ ...failure(70 + partition, { distinctId: address }), partition }]);
      await publish(other, [{ ...failure(80 + partition, { distinctId: looksLike }), partition }]);
      await publish(other, [erasure([subject, hashes.subject(looksLike)], { ...at, partition })]);
    }
    await writeAllOf({ log: other, dataDir });
    expect(datasetLines(dataDir)).toEqual([]);
    await other.close();
  });

  it("reaches the sealed files of closed offset ranges", async () => {
    const jump = [0, 0, 250_000];
    const other = await newLog({ gapBefore: () => jump.shift() ?? 0 });
    await publish(other, [
      failure(1, { distinctId: jane }),
      failure(2, { distinctId: carl }),
      failure(3, { distinctId: carl }),
    ]);
    await writeAllOf({ log: other, dataDir });
    await publish(other, [erase([jane]), failure(4, { distinctId: carl })]);
    await writeAllOf({ log: other, dataDir });
    expect(Object.values(readFiles(dataDir)).map((text) => text.split("\n").length - 1)).toEqual([1, 2]);
    expect(datasetLines(dataDir).every((line) => line.distinct_id === carl)).toBe(true);
    await writeAllOf({ log: other, dataDir });
    await other.close();
  });

  it("takes the placeholders of the lines that go off the manifest's counts", async () => {
    const prompt = "a@b.example and c@d.example";
    await publish(log, [
      failure(1, { distinctId: jane, prompt }),
      failure(2, { distinctId: carl, prompt: "a@b.example" }),
    ]);
    await writeAllOf({ log, dataDir });
    await publish(log, [erase([jane])]);
    await writeAllOf({ log, dataDir });
    const [entry] = Object.values(readManifests(dataDir)["p00003.json"]!.files);
    expect(entry).toMatchObject({ records: 1, placeholders: { EMAIL_ADDRESS: 1 } });
  });

  it("is never taken for a repeat, and one again erases what came meanwhile", async () => {
    await publish(log, [...linesOf(jane, 10), erase([jane])]);
    await publish(log, [failure(50, { distinctId: jane, timestamp: "2025-11-30T18:30:00Z" })]);
    const later = {
      ...erasure([hashes.subject(jane)], { at: "2025-11-30T19:00:00.000Z", partition: PARTITION }),
    };
    await publish(log, [later]);
    await writeAllOf({ log, dataDir });
    expect(datasetLines(dataDir)).toEqual([]);
  });

  it("that cannot be read is set aside and said loudly", async () => {
    await publish(log, [
      { ...erase([jane]), value: new TextEncoder().encode('{"event":"$erase"}') },
      failure(1),
    ]);
    const run = await writeAllOf({ log, dataDir });
    expect(log.records(DEAD_LETTER_TOPIC).map((record) => record.headers.step)).toEqual(["erase"]);
    expect(run.messages).toContainEqual(expect.objectContaining({ kind: "log", level: "error" }));
    expect(datasetLines(dataDir)).toHaveLength(1);
  });

  it("leaves nothing behind beside the files: no temporary file, no manifest that still says erasing", async () => {
    await publish(log, [...linesOf(jane, 10), erase([jane]), ...linesOf(carl, 20)]);
    await writeAllOf({ log, dataDir });
    const directory = join(dataDir, "dataset", "_manifest");
    expect(exists(join(directory, "p00003.erasing"))).toBe(false);
    expect(Deno.readTextFileSync(join(directory, "p00003.json"))).not.toContain("erasing");
    expect([...Deno.readDirSync(directory)].filter((entry) => entry.name.endsWith(".tmp"))).toEqual([]);
  });

  it("gives the bytes of a dataset that never held the person", async () => {
    const all = Array.from(
      { length: 60 },
      (_, n) => failure(n, { distinctId: n % 3 === 0 ? jane : carl, timestamp: days[n % 3]! }),
    );
    await publish(log, all);
    await writeAllOf({ log, dataDir });
    await publish(log, [erase([jane])]);
    await writeAllOf({ log, dataDir });
    const other = await newLog();
    const directory = await Deno.makeTempDir();
    await publish(other, all.filter((_, n) => n % 3 !== 0));
    await writeAllOf({ log: other, dataDir: directory });
    expect(sums(dataDir)).toEqual(sums(directory));
    await other.close();
    await Deno.remove(directory, { recursive: true });
  });
});
