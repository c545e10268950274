import { afterEach, beforeEach, expect, test } from "vitest";
import type { EventDetail } from "../contract/processor_api.ts";
import type { TraceStep } from "../contract/trace_step.ts";
import { until } from "../tests/support/until.ts";
import {
  offerOf,
  post,
  posthogBody,
  type Service,
  startService,
  untilCaughtUp,
} from "../tests/support/pipeline.ts";
import { runProgram } from "../tests/support/run_command.ts";

/** Real services, killed with -9 and started again on what they left. */
const SECRET = "a secret of sixteen";
let dataDir: string;
let services: Service[];
beforeEach(async () => {
  dataDir = await Deno.makeTempDir({ prefix: "history-" });
  services = [];
});
afterEach(async () => {
  for (const service of services) await service.kill().catch(() => {});
  await Deno.remove(dataDir, { recursive: true });
});

const environment = () => ({ DATA_DIR: dataDir, PIPELINE_SECRET: SECRET, SHOW_RAW: "1" });

async function start(name: "ingest" | "processor", env: Record<string, string> = {}): Promise<Service> {
  const service = await startService(name, { ...environment(), ...env });
  services.push(service);
  return service;
}

async function eventOf(processor: Service, uuid: string): Promise<EventDetail> {
  const answer = await fetch(`${processor.url}/api/events/${uuid}`);
  expect(answer.status).toBe(200);
  return await answer.json();
}

const outcomes = ({ deliveries }: EventDetail) => deliveries.map(({ outcome }) => outcome);
const uuidOf = (n: number) => `0190a000-0000-7000-8000-${String(n).padStart(12, "0")}`;
const AT = "2026-01-02T03:04:05.678Z";

/** Every step that a listener is given, up to the one that `isLast` tells. */
async function stepsOf(processor: Service, isEnough: (steps: TraceStep[]) => boolean): Promise<TraceStep[]> {
  const response = await fetch(`${processor.url}/api/events`, { headers: { "last-event-id": "0" } });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`The stream ended:\n${text}`);
    text += value;
    const steps = [...text.matchAll(/^data: (\{.*\})\n\n/gm)].map(([, json]) =>
      JSON.parse(json!) as TraceStep
    );
    if (!isEnough(steps)) continue;
    await reader.cancel();
    return steps;
  }
}

test("an edited copy is told as whom it names now, and of who is erased as nobody's, whatever key it has", async () => {
  const [ingest, processor] = [await start("ingest"), await start("processor")];
  await post(ingest.url, posthogBody({ uuid: uuidOf(1), properties: { input_prompt: 7 } }));
  await untilCaughtUp(processor.url);
  const value = posthogBody({ uuid: uuidOf(1), event: "feature_used", distinctId: "somebody-else" });
  const asked = await fetch(`${processor.url}/api/dead-letters/resend`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ id: "0:0", value }),
  });
  expect(await asked.json()).toMatchObject({ redriven: 1 });
  await until("it is counted", async () => {
    return outcomes(await eventOf(processor, uuidOf(1))).at(-1) === "counted";
  });
  const { offers } = await (await fetch(`${processor.url}/api/offers`)).json();
  expect(offers).toMatchObject([{ distinctId: "somebody-else", uses: 1 }]);
  const steps = await stepsOf(processor, (steps) => steps.some(({ step }) => step === "counted"));
  expect(steps.filter(({ step }) => step === "polled")).toMatchObject([
    { distinctId: "user-1" },
    { distinctId: "somebody-else" },
  ]);
  const erased = await runProgram("tools/erase/main.ts", { args: ["somebody-else"], env: environment() });
  expect(erased.code, erased.stderr).toBe(0);
  await until("it is gone", async () => {
    const { deliveries } = await eventOf(processor, uuidOf(1));
    return deliveries.at(-1)!.outcome === "ignored" && deliveries.at(-1)!.raw === undefined;
  });
});

