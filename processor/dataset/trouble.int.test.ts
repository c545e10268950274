import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DEAD_LETTER_TOPIC, WEBHOOKS_TOPIC } from "../../contract/names.ts";
import { datasetLines } from "../../tests/support/pipeline.ts";
import { MemoryLog } from "../../tests/support/memory_log.ts";
import { until } from "../../tests/support/until.ts";
import { DEAD_LETTER_TOPIC_SPEC, WEBHOOKS_TOPIC_SPEC } from "../../topic/raw_topics.ts";
import { NoLeaderError } from "../../topic/topic.ts";
import { erasure, failure, personIn, publish } from "./fixtures/records.ts";
import { hashes, readFiles, startWriter, sums, writeAllOf } from "./fixtures/run.ts";

const distinctId = personIn(3);
const PATH = "event=generation_failed/date=2025-11-30/p00003-0000.jsonl";

let dataDir: string;
let log: MemoryLog;

beforeEach(async () => {
  dataDir = await Deno.makeTempDir();
  log = new MemoryLog();
  await log.ensureTopic(WEBHOOKS_TOPIC_SPEC);
  await log.ensureTopic(DEAD_LETTER_TOPIC_SPEC);
});
afterEach(async () => {
  await log.close();
  await Deno.remove(dataDir, { recursive: true });
});

const failures = (...numbers: number[]) => numbers.map((n) => failure(n, { distinctId }));

describe("a partition without a leader", () => {
  it("stops no other one that is opened meanwhile, and its erasures take lines out once it is back", async () => {
    const [jane, carl] = [personIn(3), personIn(3, 1)];
    await publish(log, [
      failure(1, { distinctId: jane }),
      failure(2, { distinctId: carl }),
      erasure([hashes.subject(jane)], { at: "2025-11-30T18:00:00.000Z", partition: 1 }),
    ]);
    const first = startWriter({ log, dataDir });
    await first.caughtUp();
    await first.stop();
    // Begun on records that were there: erasures are looked for in all partitions.
    expect(datasetLines(dataDir)).toHaveLength(1);

    const later = personIn(3, 2);
    await publish(log, [
      failure(3, { distinctId: later }),
      failure(4, { distinctId: carl }),
      erasure([hashes.subject(later)], { at: "2025-11-30T18:00:00.000Z", partition: 1, n: 1 }),
    ]);
    const { boundsOf, bounds } = log;
    const gone = () => Promise.reject(new NoLeaderError(1, "read"));
    log.boundsOf = (topic, partition) => partition === 1 ? gone() : boundsOf.call(log, topic, partition);
    log.bounds = (topic) => topic === WEBHOOKS_TOPIC ? gone() : bounds.call(log, topic);
    const second = startWriter({ log, dataDir });
    try {
      await until("the others are written", () => datasetLines(dataDir).length === 3);
      Object.assign(log, { boundsOf, bounds });
      await second.caughtUp();
      await until("the erased has no line", () => datasetLines(dataDir).length === 2);
    } finally {
      await second.stop();
    }
  });
});

describe("a log that has lost what the dataset lacks", () => {
  it("stops the writer at its start, with what to do", async () => {
    await publish(log, failures(1, 2));
    await writeAllOf({ log, dataDir });
    const before = sums(dataDir);
    await publish(log, failures(3, 4, 5));
    log.trim(WEBHOOKS_TOPIC, { partition: 3, startOffset: 4 });
    await expect(writeAllOf({ log, dataDir })).rejects.toMatchObject({
      code: "dataset_gap",
      message: expect.stringMatching(
        /next offset is 2 and the log begins at 4, so that 2 offsets are gone unread\..*replay --take-over/,
      ),
    });
    expect(sums(dataDir)).toEqual(before);
  });

  it("is no trouble as long as only written records are gone", async () => {
    await publish(log, failures(1, 2));
    await writeAllOf({ log, dataDir });
    log.trim(WEBHOOKS_TOPIC, { partition: 3, startOffset: 2 });
    await publish(log, failures(3));
    await writeAllOf({ log, dataDir });
    expect(datasetLines(dataDir)).toHaveLength(3);
  });

  it("stops a writer that is running behind", async () => {
    const stop = new AbortController();
    const run = startWriter({
      log,
      dataDir,
      chunkRecordsMax: 1,
      faultPoint: (name) => {
        if (name !== "dataset.letters" || stop.signal.aborted) return;
        stop.abort();
        log.trim(WEBHOOKS_TOPIC, { partition: 3, startOffset: 3 });
      },
    });
    await publish(log, failures(1, 2, 3, 4));
    await expect(run.ended).rejects.toMatchObject({ code: "dataset_gap" });
    expect(datasetLines(dataDir)).toHaveLength(1);
  });

  it("stops a writer that is running behind, also where no record is left behind the gap", async () => {
    const run = startWriter({
      log,
      dataDir,
      faultPoint: (name) => {
        if (name !== "dataset.letters") return;
        // While the first record is written, two more come and go, and the end of a transaction takes an offset.
        for (let n = 0; n < 3; n++) log.endTransaction(WEBHOOKS_TOPIC, 3);
        log.trim(WEBHOOKS_TOPIC, { partition: 3, startOffset: 3 });
      },
    });
    await publish(log, failures(1));
    await expect(run.ended).rejects.toMatchObject({ code: "dataset_gap" });
    expect(datasetLines(dataDir)).toHaveLength(1);
  });

  it("is told from one that ends before the dataset does", async () => {
    await publish(log, failures(1, 2));
    await writeAllOf({ log, dataDir });
    const fresh = new MemoryLog();
    fresh.standFor(log);
    await fresh.ensureTopic(WEBHOOKS_TOPIC_SPEC);
    await fresh.ensureTopic(DEAD_LETTER_TOPIC_SPEC);
    await expect(startWriter({ log: fresh, dataDir }).ended).rejects.toMatchObject({
      code: "dataset_gap",
      message: expect.stringContaining("the log ends at 0"),
    });
    await fresh.close();
  });
});

