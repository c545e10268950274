import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MemoryLog } from "../../tests/support/memory_log.ts";
import { DEAD_LETTER_TOPIC_SPEC, WEBHOOKS_TOPIC_SPEC } from "../../topic/raw_topics.ts";
import { readManifest, saveManifest } from "./files/manifest.ts";
import { CurrentFiles, datasetRoot } from "./files/reader.ts";
import { erasure, failure, personIn, publish, RECEIVED_AT, use } from "./fixtures/records.ts";
import { DatasetView } from "./reading/listing.ts";
import { hashes, readManifests, writeAllOf, type WriterSettings } from "./fixtures/run.ts";

/** What the manifests count of lines beside their number, over everything that rewrites manifests. */

const PARTITION = 3;
const jane = personIn(PARTITION, 1);
const carl = personIn(PARTITION, 2);

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

async function newLog(): Promise<MemoryLog> {
  const made = new MemoryLog();
  await made.ensureTopic(WEBHOOKS_TOPIC_SPEC);
  await made.ensureTopic(DEAD_LETTER_TOPIC_SPEC);
  return made;
}

const view = () => new DatasetView(new CurrentFiles(join(dataDir, "dataset")));
const root = () => datasetRoot(join(dataDir, "dataset"))!;
const handled = async () => (await view().handled()).get(PARTITION)!;
const erase = (distinctId: string) =>
  erasure([hashes.subject(distinctId)], { at: "2026-01-01T00:00:00.000Z", partition: PARTITION });
/** Everything below `_manifest/`. */
function manifestTexts(): string {
  const directory = join(root(), "_manifest");
  return [...Deno.readDirSync(directory)].filter(({ isFile }) => isFile)
    .map(({ name }) => new TextDecoder().decode(Deno.readFileSync(join(directory, name)))).join("\n");
}
/** Entries that hold lines, and when records were received. */
function counted(directory: string): unknown {
  return Object.values(readManifests(directory)).map(({ files, received }: Record<string, unknown>) => [
    Object.fromEntries(
      Object.entries(files as Record<string, { records: number }>).filter(([, { records }]) => records > 0),
    ),
    received,
  ]);
}

describe("what is counted of lines", () => {
  it("is the same however the records are cut into chunks and their entries sealed", async () => {
    const records = Array.from({ length: 300 }, (_, n) =>
      failure(n, {
        distinctId: n % 2 === 0 ? jane : carl,
        reason: n % 9 === 0 ? null : `reason ${n * 17 % 60}`,
        timestamp: `2025-11-${String(1 + n % 12).padStart(2, "0")}T00:00:00Z`,
        receivedAt: RECEIVED_AT + n * 20_000,
        prompt: "p".repeat(n),
      }));
    const ways: Partial<WriterSettings>[] = [
      {},
      { chunkRecordsMax: 1, manifestEntriesMax: 4 },
      { chunkRecordsMax: 17, manifestEntriesMax: 2 },
    ];
    const found: unknown[] = [];
    for (const way of ways) {
      const directory = join(dataDir, String(found.length));
      const other = await newLog();
      await publish(other, [...records, erase(jane), ...records.slice(0, 3)]);
      await writeAllOf({ log: other, dataDir: directory, ...way });
      await other.close();
      found.push(counted(directory));
    }
    expect(JSON.stringify(found[0])).toContain('"reason ');
    for (const one of found) expect(one).toEqual(found[0]);
  });

  it("after an erasure is that of the lines that are left: no reason of theirs, and the ones behind it come up", async () => {
    const reasons = Array.from({ length: 20 }, (_, n) => `only Jane said ${n}`);
    await publish(log, [
      ...reasons.map((reason, n) => failure(n, { distinctId: jane, reason })),
      failure(30, { distinctId: carl, reason: "timeout", prompt: "p".repeat(100) }),
    ]);
    await writeAllOf({ log, dataDir });
    expect(await view().figures()).toMatchObject({ otherReasons: 1, uncounted: 0 });
    await publish(log, [erase(jane)]);
    await writeAllOf({ log, dataDir });
    expect(await view().figures()).toMatchObject({
      reasons: [{ reason: "timeout", lines: 1 }],
      otherReasons: 0,
      uncounted: 0,
      // What was written is not less by it.
      ever: { records: 22, lines: 21, duplicates: 0 },
    });
    expect((await view().figures()).promptLengths.filter(({ lines }) => lines > 0)).toEqual([{
      upTo: 128,
      lines: 1,
    }]);
    expect(manifestTexts()).not.toContain("Jane said");
  });

  it("lacks what an earlier version wrote, and says how much; an erasure counts what it writes anew", async () => {
    const write = async (from: number, distinctId: string) => {
      await publish(log, [failure(from, { distinctId }), failure(from + 1, { distinctId })]);
      await writeAllOf({ log, dataDir });
    };
    await write(1, carl);
    await write(3, jane);
    const { received: _, ...manifest } = readManifest(root(), PARTITION)!;
    const files = Object.fromEntries(
      Object.entries(manifest.files).map(([path, { figures: _, ...entry }]) => [path, entry]),
    );
    await saveManifest(root(), { partition: PARTITION, value: { ...manifest, files } });
    expect(await view().figures()).toMatchObject({ reasons: [], uncounted: 4 });
    await write(5, carl);
    expect(await view().figures()).toMatchObject({
      reasons: [{ reason: "timeout", lines: 2 }],
      uncounted: 4,
    });
    expect(await handled()).toMatchObject({ isWhole: false, minutes: [[RECEIVED_AT / 60_000, 2]] });
    await publish(log, [erase(jane)]);
    await writeAllOf({ log, dataDir });
    expect(await view().figures()).toMatchObject({
      reasons: [{ reason: "timeout", lines: 4 }],
      uncounted: 0,
    });
  });

  it("is refused where the manifest is damaged, as everything else of it", async () => {
    await publish(log, [failure(1, { distinctId: carl })]);
    await writeAllOf({ log, dataDir });
    const path = join(root(), "_manifest", "p00003.json");
    Deno.writeTextFileSync(path, Deno.readTextFileSync(path).replace('["timeout",1]', '["timeout",-1]'));
    await expect(view().figures()).rejects.toThrow(/Cannot read ".*p00003\.json": it is damaged/);
  });
});

