import { join } from "node:path";
import { systemClock } from "../../runtime/clock.ts";
import { TRACE_RECORDS_BEHIND_MAX } from "../loop/loop.ts";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DEAD_LETTER_TOPIC, WEBHOOKS_TOPIC } from "../../contract/names.ts";
import { datasetLines } from "../../tests/support/pipeline.ts";
import { MemoryLog } from "../../tests/support/memory_log.ts";
import { until } from "../../tests/support/until.ts";
import { readDeadLetterEntry } from "../../contract/dead_letter.ts";
import { DEAD_LETTER_TOPIC_SPEC, WEBHOOKS_TOPIC_SPEC } from "../../topic/raw_topics.ts";
import { failure, personIn, publish, RECEIVED_AT, recordOfBody, use, uuid } from "./fixtures/records.ts";
import { hashes, readFiles, readManifests, startWriter, sums, writeAllOf } from "./fixtures/run.ts";
import { isObject } from "../../contract/envelope.ts";

const EXAMPLE =
  '{"timestamp":"2025-11-30T16:38:21.968Z","event":"generation_failed","failure_reason":"timeout","input_prompt":' +
  '"generate a marketing email for new users","distinct_id":"019ad56c-5168-7457-bac6-82981da45fb3"}\n';

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

function letters() {
  return log.records(DEAD_LETTER_TOPIC).flatMap((record) => {
    const entry = readDeadLetterEntry(record);
    return entry.is === "letter" ? [entry.letter] : [];
  });
}

