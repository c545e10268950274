import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../tests/support/until.ts";
import type { Proof } from "./control.ts";
import type { Switch } from "./proof.ts";

/** The whole demo, as `deno task demo` starts it; every switch is thrown under a click every 200 ms. */
const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));
const LIMIT = { limitMs: 60_000 };
let dataDir: string;
let child: Deno.ChildProcess;
let printed = "";
let clicks: ReturnType<typeof setInterval> | undefined;
const clicking = new Set<Promise<unknown>>();
const refused: string[] = [];

beforeAll(async () => {
  dataDir = await Deno.makeTempDir({ prefix: "break-" });
  child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", MAIN],
    env: {
      DATA_DIR: dataDir,
      INGEST_PORT: "0",
      PROCESSOR_PORT: "0",
      WEB_PORT: "0",
      POSTHOG_STAND_IN_PORT: "0",
      FRESH: "npm",
      LOG_FORMAT: "text",
      DISCOUNT_WAIT: "200ms",
      MAIL_RETRY_DELAYS: "300ms,300ms,300ms,300ms,300ms,300ms,300ms,300ms,1s,1s,1s,1s,1s,1s",
    },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  for (const stream of [child.stdout, child.stderr]) {
    void stream.pipeThrough(new TextDecoderStream()).pipeTo(
      new WritableStream({ write: (text) => void (printed += text) }),
    );
  }
  await until("the demo is ready", () => printed.includes("Ready in"), { limitMs: 120_000 });
}, 130_000);
afterAll(async () => {
  clearInterval(clicks);
  child.kill("SIGINT");
  await child.status;
  await Deno.remove(dataDir, { recursive: true });
});

const urlOf = (service: string) => new RegExp(` ${service}: (http\\S+)`).exec(printed)![1]!;
const proof = async () => await (await fetch(`${urlOf("web")}/api/proof`)).json() as Proof;
const page = () => ({ origin: urlOf("web"), "content-type": "application/json" });

function breaks(what: Switch, on = true, headers: Record<string, string> = page()): Promise<Response> {
  return fetch(`${urlOf("web")}/api/break/${what}`, {
    method: "POST",
    headers,
    body: JSON.stringify({ on }),
  });
}

async function thrown(what: Switch, on = true): Promise<void> {
  const answer = await breaks(what, on);
  expect([answer.status, await answer.json()]).toEqual([200, { switch: what, on }]);
}

let clicked = 0;
/** One user's click, as the page sends it: a failure and a use in turn. */
function click(properties: Record<string, unknown> = {}, event?: string): Promise<void> {
  const n = ++clicked;
  const body = {
    api_key: "phc_demo",
    batch: [{
      uuid: crypto.randomUUID(),
      event: event ?? (n % 2 === 0 ? "feature_used" : "generation_failed"),
      timestamp: new Date().toISOString(),
      properties: {
        distinct_id: `user-${n % 20}`,
        token: "phc_demo",
        input_prompt: `prompt ${n}, call +44 7911 123456`,
        failure_reason: "timeout",
        ...properties,
      },
    }],
    sent_at: new Date().toISOString(),
  };
  const sent = fetch(`${urlOf("posthog-stand-in")}/e/`, { method: "POST", body: JSON.stringify(body) })
    .then(async (answer) => {
      await answer.body?.cancel();
      if (answer.status !== 200) refused.push(`${answer.status}`);
    });
  clicking.add(sent);
  return sent.finally(() => clicking.delete(sent));
}

/** Clicks every 200 ms until it is done, and then until all agrees; the counts of that moment. */
async function underClicks(work: () => Promise<void>): Promise<Proof> {
  const before = clicked;
  clicks = setInterval(() => void click(), 200);
  try {
    await work();
    await until("there were some clicks", () => clicked >= before + 5);
  } finally {
    clearInterval(clicks);
  }
  await Promise.all(clicking);
  let last: Proof | null = null;
  const whole = await until("all agrees", async () => {
    last = await proof();
    return last.agree ? last : null;
  }, LIMIT).catch((error) => {
    throw new Error(`${error.message}\n${JSON.stringify(last)}\n${printed.slice(-2_000)}`);
  });
  expect(refused).toEqual([]);
  expect(whole.delivered + whole.dropped).toBe(whole.sent);
  expect(whole.durable).toBe(whole.records);
  expect(whole.lines + whole.deadLetters + whole.duplicates + whole.counted).toBe(whole.records);
  expect(whole.words).toMatch(/\b0 lost, 0 doubled$/);
  return whole;
}

/** From one state in which all agrees to the next. */
async function differences(work: () => Promise<void>): Promise<Proof> {
  const before = await until("all agrees", async () => {
    const now = await proof();
    return now.agree ? now : null;
  }, LIMIT);
  const after = await underClicks(work);
  const figures = Object.entries(after).map(([name, value]) => [
    name,
    typeof value === "number" ? value - (before[name as keyof Proof] as number) : value,
  ]);
  expect(figures.filter(([, value]) => typeof value === "number" && value < 0)).toEqual([]);
  return Object.fromEntries(figures);
}