test("an event is found by its uuid with every delivery, its line and its facts, and the same after a kill -9", async () => {
  const [ingest, first] = [await start("ingest"), await start("processor")];
  const line = posthogBody({
    uuid: uuidOf(1),
    timestamp: AT,
    properties: { input_prompt: "mail ada@example.org" },
  });
  await post(ingest.url, line);
  // The same millisecond, person and event: only the prompt tells their lines apart.
  await post(
    ingest.url,
    posthogBody({ uuid: uuidOf(2), timestamp: AT, properties: { input_prompt: "other" } }),
  );
  await post(ingest.url, line);
  await post(ingest.url, posthogBody({ uuid: uuidOf(3), properties: { input_prompt: 7 } }));
  await post(ingest.url, posthogBody({ uuid: uuidOf(4), event: "feature_used" }));
  await post(ingest.url, posthogBody({ uuid: uuidOf(5), event: "$pageview" }));
  await untilCaughtUp(first.url);

  async function check(processor: Service): Promise<void> {
    const one = await eventOf(processor, uuidOf(1));
    expect(one).toMatchObject({ uuid: uuidOf(1), event: "generation_failed", distinctId: "user-1" });
    expect(outcomes(one)).toEqual(["line", "duplicate"]);
    expect(one.line).toMatchObject({ line: 1, text: expect.stringContaining('"mail <EMAIL_ADDRESS>"') });
    expect(one.deliveries[0]!.raw).toBe(line);
    expect((await eventOf(processor, uuidOf(2))).line).toMatchObject({
      line: 2,
      text: expect.stringContaining('"other"'),
    });
    const letter = await eventOf(processor, uuidOf(3));
    expect([outcomes(letter), letter.line]).toEqual([["dead_letter"], null]);
    expect(letter.deliveries[0]!.reason).toMatch(/input_prompt/);
    const use = await eventOf(processor, uuidOf(4));
    expect(outcomes(use)).toEqual(["counted"]);
    expect(use.facts).toMatchObject([{ fact: "counted" }]);
    expect(JSON.stringify(use.facts)).not.toContain("user-1");
    expect(outcomes(await eventOf(processor, uuidOf(5)))).toEqual(["ignored"]);
    for (const { from, startOffset, to } of one.lookedAt.partitions) {
      expect([from, to >= from]).toEqual([startOffset, true]);
    }
    const unknown = await fetch(`${processor.url}/api/events/${uuidOf(6)}`);
    expect(unknown.status).toBe(404);
    expect(await unknown.json()).toMatchObject({
      error: { code: "not_found" },
      lookedAt: { partitions: one.lookedAt.partitions },
    });
    expect((await fetch(`${processor.url}/api/events/no-uuid`)).status).toBe(400);
  }
  await check(first);
  await first.kill();
  const second = await start("processor");
  await untilCaughtUp(second.url);
  await check(second);
  // Also of what nobody has handled yet.
  const third = uuidOf(7);
  await second.kill();
  const stays = await start("processor", { PROCESSOR_GROUPS: "discount-offers" });
  await post(ingest.url, posthogBody({ uuid: third }));
  await until("it is found", async () => (await fetch(`${stays.url}/api/events/${third}`)).status === 200);
  expect(outcomes(await eventOf(stays, third))).toEqual(["waiting"]);
  expect(outcomes(await eventOf(stays, uuidOf(1)))).toEqual(["line", "duplicate"]);
});