describe("a line", () => {
  const event = {
    uuid: "019ad56c-5168-7457-bac6-82981da45fb4",
    event: "generation_failed",
    distinct_id: "019ad56c-5168-7457-bac6-82981da45fb3",
    timestamp: "2025-11-30T16:38:21.968Z",
    properties: {
      failure_reason: "timeout",
      input_prompt: "generate a marketing email for new users",
      $lib: "web",
    },
  };
  const legacy = {
    hook: { id: "h", event: "action_performed", target: "https://example.test" },
    data: {
      eventUuid: event.uuid,
      event: event.event,
      distinctId: event.distinct_id,
      properties: event.properties,
      timestamp: event.timestamp,
    },
  };
  it.each([
    ["PostHog's default body", { event, person: { id: "x", name: event.distinct_id, properties: {} } }],
    ["a bare event", event],
    ["the legacy REST hook", legacy],
  ])("is the seed's, byte for byte, from %s", async (_, body) => {
    await publish(log, [recordOfBody(body)]);
    await writeAllOf({ log, dataDir });
    const files = readFiles(dataDir);
    expect(Object.values(files)).toEqual([EXAMPLE]);
    expect(Object.keys(files)[0]).toMatch(/^event=generation_failed\/date=2025-11-30\/p0000\d-0000\.jsonl$/);
  });

  it("lies under the event's own UTC day, and under the received one where that is not to be believed", async () => {
    const days = [
      ["2025-11-30T23:30:00-02:00", "2025-12-01T01:30:00.000Z"],
      ["2015-11-30T17:00:00Z", "2015-11-30T17:00:00.000Z"],
      ["2015-11-30T16:59:59Z", "2025-11-30T17:00:00.000Z"],
      ["0001-01-01T00:00:00Z", "2025-11-30T17:00:00.000Z"],
      ["9999-12-31T23:59:59Z", "2025-11-30T17:00:00.000Z"],
      ["no time at all", "2025-11-30T17:00:00.000Z"],
      [null, "2025-11-30T17:00:00.000Z"],
    ] as const;
    await publish(log, days.map(([timestamp], n) => failure(n, { timestamp, distinctId: "one" })));
    await writeAllOf({ log, dataDir });
    const lines = Object.entries(readFiles(dataDir)).flatMap(([path, text]) =>
      text.trimEnd().split("\n").map((line) => ({ path, timestamp: JSON.parse(line).timestamp as string }))
    );
    expect(lines.map((line) => line.timestamp).sort()).toEqual(days.map((day) => day[1]).sort());
    for (const { path, timestamp } of lines) expect(path).toContain(`date=${timestamp.slice(0, 10)}/`);
  });

  it("of any day that a stranger names makes no more files than ten years have days", async () => {
    const received = Date.UTC(2025, 10, 30, 17);
    // Every tenth of 12,000 days back.
    const days = Array.from(
      { length: 1_200 },
      (_, n) => new Date(received - n * 10 * 86_400_000).toISOString(),
    );
    await publish(log, days.map((timestamp, n) => failure(n, { timestamp, distinctId: "one" })));
    await writeAllOf({ log, dataDir });
    const files = readFiles(dataDir);
    expect(Object.keys(files)).toHaveLength(366);
    expect(Object.keys(files)[0]).toContain("/date=2015-12-03/");
    expect(Object.values(files).join("").split("\n")).toHaveLength(1_201);
    expect(Object.keys(Object.values(readManifests(dataDir))[0]!.files)).toHaveLength(366);
  });

  it("has null for a reason that is missing or no text", async () => {
    await publish(log, [
      failure(1, { reason: 7, distinctId: "one" }),
      failure(2, { reason: null, distinctId: "one" }),
      recordOfBody({ event: "generation_failed", distinct_id: "one", properties: { input_prompt: "p" } }),
    ]);
    await writeAllOf({ log, dataDir });
    expect(datasetLines(dataDir).map((line) => line.failure_reason)).toEqual([null, null, null]);
  });

  it("carries a pseudonym where the distinct_id is personal itself, the same for all lines of the person", async () => {
    const distinctId = "jane@example.com";
    await publish(log, [
      failure(1, { distinctId }),
      failure(2, { distinctId }),
      failure(3, { distinctId: "user-3" }),
    ]);
    await writeAllOf({ log, dataDir });
    const ids = datasetLines(dataDir).map((line) => line.distinct_id).sort();
    const pseudonym = `person-${hashes.subject(distinctId)}`;
    expect(ids).toEqual([pseudonym, pseudonym, "user-3"]);
    expect(JSON.stringify(readFiles(dataDir)) + JSON.stringify(readManifests(dataDir))).not.toContain("jane");
  });

  it("stays below DATASET_DIR whatever the event is called", async () => {
    const event = "../../escape/..";
    await publish(log, [failure(1, { event }), failure(2, { event: "e".repeat(1000) })]);
    await writeAllOf({ log, dataDir, config: { trainingEvents: [event, "e".repeat(1000)] } });
    expect(Object.keys(readFiles(dataDir)).map((path) => path.split("/")[0]!.slice(0, 30)).sort()).toEqual([
      "event=%2E%2E%2F%2E%2E%2Fescape",
      `event=${"e".repeat(24)}`,
    ]);
    expect(datasetLines(dataDir).map((line) => line.event).sort()).toEqual([event, "e".repeat(1000)].sort());
  });
});

