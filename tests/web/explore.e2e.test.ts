/**
 * Exploring, a page per event, what ingest alone tells, and the demo's panel: in a real browser, over stand-ins of the other
 * services (tests/web/fakes.ts). The demo's control is imitated too: it answers figures and notes what was thrown.
 */
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { EventDetail } from "../../contract/processor_api.ts";
import { noBrowser, startBrowser, watch } from "../support/browser.ts";
import { until } from "../support/until.ts";
import { type Fakes, startFakes } from "./fakes.ts";
import { startWeb } from "./start_web.ts";

const UUID = "019ad56c-5168-7457-bac6-82981da45fb3";
const FILE = "event=generation_failed/date=2026-01-01/p00003-0000.jsonl";
const RECEIVED = "2026-01-01T12:00:00.250Z";

let fakes: Fakes;
let demo: ReturnType<typeof startDemo>;
let web: Awaited<ReturnType<typeof startWeb>>;
let browser: Browser;
let context: BrowserContext;
let page: Page;
let complaints: ReturnType<typeof watch>;

beforeAll(async () => {
  if (!noBrowser) browser = await startBrowser();
});
afterAll(() => browser?.close());
beforeEach(async (test) => {
  if (noBrowser) return test.skip(noBrowser);
  fakes = startFakes();
  demo = startDemo();
  web = await startWeb({ ...fakes.environment, DEMO_CONTROL_URL: demo.url, DEMO_CONTROL_TOKEN: "secret" });
  context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  complaints = watch(context, { origin: web.origin });
  page = await context.newPage();
  await page.goto(web.origin);
  await page.locator(".station", { hasText: "Browser" }).getByText("live").waitFor();
});
afterEach(async () => {
  if (noBrowser) return;
  await context.close();
  await web.stop();
  await fakes.stop();
  await demo.stop();
});

/** The demo's own side of the panel. */
function startDemo() {
  const thrown: { name: string; on: boolean }[] = [];
  const proof = {
    ...{ sent: 7, delivered: 7, dropped: 0, durable: 7, records: 7, lines: 7, deadLetters: 0, duplicates: 0 },
    ...{ counted: 0, mails: 0, agree: true, words: "7 sent: 7 lines, 0 lost, 0 doubled" },
    switches: {} as Record<string, boolean>,
  };
  let refusal: string | null = null;
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen: () => {} }, async (request) => {
    const { pathname } = new URL(request.url);
    if (request.headers.get("authorization") !== "Bearer secret") return new Response(null, { status: 401 });
    if (pathname === "/proof") return Response.json(proof);
    const { on } = await request.json();
    if (refusal !== null) {
      return Response.json({ error: { code: "not_now", message: refusal } }, { status: 409 });
    }
    const name = pathname.slice("/break/".length);
    thrown.push({ name, on });
    proof.switches[name] = on;
    return Response.json({ switch: name, on });
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    thrown,
    proof,
    refuse: (why: string | null) => refusal = why,
    stop: () => server.shutdown(),
  };
}

function failure(uuid: string, { prompt = "call +44 7911 123456", user = "user-1" } = {}) {
  return {
    uuid,
    event: "generation_failed",
    timestamp: new Date().toISOString(),
    properties: { distinct_id: user, input_prompt: prompt, failure_reason: "timeout" },
  };
}

const row = (text: string) => page.locator(".row", { hasText: text });
const rows = () => page.locator(".row").count();
const button = (name: string | RegExp) => page.getByRole("button", { name, exact: true });
const station = (name: string) => page.locator(".station", { hasText: name });