test("a restarted processor tells the newest events once more, marked as read from the log, and then what is new", async () => {
  const [ingest, first] = [await start("ingest"), await start("processor")];
  for (let n = 0; n < 30; n++) {
    const distinctId = `user-${n % 5}`;
    const properties = n % 10 === 9 ? {} : { input_prompt: `prompt ${n}` };
    await post(ingest.url, posthogBody({ uuid: uuidOf(n), distinctId, properties }));
  }
  await post(
    ingest.url,
    posthogBody({ uuid: uuidOf(0), distinctId: "user-0", properties: { input_prompt: "prompt 0" } }),
  );
  await post(ingest.url, posthogBody({ uuid: uuidOf(40), event: "feature_used" }));
  const end = (steps: TraceStep[]) => {
    const of = (step: TraceStep["step"]) => steps.filter((one) => one.step === step).length;
    return of("polled") >= 32 && of("written") >= 27 && of("dead_lettered") >= 3 && of("duplicate") >= 1;
  };
  const live = await stepsOf(first, end);
  await untilCaughtUp(first.url);
  await first.kill();

  const second = await start("processor");
  const again = await stepsOf(second, end);
  const kinds = ["polled", "written", "dead_lettered", "duplicate"];
  const told = (steps: readonly TraceStep[]) =>
    steps.filter(({ step }) => kinds.includes(step))
      .map(({ at: _, ...step }) =>
        JSON.stringify({ ...step, fromLog: true }, Object.keys({ ...step, fromLog: true }).sort())
      )
      .sort();
  expect(told(again)).toEqual(told(live));
  expect(again.every((step) => "fromLog" in step && step.fromLog === true)).toBe(true);

  await post(ingest.url, posthogBody({ uuid: uuidOf(50), properties: { input_prompt: "new" } }));
  const later = await stepsOf(
    second,
    (steps) => steps.some((step) => step.step === "written" && step.id === uuidOf(50)),
  );
  expect(later.findIndex((step) => !("fromLog" in step))).toBe(again.length);
  expect(later.filter((step) => step.step === "polled" && step.id === uuidOf(50))).toHaveLength(1);
});

test("a restarted processor tells of offers and mails too, with their own times, in their order, and of nobody who was erased", async () => {
  const env = { DISCOUNT_WAIT: "1s" };
  const [ingest, first] = [await start("ingest"), await start("processor", env)];
  const isSent = (id: string) => async () => (await offerOf(first.url, id))?.state === "offered";
  for (const [i, distinctId] of ["ada", "grace-hopper"].entries()) {
    for (let n = 0; n < 5; n++) {
      const email = `${distinctId}@example.org`;
      await post(
        ingest.url,
        posthogBody({ uuid: uuidOf(10 * i + n), event: "feature_used", distinctId, email }),
      );
    }
  }
  await until("ada's mail is sent", isSent("ada"));
  await until("the other mail is sent", isSent("grace-hopper"));
  await post(ingest.url, posthogBody({ uuid: uuidOf(30), event: "feature_used", distinctId: "bob" }));
  await untilCaughtUp(first.url);
  const of = (all: readonly TraceStep[]) => all.filter(({ step }) => step === "earned" || step === "mail");
  const isLast = (step: TraceStep) => "id" in step && step.id === uuidOf(30);
  // A mail is told a moment after the view says that it was sent.
  const live = await stepsOf(first, (steps) => of(steps).length >= 4);
  const erased = await runProgram("tools/erase/main.ts", { args: ["grace-hopper"], env: environment() });
  expect([erased.code, erased.stderr]).toEqual([0, ""]);
  await untilCaughtUp(first.url);
  const { earnedAt, sentAt, messageId, offer } = (await offerOf(first.url, "ada"))!;
  await first.kill();

  const second = await start("processor", env);
  const steps = await stepsOf(second, (all) => all.some(isLast));
  expect(of(live).map(({ step }) => step).sort()).toEqual(["earned", "earned", "mail", "mail"]);
  const whose = { offer, distinctId: "ada", fromLog: true };
  expect(of(steps)).toEqual([
    { step: "earned", ...whose, id: uuidOf(4), dueAt: expect.any(String), addressKnown: true, at: earnedAt },
    {
      step: "mail",
      ...whose,
      outcome: "accepted",
      words: expect.any(String),
      messageId,
      nextAttemptAt: null,
      at: sentAt,
    },
  ]);
  expect(JSON.stringify(steps)).not.toContain("grace-hopper");
  const places = [
    steps.findIndex((step) => step.step === "polled" && step.id === uuidOf(4)),
    steps.findIndex(({ step }) => step === "earned"),
    steps.findIndex(({ step }) => step === "mail"),
    steps.findIndex(isLast),
  ];
  expect(places).toEqual(places.toSorted((a, b) => a - b));
});

