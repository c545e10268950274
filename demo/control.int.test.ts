import { afterEach, expect, it } from "vitest";
import { manualClock } from "../tests/support/manual_clock.ts";
import { type ControlOptions, type DemoControl, startControl } from "./control.ts";

const running: DemoControl[] = [];
afterEach(async () => {
  for (const control of running.splice(0)) await control.stop();
});

const STAND_IN = {
  delivered: 4,
  failed: 0,
  dropped: 0,
  repeated: 0,
  waiting: 0,
  inFlight: 0,
  switched: { duplicate: 0, reorder: 0, drop: 0, pausedUntil: null },
};
const INGEST = { spooled: 0, topic: { at: "2026-01-01T00:00:00.000Z", partitions: [{ endOffset: 4 }] } };
const PROCESSOR = {
  log: "embedded",
  groups: [{ lag: 0 }],
  dataset: { records: 3 },
  deadLetters: { total: 0 },
  outcomes: { records: 4, lines: 3, duplicates: 0, deadLetters: 0, others: 1, uncounted: 0, letters: 0 },
  mails: { accepted: 2 },
};

function start(options: Partial<ControlOptions> = {}) {
  const answers: Record<string, unknown> = {
    "http://stand-in/api/deliveries": STAND_IN,
    "http://ingest/api/recent": INGEST,
    "http://processor/api/status": PROCESSOR,
  };
  const clock = manualClock();
  const control = startControl({
    urls: { standIn: "http://stand-in", ingest: "http://ingest", processor: "http://processor" },
    posthogKey: "phc_demo",
    consolePassword: null,
    shares: { duplicate: 0, reorder: 0, drop: 0 },
    services: () => null,
    mailbox: null,
    clock,
    fetch: (input) => {
      const answer = answers[String(input)];
      return answer ? Promise.resolve(Response.json(answer)) : Promise.reject(new TypeError("away"));
    },
    ...options,
  });
  running.push(control);
  const ask = (path: string, { token = control.token, ...init }: RequestInit & { token?: string } = {}) =>
    fetch(control.url + path, { ...init, headers: { authorization: `Bearer ${token}` } });
  return { clock, answers, ask };
}

it("answers who has its token, and nobody else", async () => {
  const { ask } = start();
  expect((await ask("/proof")).status).toBe(200);
  expect((await ask("/proof", { token: "x" })).status).toBe(401);
  expect((await ask("/break/kill-ingest", { token: "", method: "POST" })).status).toBe(401);
});

it("keeps the figures of a service that is away, and says since when", async () => {
  const { clock, answers, ask } = start();
  const proof = async () => await (await ask("/proof")).json();
  const whole = await proof();
  expect(whole).toMatchObject({ sent: 4, lines: 3, counted: 1, mails: 2, agree: true });
  expect(whole.words).toBe("4 sent: 3 lines, 1 counted, 0 lost, 0 doubled");
  delete answers["http://processor/api/status"];
  await clock.advance(13_000);
  expect(await proof()).toMatchObject({
    lines: 3,
    mails: 2,
    agree: false,
    words: "Not yet: the processor is away, last seen 13 s ago",
  });
});

it("calls nothing lost by ends of the topic that were asked before it was delivered", async () => {
  const { clock, answers, ask } = start();
  const proof = async () => await (await ask("/proof")).json();
  expect((await proof()).agree).toBe(true);
  await clock.advance(1_000);
  answers["http://stand-in/api/deliveries"] = { ...STAND_IN, delivered: 5 };
  const early = await proof();
  expect([early.agree, early.words]).toEqual([false, expect.not.stringContaining("lost")]);
  await clock.advance(1_000);
  const at = new Date(clock.now()).toISOString();
  answers["http://ingest/api/recent"] = { ...INGEST, topic: { ...INGEST.topic, at } };
  expect((await proof()).words).toBe("Not yet: 1 lost");
});

it("lays nothing on what was broken once all has agreed since", async () => {
  const { clock, answers, ask } = start({
    services: () => ({ kill: () => true, isReady: () => true }),
  });
  const words = async () => (await (await ask("/proof")).json()).words;
  expect(await words()).toContain("4 sent");
  await ask("/break/kill-processor", { method: "POST" });
  expect(await words()).toContain("0 sent while the processor was dead");
  await clock.advance(60_000);
  answers["http://stand-in/api/deliveries"] = { ...STAND_IN, waiting: 1 };
  expect(await words()).toBe("Not yet: 1 on its way from PostHog");
});

it("says what cannot be done now, and knows no other switch", async () => {
  const { ask } = start();
  const post = async (name: string, body = "") => {
    const answer = await ask(`/break/${name}`, { method: "POST", body });
    return [answer.status, (await answer.json()).error.message];
  };
  expect(await post("kill-ingest")).toEqual([409, "ingest does not run now: it is being started again."]);
  expect(await post("mail-refuses")).toEqual([409, expect.stringContaining("SMTP_URL")]);
  expect((await post("explode"))[0]).toBe(404);
  expect((await post("deliver-twice", '{"on":1}'))[0]).toBe(400);
  expect((await post("deliver-twice", "x".repeat(2_000)))[0]).toBe(400);
  expect(await post("deliver-twice")).toEqual([503, expect.stringContaining("away")]);
});