describe("the explore bar", () => {
  test("finds events by what they are, and says when none is one of these", async () => {
    fakes.take(failure("e1", { prompt: "the first" }));
    fakes.take({ ...failure("e2"), event: "feature_used" });
    await until("both are there", async () => await rows() === 2);
    const search = page.getByLabel("Search events");
    await search.fill("the first");
    await until("one is found", async () => await rows() === 1);
    await search.fill("p3 @ 1");
    await row("feature_used").waitFor();
    expect(await rows()).toBe(1);
    await search.fill("nothing of this kind");
    await page.getByText("None of the 2 newest events is one of these.").waitFor();
    await button("Show everything").click();
    await until("both are shown", async () => await rows() === 2);
    await page.getByLabel("Kind").selectOption({ label: "uses" });
    await until("the use is left", async () => await rows() === 1);
    await page.getByLabel("Kind").selectOption({ label: "everything" });
    await page.getByLabel("Only mine").check();
    await page.getByText("None of the 2 newest events is one of these.").waitFor();
    expect(complaints).toEqual({ console: [], otherHosts: [] });
  });

  test("works by keys, which are no keys while somebody types, and can be turned off", async () => {
    fakes.take(failure("e1"));
    fakes.take(failure("e2"));
    await until("both are there", async () => await rows() === 2);
    const focused = () => page.evaluate(() => (document.activeElement as HTMLElement).dataset.id ?? null);
    await page.keyboard.press("j");
    expect(await focused()).toBe("e2");
    await page.keyboard.press("j");
    expect(await focused()).toBe("e1");
    await page.keyboard.press("k");
    expect(await focused()).toBe("e2");
    await page.keyboard.press("/");
    await page.keyboard.type("jp?");
    expect(await page.getByLabel("Search events").inputValue()).toBe("jp?");
    expect(await button("Pause").getAttribute("aria-pressed")).toBe("false");
    await page.getByLabel("Search events").fill("");
    await page.locator("h1").click();
    await page.keyboard.press("p");
    await page.locator("button[aria-pressed=true]", { hasText: "Pause" }).waitFor();
    await page.keyboard.press("?");
    const dialog = page.getByRole("dialog", { name: "Keys" });
    await dialog.getByLabel("Keys are on").uncheck();
    await dialog.getByRole("button", { name: "Close" }).click();
    await page.locator("h1").click();
    await page.keyboard.press("p");
    expect(await button("Pause").getAttribute("aria-pressed")).toBe("true");
  });

  test("paused, the list stays and counts what is new; rows in it still grow", async () => {
    fakes.add([polledStep("e1", 0)]);
    await row("generation_failed").waitFor();
    await button("Pause").click();
    fakes.take(failure("e2"));
    await button("1 new").waitFor();
    fakes.add([{ step: "written", id: "e1", file: FILE, line: 9, prompt: "x", at: RECEIVED }]);
    await row("p00003-0000:9").waitFor();
    expect(await rows()).toBe(1);
    await button("1 new").click();
    await until("it is let in", async () => await rows() === 2);
    fakes.take(failure("e3"));
    await button("1 new").waitFor();
    await button("Pause").click();
    await until("the list goes on", async () => await rows() === 3);
  });

  test("a row that somebody reads stays, whatever the kind asked for and however many come", async () => {
    fakes.add([polledStep("e1", 0)]);
    await row("generation_failed").waitFor();
    await page.getByLabel("Kind").selectOption({ label: "failed generations" });
    await page.locator('[data-id="e1"]').focus();
    fakes.add(Array.from({ length: 1_100 }, (_, i) => polledStep(`n${i}`, i + 1)));
    await button(/^\d+ newer events$/).or(page.getByRole("button", { name: /newer events/ })).first()
      .waitFor();
    expect(await page.locator('[data-id="e1"]').count()).toBe(1);
    expect(await page.locator('[data-id="e1"]').evaluate((item) => item === document.activeElement)).toBe(
      true,
    );
    expect(await rows()).toBe(1);
  });

  test("a touch holds the list as a pointer does, until something else is touched", async () => {
    const phone = await browser.newContext({ viewport: { width: 360, height: 740 }, hasTouch: true });
    const touched = await phone.newPage();
    await touched.goto(web.origin);
    await touched.locator(".station-name", { hasText: "Browser" }).waitFor();
    fakes.take(failure("e1"));
    await touched.locator('[data-id="e1"]').waitFor();
    await touched.locator('[data-id="e1"] .when').dispatchEvent("touchstart");
    fakes.take(failure("e2"));
    await touched.getByRole("button", { name: "1 newer event" }).waitFor();
    await touched.locator("h1").dispatchEvent("touchstart");
    await touched.locator('[data-id="e2"]').waitFor();
    await phone.close();
  });
});

function polledStep(id: string, offset: number) {
  return {
    step: "polled" as const,
    id,
    event: "generation_failed",
    distinctId: "user-1",
    position: `3:${offset}`,
    eventAt: RECEIVED,
    receivedAt: RECEIVED,
    at: RECEIVED,
  };
}

