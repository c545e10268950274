import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { manualClock } from "../tests/support/manual_clock.ts";
import { type SmallDisk, smallDisk, whyNoSmallDisk } from "../tests/support/small_disk.ts";
import { until } from "../tests/support/until.ts";
import { type FakeLog, fakeLog } from "./fixtures/fake_log.ts";
import { spoolDirectory, startTestIngest, type TestIngest, webhookBody } from "./fixtures/test_ingest.ts";

const why = await whyNoSmallDisk();

describe("the log is away and the disk is full", () => {
  if (why !== null) return void test("keeps no file per webhook", (running) => running.skip(why));

  let disk: SmallDisk;
  let log: FakeLog;
  let ingest: TestIngest;
  const clock = manualClock();
  let sent = 0;
  const post = async () => {
    const id = `0190a000-0000-7000-8000-${String(++sent).padStart(12, "0")}`;
    const body = webhookBody(id, { properties: { p: "x".repeat(5_000) } });
    const response = await ingest.post(body);
    await response.body?.cancel();
    return { id, status: response.status, retryAfter: response.headers.get("retry-after") };
  };
  const ready = async () => {
    const response = await fetch(`${ingest.url}/readyz`);
    return { status: response.status, ...await response.json() };
  };
  const segments = () =>
    [...Deno.readDirSync(spoolDirectory(ingest.dataDir))].filter(({ name }) => name.endsWith(".spool"))
      .map(({ name }) => [name, Deno.statSync(`${spoolDirectory(ingest.dataDir)}/${name}`).size]);
  const turnedAway = () => ingest.said.filter((text) => text.includes("turned away"));
  const refusals = async () => {
    const answers = [];
    for (let n = 0; n < 20; n++) answers.push(await post());
    return answers.map(({ status, retryAfter }) => [status, retryAfter]);
  };

  beforeAll(async () => {
    disk = await smallDisk(512);
    log = fakeLog();
    ingest = await startTestIngest({ dataDir: disk.path, log, clock });
    log.mode = "away";
  });
  afterAll(async () => {
    await Promise.all([ingest.stop(), clock.advance(60_000)]);
    await disk.remove();
  });
  beforeEach(() => clock.advance(60_000));

  test("from the first webhook on: each gets 503 with Retry-After, one line says so, and no file is left", async () => {
    await disk.fill();
    expect(await refusals()).toEqual(Array(20).fill([503, "1"]));
    expect(segments()).toEqual([]);
    expect(turnedAway()).toHaveLength(1);
    expect(turnedAway()[0]).toMatch(/no space left/i);
    expect(await ready()).toMatchObject({ status: "not_ready", spool: "failing" });
  });

  test("a minute later another line says how often it was", async () => {
    await post();
    expect(turnedAway()[1]).toMatch(/and 19 times more/);
  });

  test("space comes back: it is ready before anybody has sent anything, and takes again", async () => {
    await disk.free();
    await clock.advance(2_000);
    expect(await ready()).toMatchObject({ status: "ready", durable: "spool", spooled: 0 });
    expect((await post()).status).toBe(200);
  });

  test("with something spooled already: the same, what was promised stays, and all of it reaches the log", async () => {
    const promised = [await post(), await post()].map(({ id }) => id);
    const before = segments();
    await disk.fill();
    expect(await refusals()).toEqual(Array(20).fill([503, "1"]));
    expect(segments()).toEqual(before);
    await disk.free();
    promised.push((await post()).id);
    log.mode = "takes";
    await until("the spool is drained", async () => {
      await clock.advance(10_000);
      return (await ready()).spooled === 0;
    });
    expect(log.records.map(({ headers }) => headers.id).slice(-3)).toEqual(promised);
    expect(log.records).toHaveLength(4);
  });
});