test("of every event that is told its own time is told too, live and after a restart, and none that is no time", async () => {
  const [ingest, first] = [await start("ingest"), await start("processor")];
  const events = ["feature_used", "$identify", "email_unsubscribed", "signed_up", "generation_failed"];
  for (const [n, event] of events.entries()) {
    await post(ingest.url, posthogBody({ uuid: uuidOf(n), event, timestamp: AT }));
  }
  await post(ingest.url, posthogBody({ uuid: uuidOf(0), event: "feature_used", timestamp: AT }));
  await post(ingest.url, posthogBody({ uuid: uuidOf(9), event: "feature_used", timestamp: "yesterday" }));
  const timesIn = async (processor: Service) => {
    const steps = await stepsOf(
      processor,
      (all) => all.filter(({ step }) => step === "polled").length >= events.length + 2,
    );
    return steps.flatMap((step) => step.step === "polled" ? [`${step.event} ${step.eventAt}`] : []).sort();
  };
  const times = [...events, "feature_used"].map((event) => `${event} ${AT}`);
  const all = [...times, "feature_used null"].sort();
  expect(await timesIn(first)).toEqual(all);
  await untilCaughtUp(first.url);
  await first.kill();
  expect(await timesIn(await start("processor"))).toEqual(all);
});

test("of a person who was erased nothing is told, neither by uuid nor after a restart", async () => {
  const [ingest, processor] = [await start("ingest"), await start("processor")];
  await post(ingest.url, posthogBody({ uuid: uuidOf(1), distinctId: "grace-hopper" }));
  await post(ingest.url, posthogBody({ uuid: uuidOf(2), distinctId: "ada" }));
  await untilCaughtUp(processor.url);
  const erased = await runProgram("tools/erase/main.ts", {
    args: ["grace-hopper"],
    env: { ...environment(), INGEST_URL: ingest.url, PROCESSOR_URL: processor.url },
  });
  expect([erased.code, erased.stderr]).toEqual([0, ""]);
  await untilCaughtUp(processor.url);
  await processor.kill();
  const second = await start("processor");
  const steps = await stepsOf(second, (all) => all.some((step) => step.step === "written"));
  expect(JSON.stringify(steps)).not.toMatch(/grace-hopper|prompt 0190a000-0000-7000-8000-000000000001/);
  const gone = await eventOf(second, uuidOf(1));
  expect([outcomes(gone), gone.distinctId, gone.line, gone.facts]).toEqual([["ignored"], null, null, []]);
  expect(JSON.stringify(gone)).not.toMatch(/grace-hopper|prompt/);
  expect(outcomes(await eventOf(second, uuidOf(2)))).toEqual(["line"]);
});

test("raw envelopes are shown to this machine only, and only where SHOW_RAW says so", async () => {
  const [ingest, processor] = [await start("ingest"), await start("processor", { SHOW_RAW: "0" })];
  await post(
    ingest.url,
    posthogBody({ uuid: uuidOf(1), properties: { input_prompt: "call +44 7911 123456" } }),
  );
  await untilCaughtUp(processor.url);
  const text = await (await fetch(`${processor.url}/api/events/${uuidOf(1)}`)).text();
  expect(text).not.toContain("7911");
  expect(text).toContain("<PHONE_NUMBER>");
});

test("what became of the records still adds up after a replay, which decides no letter a second time", async () => {
  const [ingest, processor] = [await start("ingest"), await start("processor")];
  const body = posthogBody({ uuid: uuidOf(1) });
  const broken = posthogBody({ uuid: uuidOf(2), properties: {} });
  for (const one of [body, body, broken, posthogBody({ event: "feature_used" })]) await post(ingest.url, one);
  const before = await untilCaughtUp(processor.url);
  expect(before.outcomes).toEqual({
    records: 4,
    lines: 1,
    duplicates: 1,
    deadLetters: 1,
    others: 1,
    uncounted: 0,
    letters: 1,
  });
  const env = { ...environment(), INGEST_URL: ingest.url, PROCESSOR_URL: processor.url };
  const replay = await runProgram("tools/replay/main.ts", { env });
  expect([replay.code, replay.stderr]).toEqual([0, expect.anything()]);
  // A replay takes the letter as one that is there, and decides it no second time.
  const after = await until("the writer goes on in the new tree", async () => {
    const { outcomes } = await untilCaughtUp(processor.url);
    return outcomes!.records === 4 && outcomes!.deadLetters === 0 ? outcomes : null;
  });
  expect(after).toMatchObject({ lines: 1, duplicates: 1, others: 2, letters: 1 });
});