describe("an event's page", () => {
  const raw = JSON.stringify({ event: { uuid: UUID, event: "generation_failed", distinct_id: "user-1" } });
  const detail: EventDetail = {
    uuid: UUID,
    event: "generation_failed",
    distinctId: "user-1",
    deliveries: [
      {
        receivedAt: RECEIVED,
        partition: 3,
        offset: 41,
        outcome: "line",
        redrives: 0,
        headers: { id: UUID },
        raw,
      },
      { receivedAt: RECEIVED, partition: 3, offset: 57, outcome: "duplicate", redrives: 0, headers: {}, raw },
    ],
    line: { file: FILE, line: 17, text: '{"input_prompt":"call <PHONE_NUMBER>"}' },
    facts: [{ fact: "counted", at: RECEIVED, subject: "abc", position: "3:41" }],
    lookedAt: { partitions: [], facts: null },
  };

  test("shows deliveries, line, facts, headers and envelope, and is reached from its row", async () => {
    fakes.details.set(UUID, detail);
    fakes.take(failure(UUID));
    fakes.recent.length = 0;
    await row("generation_failed").getByRole("link", { name: "generation_failed" }).click();
    await page.getByRole("heading", { level: 1, name: UUID }).waitFor();
    const table = page.getByRole("region", { name: "Deliveries of this event" });
    expect(await table.locator("tbody tr").allInnerTexts()).toEqual([
      expect.stringMatching(/^12:00:00\.250 [^]*p3 @ 41\s+a line of the dataset$/),
      expect.stringMatching(/p3 @ 57\s+dropped: the event was there already$/),
    ]);
    expect(await page.getByRole("link", { name: "p00003-0000:17" }).getAttribute("href")).toContain("#L17");
    await page.getByText('call <PHONE_NUMBER>"}').waitFor();
    await page.getByText('"subject":"abc"').waitFor();
    await page.getByRole("region", { name: "Headers of p3 @ 41" }).waitFor();
    expect(await page.getByLabel("Raw envelope").allInnerTexts()).toEqual([raw]);
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    await button("copy as curl").click();
    await button("copied").waitFor();
    expect(await page.evaluate(() => navigator.clipboard.readText())).toContain(`-d '${raw}'`);
    await button("copy link").click();
    await until(
      "the link is copied",
      async () =>
        await page.evaluate(() => navigator.clipboard.readText()) === `${web.origin}/events/${UUID}`,
    );
    expect(complaints).toEqual({ console: [], otherHosts: [] });
  });

  test("shows no envelope under a name that is not this machine's", async () => {
    fakes.details.set(UUID, detail);
    const { port } = new URL(web.origin);
    const get = async (path: string, host: string) => {
      using connection = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
      await connection.write(
        new TextEncoder().encode(
          `GET ${path} HTTP/1.1\r\nHost: ${host}:${port}\r\nConnection: close\r\n\r\n`,
        ),
      );
      return await new Response(connection.readable).text();
    };
    for (const path of [`/events/${UUID}`, `/api/events/${UUID}`]) {
      expect(await get(path, "localhost"), path).toMatch(/distinct_id.{1,12}:.{1,12}user-1/);
      expect(await get(path, "evil.example"), path).not.toContain("distinct_id");
    }
  });

  test("says that nothing is known of an unknown one, and what ingest knows while the processor is away", async () => {
    const answer = await page.goto(`${web.origin}/events/${UUID}`);
    expect(answer!.status()).toBe(404);
    await page.getByText("Nothing is known of an event with this uuid.").waitFor();
    fakes.take(failure(UUID));
    await fakes.stopProcessor();
    expect((await page.goto(`${web.origin}/events/${UUID}`))!.status()).toBe(200);
    await page.getByText("The processor does not answer").waitFor();
    await page.getByText("durable in the topic, says ingest").waitFor();
    await page.getByText("p3 @ 0").waitFor();
  });

  test("lists its deliveries and facts on a phone, cut nowhere", async () => {
    const [first] = detail.deliveries;
    const letter = {
      ...first!,
      outcome: "dead_letter" as const,
      reason: "properties.input_prompt is missing",
    };
    fakes.details.set(UUID, { ...detail, deliveries: [letter, first!] });
    await page.setViewportSize({ width: 360, height: 740 });
    await page.goto(`${web.origin}/events/${UUID}`);
    const cut = page.locator("main .scroll:has(table)");
    expect(await cut.count()).toBeGreaterThan(0);
    expect(await cut.evaluateAll((all) => all.map((one) => one.scrollWidth - one.clientWidth)))
      .toEqual(Array(await cut.count()).fill(0));
  });

  test("says that more came of it, and stays as it is", async () => {
    const [first] = detail.deliveries;
    fakes.details.set(UUID, { ...detail, deliveries: [{ ...first!, outcome: "waiting" }], line: null });
    await page.goto(`${web.origin}/events/${UUID}`);
    await page.getByText("waits for the processor").waitFor();
    fakes.take(failure(UUID));
    await page.getByText("More has become of it since.").waitFor();
    fakes.details.set(UUID, detail);
    await page.getByRole("link", { name: "Show it" }).click();
    await page.getByText("a line of the dataset").waitFor();
  });
});