describe("which records give a line", () => {
  it("only training events do; others are counted as ignored", async () => {
    await publish(log, [use(1), failure(2), failure(3, { event: "$pageview" })]);
    const run = await writeAllOf({ log, dataDir });
    expect(datasetLines(dataDir)).toHaveLength(1);
    expect(run.count("records")).toBe(3);
    expect(run.count("ignored", "other_event")).toBe(2);
  });

  it("a record without headers is read all the same", async () => {
    const { headers: _, ...record } = failure(1);
    await publish(log, [{ ...record, headers: {} }, { ...record, headers: {} }, failure(1)]);
    const run = await writeAllOf({ log, dataDir });
    expect(datasetLines(dataDir)).toHaveLength(1);
    expect(run.count("duplicates")).toBe(2);
  });

  it("our own unsubscribe and a webhook named $erase give none and break nothing", async () => {
    const unsubscribed = {
      key: new TextEncoder().encode("a".repeat(32)),
      value: new TextEncoder().encode('{"event":"email_unsubscribed","subject":"x","mailbox":"y"}'),
      headers: { id: uuid(1), event: "email_unsubscribed", source: "unsubscribe" },
      timestamp: RECEIVED_AT,
    };
    await publish(log, [unsubscribed, failure(2, { event: "$erase", distinctId: "user-3" }), failure(3)]);
    await writeAllOf({
      log,
      dataDir,
      config: { trainingEvents: ["generation_failed", "email_unsubscribed"] },
    });
    expect(datasetLines(dataDir)).toHaveLength(1);
    expect(letters()).toEqual([]);
  });

  it("a record emptied by an erasure is passed over", async () => {
    await publish(log, [
      { key: null, value: new Uint8Array(), headers: { event: "$scrubbed" }, timestamp: RECEIVED_AT },
    ]);
    const run = await writeAllOf({ log, dataDir });
    expect(run.count("ignored", "scrubbed")).toBe(1);
    expect(letters()).toEqual([]);
  });

  it("two training events that differ in case only are refused, for file systems that don't tell them apart", async () => {
    await expect(writeAllOf({ log, dataDir, config: { trainingEvents: ["Failed", "failed"] } }))
      .rejects.toThrow(/differ in case only/);
  });
});

describe("a repeated delivery", () => {
  it("gives one line within the window, also across a restart and with other chunk sizes", async () => {
    await publish(log, [failure(1), failure(1)]);
    await writeAllOf({ log, dataDir, chunkRecordsMax: 1 });
    await publish(log, [failure(1), failure(8, { distinctId: "user-1" })]);
    await writeAllOf({ log, dataDir, chunkRecordsMax: 7 });
    await publish(log, [failure(8, { distinctId: "user-1" })]);
    const run = await writeAllOf({ log, dataDir });
    expect(datasetLines(dataDir)).toHaveLength(2);
    expect(run.count("duplicates")).toBe(1);
  });

  it("is found again when the window's cache is gone, damaged or of another size", async () => {
    await publish(log, [failure(1)]);
    await writeAllOf({ log, dataDir });
    const manifest = join(dataDir, "dataset", "_manifest");
    const cache = [...Deno.readDirSync(manifest)].find((entry) => entry.name.endsWith(".window"))!.name;
    const bytes = Deno.readFileSync(join(manifest, cache));
    bytes[40]! ^= 1;
    Deno.writeFileSync(join(manifest, cache), bytes);
    await publish(log, [failure(1)]);
    expect((await writeAllOf({ log, dataDir })).count("duplicates")).toBe(1);
    Deno.removeSync(join(manifest, cache));
    await publish(log, [failure(1)]);
    expect((await writeAllOf({ log, dataDir })).count("duplicates")).toBe(1);
  });

  it("counts every record of the partition in the window, not only training ones", async () => {
    const distinctId = personIn(2);
    const between = [use(11, distinctId), use(12, distinctId)];
    await publish(log, [failure(1, { distinctId }), ...between, failure(1, { distinctId })]);
    await writeAllOf({ log, dataDir, config: { dedupWindow: 3 } });
    expect(datasetLines(dataDir)).toHaveLength(1);
    await publish(log, [...between, use(13, distinctId), failure(1, { distinctId })]);
    await writeAllOf({ log, dataDir, config: { dedupWindow: 3 } });
    expect(datasetLines(dataDir)).toHaveLength(2);
  });

  it("of a redriven copy and of its source is told apart", async () => {
    const distinctId = "user-1";
    await publish(log, [failure(1, { distinctId, prompt: 5 })]);
    await writeAllOf({ log, dataDir });
    expect(letters()).toHaveLength(1);
    const copy = failure(1, { distinctId, headers: { redrives: "1" } });
    await publish(log, [copy, copy, failure(1, { distinctId })]);
    const run = await writeAllOf({ log, dataDir });
    expect(datasetLines(dataDir)).toHaveLength(1);
    expect(run.count("duplicates")).toBe(2);
  });
});