describe("a disk that is full", () => {
  it("stalls the partition visibly, and the bytes are the same once there is room", async () => {
    await publish(log, failures(1));
    await writeAllOf({ log, dataDir });
    const file = join(dataDir, "dataset", "event=generation_failed", "date=2025-12-01", "p00003-0000.jsonl");
    Deno.mkdirSync(dirname(file), { recursive: true });
    Deno.symlinkSync("/dev/full", file);
    const nextDay = { distinctId, timestamp: "2025-12-01T10:00:00Z" };
    await publish(log, [...failures(2), failure(3, nextDay), ...failures(4), failure(1, { distinctId })]);
    const run = startWriter({ log, dataDir });
    await until("it says so", () => run.health()?.is === "failing");
    expect(run.health()?.message).toMatch(/partition 3: No space left on device/);
    await until("it has tried again", () => run.health()?.message?.includes("attempt 2"));
    expect(run.steps().some((step) => step.step === "written")).toBe(false);
    Deno.removeSync(file);
    await run.caughtUp();
    await until("it is ready", () => run.health()?.is === "ready");
    await run.stop();
    expect(run.count("lines")).toBe(3);
    const stalled = sums(dataDir);
    const other = await Deno.makeTempDir();
    await writeAllOf({ log: await copyOf(log), dataDir: other });
    expect(stalled).toEqual(sums(other));
    await Deno.remove(other, { recursive: true });
  });

  it("does not stall the other partitions", async () => {
    const file = join(dataDir, "dataset.x", PATH);
    Deno.mkdirSync(dirname(file), { recursive: true });
    const run = startWriter({ log, dataDir });
    await until("it is ready", () => run.health()?.is === "ready");
    const blocked = join(dataDir, "dataset", PATH);
    Deno.mkdirSync(dirname(blocked), { recursive: true });
    Deno.symlinkSync("/dev/full", blocked);
    await publish(log, [failure(1, { distinctId }), failure(2, { distinctId: personIn(4) })]);
    await until("the other one is written", () => run.steps().some((step) => step.step === "written"));
    Deno.removeSync(blocked);
    await run.caughtUp();
    expect(datasetLines(dataDir)).toHaveLength(2);
    await run.stop();
  });
});

describe("a log that is away while a letter is published", () => {
  it("stalls the partition; the letter goes out once, and the line behind it follows", async () => {
    let outages = 1;
    const run = startWriter({
      log,
      dataDir,
      faultPoint: (name) => {
        if (name === "dataset.manifest" && outages-- > 0) log.setAway(true);
      },
    });
    await publish(log, [failure(1, { distinctId, prompt: 5 }), ...failures(2)]);
    await until("it says so", () => run.health()?.is === "failing");
    log.setAway(false);
    await run.caughtUp();
    await run.stop();
    expect(log.records(DEAD_LETTER_TOPIC)).toHaveLength(1);
    expect(datasetLines(dataDir)).toHaveLength(1);
  });
});

describe("what Python reads", () => {
  const python = new Deno.Command("python3", { args: ["--version"], stdout: "null", stderr: "null" });
  const hasPython = (() => {
    try {
      return python.outputSync().success;
    } catch {
      return false;
    }
  })();

  it.skipIf(!hasPython)("is one record per line, by json and by splitlines (needs python3)", async () => {
    const odd = [
      "a\u2028b\u2029c\u0085d",
      "tab\tnew\nline\r\n and \u000b \u000c \u001c \u001d \u001e",
      "lone \ud800 surrogate \udfff",
      "nul \u0000 esc \u001b[31mred\u001b[0m del \u007f c1 \u009b",
      "👩‍👩‍👧 émoji 你好 \u{10ffff}",
      '"quotes" \\ and </script>',
      "",
    ];
    await publish(
      log,
      odd.flatMap((prompt, n) => [
        failure(n, { distinctId, prompt, reason: prompt }),
        failure(100 + n, { distinctId: `id ${prompt}`.slice(0, 300), prompt: "x" }),
      ]),
    );
    await writeAllOf({ log, dataDir });
    const script = `
import json, sys
count = 0
for path in sys.argv[1:]:
    text = open(path, "rb").read().decode("utf-8")
    lines = text.splitlines()
    assert len(lines) == text.count("\\n"), path
    for line in lines:
        row = json.loads(line)
        assert list(row) == ["timestamp", "event", "failure_reason", "input_prompt", "distinct_id"], row
        json.dumps(row, ensure_ascii=False).encode("utf-8")
        count += 1
print(count)
`;
    const files = Object.keys(readFiles(dataDir)).map((path) => join(dataDir, "dataset", path));
    const { success, stdout, stderr } = await new Deno.Command("python3", { args: ["-c", script, ...files] })
      .output();
    expect(new TextDecoder().decode(stderr)).toBe("");
    expect(success).toBe(true);
    expect(Number(new TextDecoder().decode(stdout))).toBe(odd.length * 2);
  });
});

async function copyOf(source: MemoryLog): Promise<MemoryLog> {
  const copy = new MemoryLog();
  await copy.ensureTopic(WEBHOOKS_TOPIC_SPEC);
  await copy.ensureTopic(DEAD_LETTER_TOPIC_SPEC);
  for (let partition = 0; partition < 6; partition++) {
    const records = source.records(WEBHOOKS_TOPIC, partition);
    if (records.length > 0) await copy.publish(WEBHOOKS_TOPIC, records);
  }
  return copy;
}