describe("when records were received", () => {
  it("is counted of every record, whatever becomes of it, and by its own time", async () => {
    const receivedAt = RECEIVED_AT + 60_000;
    await publish(log, [
      failure(1, { distinctId: carl }),
      failure(1, { distinctId: carl }),
      use(2, carl),
      failure(3, { distinctId: carl, prompt: 5, receivedAt }),
      erase(jane),
    ]);
    await writeAllOf({ log, dataDir });
    const minute = RECEIVED_AT / 60_000;
    expect(await handled()).toMatchObject({
      isWhole: true,
      nextOffset: 5,
      minutes: [[minute, 3], [minute + 1, 1], [Date.UTC(2026, 0, 1) / 60_000, 1]],
    });
  });

  it("is not believed where an earlier version has gone on without counting", async () => {
    await publish(log, [failure(1, { distinctId: carl }), failure(2, { distinctId: carl })]);
    await writeAllOf({ log, dataDir });
    const value = readManifest(root(), PARTITION)!;
    await saveManifest(root(), {
      partition: PARTITION,
      value: { ...value, received: { ...value.received!, to: 1 } },
    });
    expect(await handled()).toMatchObject({ isWhole: false, minutes: [] });
  });
});

describe("days", () => {
  it("are the newest that have lines, all events of a day together", async () => {
    const config = { trainingEvents: ["generation_failed", "again"] };
    await publish(
      log,
      [1, 2, 3].flatMap((day) =>
        ["generation_failed", "again"].map((event, n) =>
          failure(day * 10 + n, {
            distinctId: `person ${day} ${n}`,
            event,
            timestamp: `2025-11-0${day}T00:00:00Z`,
            prompt: "write to a@b.example",
          })
        )
      ),
    );
    await writeAllOf({ log, dataDir, config });
    const day = (date: string) => ({ date, records: 2, placeholders: { EMAIL_ADDRESS: 2 } });
    expect(await view().days(90)).toMatchObject(["2025-11-01", "2025-11-02", "2025-11-03"].map(day));
    expect(await view().days(2)).toMatchObject(["2025-11-02", "2025-11-03"].map(day));
    expect(await new DatasetView(new CurrentFiles(join(dataDir, "none"))).days(90)).toEqual([]);
  });
});