describe("without the processor", () => {
  test("a click's row says where it is durable, by ingest's word, also after a reload", async () => {
    await fakes.stopProcessor();
    await station("Processor").getByText("away").waitFor();
    await button("Simulate Generation Failure").click();
    await row("generation_failed").getByText("p3 @ 0").waitFor();
    await row("generation_failed").getByText("Durable in the topic, says ingest").waitFor();
    expect(await row("generation_failed").locator(".stop.awaited .place").allInnerTexts()).toEqual([
      "dataset",
    ]);
    await station("Processor").getByText(/last seen \d+ s ago|last seen just now/).waitFor();
    await station("Topic").getByText("1 record").waitFor();
    await page.reload();
    await row("generation_failed").getByText("p3 @ 0").waitFor();
  });

  test("what it reads from the log when it is back is not announced as if it had arrived", async () => {
    await fakes.stopProcessor();
    await page.reload();
    await station("Processor").getByText("away").waitFor();
    fakes.restartProcessor();
    await station("Processor").getByText("ready").waitFor();
    await page.evaluate(() => {
      const live = document.querySelector("[aria-live=polite]")!;
      document.body.dataset.said = "";
      new MutationObserver(() => document.body.dataset.said += `${live.textContent}\n`)
        .observe(live, { childList: true, characterData: true, subtree: true });
    });
    const told = (id: string) => ({ id, fromLog: true as const, at: new Date().toISOString() });
    const polled = {
      step: "polled" as const,
      event: "generation_failed",
      distinctId: "u",
      eventAt: RECEIVED,
    };
    const written = { step: "written" as const, file: FILE, line: 1, prompt: "old" };
    fakes.add(["a", "b"].flatMap((id, i) => [
      { ...polled, ...told(id), position: `3:${90 + i}`, receivedAt: RECEIVED },
      { ...written, ...told(id) },
    ]));
    const mail = { step: "mail" as const, offer: "7", distinctId: "u", outcome: "accepted" as const };
    const more = { words: "250 ok", messageId: "m7", nextAttemptAt: null, fromLog: true as const };
    fakes.add([{ ...mail, ...more, at: new Date().toISOString() }]);
    // Two events, the offer, and its mail.
    await page.getByText("read from the log").nth(3).waitFor();
    fakes.add([{
      step: "dead_lettered",
      id: "c",
      position: "3:99",
      reason: "no JSON",
      at: new Date().toISOString(),
    }]);
    const live = page.locator("[aria-live=polite]");
    await live.getByText(/as a dead letter: no JSON/).waitFor({ state: "attached" });
    expect(await page.evaluate(() => document.body.dataset.said)).not.toMatch(/arrived|written|mail/);
  });

  test("an event that PostHog gave up is said to be dropped, with the command that brings it back", async () => {
    fakes.answerOfPosthog(503);
    await button("Simulate Generation Failure").click();
    await row("generation_failed").waitFor();
    const uuid = (await row("generation_failed").getAttribute("data-id"))!;
    const at = new Date().toISOString();
    fakes.givenUp.push({ at, uuid, event: "generation_failed", attempts: 3, words: "answered 503" });
    await row("generation_failed").getByText("dropped by PostHog").waitFor();
    await row("generation_failed").getByText(/deno task backfill --from .*Z --until .*Z/).waitFor();
    fakes.answerOfPosthog(200);
    await row("generation_failed").getByText("p00003-0000:1").waitFor();
    expect(await row("generation_failed").getByText("dropped by PostHog").count()).toBe(0);
  });

  test("when web is gone every station is grey, and the panel says since when its figures stand", async () => {
    await page.locator("[data-proof=agrees]").waitFor();
    await web.stop();
    await station("Browser").getByText("offline").waitFor();
    expect(await page.locator(".station.tone-quiet").count()).toBe(5);
    await station("Ingest").getByText("last seen").waitFor();
    await page.getByText(/^Web does not answer, last seen .*: nothing on this page is newer\.$/).waitFor();
    await page.locator("[data-proof=unknown]", { hasText: "these figures were last seen" }).waitFor();
  });
});