describe("what fails", () => {
  it("becomes a dead letter with its bytes, and the next good event still arrives", async () => {
    const bad = recordOfBody("[1, 2");
    await publish(log, [
      bad,
      recordOfBody({ hello: "world" }),
      failure(1, { prompt: undefined as never }),
      failure(2, { prompt: { deep: true } }),
      recordOfBody({ event: "generation_failed", distinct_id: "x", properties: null }),
      { ...failure(9), value: new Uint8Array([0xff, 0xfe]) },
      failure(3),
    ]);
    const run = await writeAllOf({ log, dataDir });
    expect(datasetLines(dataDir).map((line) => line.input_prompt).sort()).toEqual([
      "write a poem about 1",
      "write a poem about 3",
    ]);
    expect(letters().map((letter) => `${letter.step}: ${letter.reason}`).sort()).toEqual([
      "parse: body is no JSON",
      "parse: body is no UTF-8",
      "parse: event is no text of 1 to 1000 bytes",
      "parse: properties.input_prompt is missing",
      "parse: properties.input_prompt is no text",
    ]);
    const letter = log.records(DEAD_LETTER_TOPIC).find((record) =>
      record.headers.reason === "body is no JSON"
    )!;
    expect(letter.value).toEqual(bad.value);
    expect(letter.key).toEqual(bad.key);
    expect(letter.timestamp).toBe(bad.timestamp);
    expect(letter.headers.id).toBe(bad.headers.id);
    expect(run.count("dead_letters")).toBe(5);
  });

  it("goes to the dead letters where the sanitiser refuses, never raw to the dataset", async () => {
    await publish(log, [failure(1, { prompt: `secret ${"x".repeat(1024 * 1024)}` })]);
    await writeAllOf({ log, dataDir });
    expect(datasetLines(dataDir)).toEqual([]);
    expect(letters().map((letter) => letter.step)).toEqual(["sanitise"]);
    expect(letters()[0]!.reason).not.toContain("x".repeat(20));
  });

  it("gives no line once it has a letter, also if the code could read it now", async () => {
    const good = failure(1, { distinctId: personIn(4) });
    await publish(log, [good]);
    const foreign = {
      ...good,
      partition: 0,
      headers: {
        ...good.headers,
        reason: "an older parser said no",
        step: "parse",
        "source-topic": WEBHOOKS_TOPIC,
        "source-partition": "4",
        "source-offset": "0",
      },
    };
    await log.publish(DEAD_LETTER_TOPIC, [foreign]);
    const run = await writeAllOf({ log, dataDir });
    expect(datasetLines(dataDir)).toEqual([]);
    expect(run.count("ignored", "has_letter")).toBe(1);
    expect(letters()).toHaveLength(1);
  });

  it("is published at the next start where a crash came between manifest and letter", async () => {
    await publish(log, [failure(1, { prompt: 5 })]);
    await writeAllOf({ log, dataDir });
    const again = await newLog();
    again.standFor(log);
    for (
      const record of log.records(WEBHOOKS_TOPIC, 0).concat(
        ...[1, 2, 3, 4, 5].map((p) => log.records(WEBHOOKS_TOPIC, p)),
      )
    ) {
      await again.publish(WEBHOOKS_TOPIC, [record]);
    }
    await log.close();
    log = again;
    const run = startWriter({ log, dataDir });
    await until("the letter is there", () => letters().length === 1);
    await run.stop();
    await writeAllOf({ log, dataDir });
    expect(letters()).toHaveLength(1);
  });

  it("goes without its bytes where they leave no room for the letter's headers", async () => {
    const value = new TextEncoder().encode(`{"x":"${"y".repeat(2 * 1024 * 1024 - 100)}"}`);
    await publish(log, [
      { key: null, value, headers: {}, timestamp: RECEIVED_AT },
      failure(1, { prompt: 1 }),
    ]);
    await writeAllOf({ log, dataDir });
    const found = log.records(DEAD_LETTER_TOPIC);
    expect(found.map((record) => record.value.length).sort((a, b) => a - b)[0]).toBe(0);
    expect(found).toHaveLength(2);
  });
});