test(
  "killed in turn and together, processor and ingest lose and double nothing, and no figure ever goes back",
  async () => {
    const asked: Proof[] = [];
    let isOver = false;
    const asking = (async () => {
      while (!isOver) asked.push(await proof());
    })();
    for (const name of ["processor", "ingest"] as const) {
      const since = await differences(async () => {
        await thrown(`kill-${name}`);
        await until("it is dead", async () => (await proof()).switches[`kill-${name}`]);
        await until("it is ready again", () => printed.includes(`${name} is ready again`), LIMIT);
      });
      expect(printed).toContain(`${name} died (SIGKILL): it is started again in 0.2 s.`);
      expect(since.words).toMatch(new RegExp(`^\\d+ sent while (the )?${name} was dead`));
      expect(since.lines).toBeGreaterThan(0);
      expect(since.delivered).toBe(since.sent);
    }
    const since = await differences(async () => {
      await Promise.all([thrown("kill-processor"), thrown("kill-ingest")]);
      await until(
        "both are ready again",
        () => ["processor", "ingest"].every((name) => printed.split(`${name} is ready again`).length === 3),
        LIMIT,
      );
    });
    expect(since.delivered).toBe(since.sent);
    isOver = true;
    await asking;
    for (const [i, now] of asked.entries()) {
      for (
        const name of ["sent", "delivered", "records", "lines", "deadLetters", "duplicates", "mails"] as const
      ) {
        expect(now[name]).toBeGreaterThanOrEqual(asked[i - 1]?.[name] ?? 0);
      }
    }
    expect(asked.some(({ agree }) => !agree)).toBe(true);
  },
  180_000,
);

test("deliveries that were paused all come", async () => {
  const since = await differences(async () => {
    await thrown("pause-deliveries");
    const waits = await until("some wait", async () => {
      const now = await proof();
      return / on their way from PostHog/.test(now.words) ? now : null;
    });
    expect([waits.agree, waits.switches["pause-deliveries"]]).toEqual([false, true]);
    await thrown("pause-deliveries", false);
  });
  expect(since.delivered).toBe(since.sent);
  expect(since.words).toContain("sent while deliveries were paused");
}, 60_000);

test("what is delivered twice gives one line each, and the repeats are counted", async () => {
  const since = await differences(async () => {
    await thrown("deliver-twice");
    await until("repeats came", async () => (await proof()).words.includes("dropped as such"), LIMIT)
      .catch(() => {});
    await thrown("deliver-twice", false);
  });
  expect(since.duplicates).toBeGreaterThan(0);
  expect(since.sent).toBe(since.lines + since.counted + since.duplicates);
}, 90_000);

test("what comes out of order comes all the same", async () => {
  const since = await differences(async () => {
    await thrown("out-of-order");
    await until("it shows", async () => (await proof()).switches["out-of-order"]);
    await until("some clicks were held back", () => clicked % 10 === 0, LIMIT);
    await thrown("out-of-order", false);
  });
  expect(since.sent).toBe(since.records);
}, 60_000);

test("what PostHog drops is counted as dropped and as nothing else", async () => {
  const since = await differences(async () => {
    await thrown("drop-deliveries");
    await until("some were dropped", async () => (await proof()).dropped > 0, LIMIT);
    await thrown("drop-deliveries", false);
  });
  expect(since.dropped).toBeGreaterThan(0);
  expect(since.records).toBe(since.sent - since.dropped);
  expect(since.words).toContain(`${since.dropped} dropped by PostHog`);
}, 90_000);

test("a mail server that answers 451 delays a mail, and it comes once when it takes mail again", async () => {
  const distinctId = crypto.randomUUID();
  const email = `${distinctId}@example.org`;
  const status = async () => await (await fetch(`${urlOf("processor")}/api/status`)).json();
  const mails = async () => await (await fetch(`${urlOf("processor")}/api/mails`)).json();
  const since = await differences(async () => {
    const { deferred } = (await status()).mails;
    const before = (await proof()).mails;
    await thrown("mail-refuses");
    const answer = await fetch(`${urlOf("web")}/api/identity`, {
      method: "POST",
      headers: page(),
      body: JSON.stringify({ distinctId, anonymousId: "anonymous-1", email }),
    });
    const proofs = await answer.json();
    await click({ distinct_id: distinctId, $set: { email, email_proof: proofs.email } }, "$identify");
    for (let use = 0; use < 5; use++) await click({ distinct_id: distinctId }, "feature_used");
    await until(
      "it was refused more than once",
      async () => (await status()).mails.deferred >= deferred + 2,
      LIMIT,
    );
    expect(JSON.stringify((await mails()).mails)).not.toContain(email);
    await thrown("mail-refuses", false);
    await until("it is there", async () => JSON.stringify((await mails()).mails).includes(email), LIMIT);
    await until("it is counted", async () => (await proof()).mails > before, LIMIT);
  });
  expect(since.mails).toBeGreaterThanOrEqual(1);
  const { mails: listed } = await mails();
  expect(listed.filter(({ to }: { to: string }) => to === email)).toHaveLength(1);
}, 120_000);

test("something broken becomes a dead letter, and nothing else is held up", async () => {
  const since = await differences(async () => {
    for (let n = 0; n < 3; n++) await thrown("send-broken");
  });
  expect(since.deadLetters).toBe(3);
  expect(since.words).toContain("3 dead letters");
}, 60_000);

test("the switches are for this machine's own page", async () => {
  const foreign = { ...page(), origin: "https://elsewhere.example" };
  expect((await breaks("kill-ingest", true, foreign)).status).toBe(403);
  expect((await breaks("kill-ingest", true, { "content-type": "application/json" })).status).toBe(403);
  expect((await breaks("kill-ingest", true, { ...page(), "x-forwarded-for": "10.0.0.1" })).status).toBe(
    403,
  );
  expect((await breaks("kill-web" as Switch)).status).toBe(404);
  const wrong = await fetch(`${urlOf("web")}/api/break/deliver-twice`, {
    method: "POST",
    headers: page(),
    body: '{"on":"yes"}',
  });
  expect(wrong.status).toBe(400);
}, 120_000);