describe("the panel that breaks something", () => {
  test("throws each switch, and back; its proof counts along and says in words whether it agrees", async () => {
    const proof = page.locator("[role=status][data-proof]");
    await proof.getByText("7 sent: 7 lines, 0 lost, 0 doubled.").waitFor();
    expect(await proof.locator(".figure").allInnerTexts()).toEqual([
      ...[
        "sent 7",
        "delivered 7",
        "durable 7",
        "lines 7",
        "dead letters 0",
        "duplicates dropped 0",
        "mails 0",
      ],
    ]);
    for (const name of ["Kill the processor", "Kill ingest", "Send something broken"]) {
      await button(name).click();
    }
    await button("Mail server refuses").click();
    await page.locator("[aria-pressed=true]", { hasText: "Mail server refuses" }).waitFor();
    for (const name of ["Pause deliveries", "Deliver twice", "Out of order", "Drop deliveries"]) {
      await page.getByRole("switch", { name }).click();
      await page.locator("[role=switch][aria-checked=true]", { hasText: name }).waitFor();
    }
    await page.getByRole("switch", { name: "Deliver twice" }).click();
    await page.locator("[role=switch][aria-checked=false]", { hasText: "Deliver twice" }).waitFor();
    await until("all are thrown", () => demo.thrown.length === 9);
    expect(demo.thrown.map(({ name, on }) => `${name} ${on}`).sort()).toEqual([
      "deliver-twice false",
      "deliver-twice true",
      "drop-deliveries true",
      "kill-ingest true",
      "kill-processor true",
      "mail-refuses true",
      "out-of-order true",
      "pause-deliveries true",
      "send-broken true",
    ]);
    Object.assign(demo.proof, { sent: 9, agree: false, words: "Not yet: 2 on their way from PostHog" });
    await proof.getByText("Not yet: 2 on their way from PostHog.").waitFor();
    expect(await proof.getAttribute("data-proof")).toBe("differs");
    expect(complaints).toEqual({ console: [], otherHosts: [] });
  });

  test("says why something cannot be done now", async () => {
    demo.refuse("processor does not run now: it is being started again.");
    await button("Kill the processor").click();
    await page.getByRole("alert").getByText("processor does not run now").waitFor();
  });

  test("no page is wider than the screen from 360 px on, in either scheme", async () => {
    fakes.details.set(UUID, {
      ...{
        uuid: UUID,
        event: "x".repeat(300),
        distinctId: "y".repeat(300),
        facts: [{ fact: "f", z: "z".repeat(300) }],
      },
      deliveries: [{
        ...{ receivedAt: RECEIVED, partition: 3, offset: 41, outcome: "dead_letter" as const, redrives: 2 },
        ...{ reason: "r".repeat(200), headers: { h: "v".repeat(300) }, raw: "w".repeat(30_000) },
      }],
      line: { file: FILE, line: 1, text: "t".repeat(3_000) },
      lookedAt: { partitions: [], facts: null },
    });
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme });
      for (const width of [360, 2560]) {
        await page.setViewportSize({ width, height: 740 });
        for (const path of ["/", `/events/${UUID}`]) {
          await page.goto(web.origin + path);
          await page.locator("h1").waitFor();
          expect(await page.evaluate(() => document.documentElement.scrollWidth), `${path} ${width}`).toBe(
            width,
          );
        }
      }
    }
  });
});

test("outside the demo there is no such panel", async () => {
  const plain = await startWeb(fakes.environment);
  expect(await (await fetch(plain.origin)).text()).not.toContain("Break something");
  await plain.stop();
});