describe("any way of cutting the topic into chunks", () => {
  it("gives the same bytes", async () => {
    const records = Array.from({ length: 400 }, (_, n) => {
      if (n % 11 === 3) return failure(n - 2, { distinctId: `user-${(n - 2) % 7}` });
      if (n % 13 === 5) return failure(n, { prompt: n });
      if (n % 5 === 1) return use(n);
      return failure(n, {
        timestamp: `2025-11-${String(1 + n % 5).padStart(2, "0")}T00:00:00Z`,
        person: { email: "a@b.example" },
        prompt: `mail a@b.example \u2028 ${"ü".repeat(n % 50)}`,
      });
    });
    const results: string[] = [];
    const manifests: number[] = [];
    // On the slow machine every look at the clock finds that the time for a chunk is over.
    let ms = 0;
    const slow = { ...systemClock, monotonic: () => ms += 1_000 };
    const whole = () => 500;
    for (
      const { cut, clock } of [
        { cut: whole, clock: systemClock },
        { cut: () => 1, clock: systemClock },
        { cut: (n: number) => 1 + (n * 7919) % 17, clock: systemClock },
        { cut: whole, clock: slow },
      ]
    ) {
      let n = 0;
      let written = 0;
      const other = await newLog({
        batchRecords: () => cut(n++),
        gapBefore: ({ offset }: { offset: number }) => offset % 3,
      });
      const directory = await Deno.makeTempDir();
      await publish(other, records);
      await writeAllOf({
        log: other,
        dataDir: directory,
        config: { dedupWindow: 40 },
        clock,
        faultPoint: (name) => written += name === "dataset.manifest" ? 1 : 0,
      });
      manifests.push(written);
      results.push(JSON.stringify([
        sums(directory),
        Object.values(readManifests(directory)).map(({ letters: _, ...rest }) => rest),
      ]));
      await other.close();
      await Deno.remove(directory, { recursive: true });
    }
    expect(Object.keys(JSON.parse(results[0]!)[0]).length).toBeGreaterThan(10);
    expect(new Set(results).size).toBe(1);
    expect(manifests[3]).toBeGreaterThan(manifests[0]!);
  });
});

describe("offsets that bring no record, such as the end of another program's transaction", () => {
  it("move the manifest and the group on, at the log's end too, and give no line", async () => {
    const distinctId = personIn(3);
    log.endTransaction(WEBHOOKS_TOPIC, 3);
    await publish(log, [failure(1, { distinctId })]);
    log.endTransaction(WEBHOOKS_TOPIC, 3);
    const run = startWriter({ log, dataDir });
    await run.caughtUp();
    log.endTransaction(WEBHOOKS_TOPIC, 3);
    await run.caughtUp();
    await run.stop();
    expect(Object.values(readManifests(dataDir)).map(({ nextOffset }) => nextOffset)).toContain(4);
    expect(datasetLines(dataDir)).toHaveLength(1);
    await writeAllOf({ log, dataDir });
    expect(datasetLines(dataDir)).toHaveLength(1);
  });
});

describe("what the writer tells", () => {
  it("names each step of an event, with file and line, and no raw prompt unless it may", async () => {
    const distinctId = personIn(1);
    const email = "jane@example.com";
    await publish(log, [
      failure(1, { distinctId, prompt: `write to ${email}` }),
      failure(1, { distinctId }),
      use(2, distinctId),
      failure(3, { distinctId, prompt: 3 }),
      failure(6, { distinctId, event: "signed_up" }),
      failure(7, { distinctId, event: "$identify" }),
      failure(8, { distinctId, event: "$pageview" }),
    ]);
    const run = await writeAllOf({ log, dataDir });
    const steps = run.steps().map(({ at: _, ...step }) => step);
    const file = "event=generation_failed/date=2025-11-30/p00001-0000.jsonl";
    const polled = { step: "polled", distinctId, receivedAt: new Date(RECEIVED_AT).toISOString() };
    const eventAt = "2025-11-30T16:38:21.968Z";
    const event = "generation_failed";
    expect(steps).toEqual([
      { ...polled, id: uuid(1), event, position: "1:0", eventAt },
      { ...polled, id: uuid(1), event, position: "1:1", eventAt },
      { step: "duplicate", id: uuid(1), position: "1:1" },
      { ...polled, id: uuid(2), event: "feature_used", position: "1:2", eventAt: null },
      { ...polled, id: uuid(3), event, position: "1:3", eventAt },
      { ...polled, id: uuid(6), event: "signed_up", position: "1:4", eventAt },
      { step: "ignored", id: uuid(6), reason: "other_event" },
      { ...polled, id: uuid(7), event: "$identify", position: "1:5", eventAt },
      { step: "written", id: uuid(1), file, line: 1, prompt: "write to <EMAIL_ADDRESS>" },
      { step: "dead_lettered", id: uuid(3), position: "1:3", reason: "properties.input_prompt is no text" },
    ]);
    await publish(log, [failure(5, { distinctId, prompt: `write to ${email}` })]);
    const raw = await writeAllOf({ log, dataDir, config: { showRaw: true } });
    expect(raw.steps().find((step) => step.step === "polled")).toMatchObject({
      rawPrompt: `write to ${email}`,
    });
    expect(raw.steps().find((step) => step.step === "written")).toMatchObject({ line: 2 });
  });

  it("tells of the newest records only where a chunk has many, 100 steps at most", async () => {
    const distinctId = personIn(1);
    await publish(log, Array.from({ length: 300 }, (_, n) => failure(n, { distinctId })));
    const run = await writeAllOf({ log, dataDir });
    expect(run.steps().length).toBeLessThanOrEqual(100);
    expect(run.steps().at(-1)).toMatchObject({ step: "written", line: 300, id: uuid(299) });
  });

  it("tells no steps of records that so many lie behind that theirs would be the only ones kept", async () => {
    const distinctId = personIn(1);
    const count = TRACE_RECORDS_BEHIND_MAX + 300;
    await publish(log, Array.from({ length: count }, (_, n) => failure(n, { distinctId })));
    const run = await writeAllOf({ log, dataDir, chunkRecordsMax: 100 });
    const written = run.steps().flatMap((step) => step.step === "written" ? [step.id] : []);
    expect(written).not.toContain(uuid(199));
    expect(written).toContain(uuid(299));
    expect(written.at(-1)).toBe(uuid(count - 1));
    expect(run.count("lines")).toBe(count);
  });

  it("is ready when every partition is open", async () => {
    const run = startWriter({ log, dataDir });
    await until("it is ready", () => run.health()?.is === "ready");
    expect(run.health()?.partitions).toEqual([0, 1, 2, 3, 4, 5]);
    await run.stop();
  });

  it("stays out of the group where its dataset is not the group's", async () => {
    await publish(log, [failure(1)]);
    const run = startWriter({
      log,
      dataDir,
      staysOut: (dataset) => Promise.resolve(`not ${typeof dataset.id}`),
    });
    await until("it says so", () => run.health()?.is === "stays_out");
    expect(run.health()?.message).toBe("not string");
    await run.stop();
    expect(readFiles(dataDir)).toEqual({});
  });
});

describe("the manifest", () => {
  it("counts bytes, records and placeholders of every file, and names the sanitiser", async () => {
    const distinctId = personIn(5);
    const prompt = "a@b.example and c@d.example";
    await publish(log, [
      failure(1, { distinctId, prompt }),
      failure(2, { distinctId, reason: "e@f.example said no" }),
    ]);
    await writeAllOf({ log, dataDir });
    const manifest = readManifests(dataDir)["p00005.json"]!;
    const [path] = Object.keys(readFiles(dataDir));
    expect(manifest).toMatchObject({ firstOffset: 0, nextOffset: 2 });
    expect(manifest.files[path!]).toEqual({
      bytes: new TextEncoder().encode(readFiles(dataDir)[path!]).length,
      records: 2,
      placeholders: { EMAIL_ADDRESS: 3 },
      sanitiserVersions: [expect.any(String)],
      figures: {
        reasons: [["timeout", 1], ["<EMAIL_ADDRESS> said no", 1]],
        otherReasons: 0,
        promptLengths: [0, 1, 1, ...Array(11).fill(0)],
      },
    });
  });

  it("wins over a group offset that somebody has sought, and the log says so", async () => {
    await publish(log, [failure(1, { distinctId: personIn(0) })]);
    await writeAllOf({ log, dataDir });
    const before = sums(dataDir);
    const sought = await newLog();
    sought.standFor(log);
    for (let p = 0; p < 6; p++) {
      const records = log.records(WEBHOOKS_TOPIC, p);
      if (records.length > 0) await sought.publish(WEBHOOKS_TOPIC, records);
    }
    const consumption = sought.consume({
      topic: WEBHOOKS_TOPIC,
      group: "dataset-writer",
      handler: {
        assigned: () => Promise.resolve(0),
        handle: () => Promise.resolve("handled"),
        revoked: () => Promise.resolve(),
      },
    });
    await until(
      "the offset is committed",
      async () => (await sought.committed(WEBHOOKS_TOPIC, "dataset-writer"))[0] === 1,
    );
    await consumption.stop();
    await publish(sought, [failure(2, { distinctId: personIn(0) })]);
    Deno.removeSync(join(dataDir, "dataset", "_manifest", "p00000.json"));
    for (const path of Object.keys(before)) Deno.removeSync(join(dataDir, "dataset", path));
    const run = await writeAllOf({ log: sought, dataDir });
    expect(datasetLines(dataDir)).toHaveLength(2);
    expect(
      run.messages.filter((message) => message.kind === "log").map((message) =>
        isObject(message) && message.text
      ),
    )
      .toEqual([expect.stringContaining("the group's offset 1 is not used")]);
    await sought.close();
  });

  it("seals the files of closed offset ranges at every 250,000 offsets", async () => {
    const distinctId = personIn(3);
    const jump = [0, 249_998, 0, 0, 250_000, 0];
    const other = await newLog({
      gapBefore: () => jump.shift() ?? 0,
    });
    await publish(other, [1, 2, 3, 4, 5, 6].map((n) => failure(n, { distinctId })));
    expect(other.records(WEBHOOKS_TOPIC, 3).map((record) => record.offset))
      .toEqual([0, 249_999, 250_000, 250_001, 500_002, 500_003]);
    await writeAllOf({ log: other, dataDir });
    expect(
      Object.fromEntries(
        Object.entries(readFiles(dataDir)).map((
          [path, text],
        ) => [path.slice(-17), text.split("\n").length - 1]),
      ),
    )
      .toEqual({ "p00003-0000.jsonl": 2, "p00003-0001.jsonl": 2, "p00003-0002.jsonl": 2 });
    const directory = join(dataDir, "dataset", "_manifest");
    const open = JSON.parse(Deno.readTextFileSync(join(directory, "p00003.json")));
    const sealed = JSON.parse(Deno.readTextFileSync(join(directory, "p00003.sealed.json")));
    expect(Object.keys(open.files).map((path) => path.slice(-10))).toEqual(["0002.jsonl"]);
    expect(Object.keys(sealed.files).map((path) => path.slice(-10)).sort()).toEqual([
      "0000.jsonl",
      "0001.jsonl",
    ]);
    await writeAllOf({ log: other, dataDir });
    await other.close();
  });
});
