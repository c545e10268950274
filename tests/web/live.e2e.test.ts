/**
 * The live page as who clicks sees it: the way of a click lights up, a phone shows it under the button, a mail arrives, row
 * and panel agree in every state of an offer, a reload forgets nothing, and without script nothing gets into an address. In
 * a real browser, over stand-ins of the other services (tests/web/fakes.ts).
 */
import { gunzipSync } from "node:zlib";
import type { Browser, BrowserContext, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { OfferView } from "../../contract/processor_api.ts";
import { noBrowser, startBrowser, watch } from "../support/browser.ts";
import { until } from "../support/until.ts";
import { type Fakes, MESSAGE_ID, startFakes, THRESHOLD } from "./fakes.ts";
import { startWeb } from "./start_web.ts";

const ISO = /\d{4}-\d\d-\d\dT\d\d:\d\d/;
const STATIONS = ["Browser", "PostHog stand-in", "Ingest", "Topic", "Processor"];

let fakes: Fakes;
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
  web = await startWeb(fakes.environment);
});
afterEach(async () => {
  if (noBrowser) return;
  await context?.close();
  await web.stop();
  await fakes.stop();
});

async function open(options: BrowserContextOptions = {}): Promise<void> {
  context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  complaints = watch(context, { origin: web.origin });
  page = await context.newPage();
  await page.goto(web.origin);
  if (options.javaScriptEnabled !== false) {
    await page.locator(".station", { hasText: "Browser" }).getByText("live").waitFor();
  }
}

const button = (name: string) => page.getByRole("button", { name, exact: true });
const row = (text: string | RegExp) => page.locator(".row", { hasText: text });

async function identify(address = "ada@example.org"): Promise<void> {
  await page.getByLabel("E-mail").fill(address);
  await page.getByLabel("E-mail").press("Enter");
  await page.getByText(`with ${address}`).waitFor();
}

async function useTimes(times: number): Promise<void> {
  for (let i = 1; i <= times; i++) {
    await button("Simulate Feature Usage").click();
    await row(`counted ${i} of ${THRESHOLD}`).waitFor();
  }
}

function capturedEvents(): { event: string; properties: Record<string, string> }[] {
  const bodies = fakes.captured.filter(({ path }) => path === "/e/").map(({ body }) => gunzipSync(body));
  return bodies.flatMap((body) => JSON.parse(body.toString()).batch);
}

/** Notes from now on which stations and stops were lit, each with how many there were at once. */
function noteLights(): Promise<void> {
  return page.evaluate(() => {
    const seen: string[] = [];
    Object.assign(globalThis, { seen });
    const look = () => {
      const names = [...document.querySelectorAll(".station.lit .station-name")].map((one) =>
        one.textContent
      );
      const now = `${names.join(", ")} | ${document.querySelectorAll(".row:first-child .stop.lit").length}`;
      if (now !== seen.at(-1)) seen.push(now);
    };
    look();
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true });
  });
}

const lights = () => page.evaluate(() => (globalThis as unknown as { seen: string[] }).seen);

describe("the journey of a click", () => {
  test("lights the stations one after another, and the stops of its row with them, with the measured times", async () => {
    await open();
    await noteLights();
    await button("Simulate Generation Failure").click();
    await page.locator(".station.lit", { hasText: "Processor" }).waitFor();
    const took = page.locator(".station.lit .took");
    expect(await took.count()).toBe(3);
    for (const text of await took.allInnerTexts()) expect(text).toMatch(/^(<1|\d+) ms$|clocks differ|\ds$/);
    await until("it has passed", async () => await page.locator(".station.lit").count() === 0);
    const stations = (await lights()).map((one) => one.split(" | ")[0]!);
    const steps = stations.filter((one, i) => one !== stations[i - 1]);
    expect(steps).toEqual(["", ...STATIONS.map((_, i) => STATIONS.slice(0, i + 1).join(", ")), ""]);
    const stops = (await lights()).map((one) => Number(one.split(" | ")[1]));
    expect([...new Set(stops)]).toEqual([0, 1, 2, 3, 4]);
    expect(complaints).toEqual({ console: [], otherHosts: [] });
  });

  test("is nothing of it where reduced motion is asked for: all is there at once", async () => {
    await open({ reducedMotion: "reduce" });
    await noteLights();
    await button("Simulate Generation Failure").click();
    await row("generation_failed").getByText("p00003-0000:1").waitFor();
    expect(await page.locator(".unlit").count()).toBe(0);
    // A second one, so that the first has had its time.
    await button("Simulate Feature Usage").click();
    await row("counted 1 of 5").waitFor();
    expect(await lights()).toEqual([" | 0"]);
  });
});

describe("on a phone", () => {
  const phone = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true };

  test("the last event stands under the button that was tapped, in sight, and grows to its end", async () => {
    await open(phone);
    const last = page.getByRole("region", { name: "Your last event" });
    expect(await last.count()).toBe(0);
    await page.getByLabel("E-mail").fill("ada@example.org");
    await button("Identify").tap();
    await last.getByText("address known").waitFor();
    fakes.answerOfPosthog(503);
    await button("Simulate Generation Failure").tap();
    await last.locator(".stop.awaited", { hasText: "webhook" }).waitFor();
    fakes.answerOfPosthog(200);
    await last.getByText("p00003-0000:1").waitFor();
    const [under, box] = [
      await button("Simulate Generation Failure").boundingBox(),
      await last.boundingBox(),
    ];
    expect(box!.y - (under!.y + under!.height)).toBeLessThan(40);
    expect(box!.y + box!.height).toBeLessThanOrEqual(740);
    await button("Simulate Feature Usage").tap();
    await last.getByText("counted 1 of 5").waitFor();
    expect(await last.count()).toBe(1);
    const use = await last.boundingBox();
    expect(use!.y).toBeGreaterThan((await button("Simulate Feature Usage").boundingBox())!.y);
    expect(use!.y + use!.height).toBeLessThanOrEqual(740);
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(360);
  });
});

describe("who somebody is", () => {
  test("an address that is typed is an event of its own, which says what it did", async () => {
    await open();
    await identify();
    await row("$identify").getByText("address known").waitFor();
    expect(await row("$identify").locator(".stop.awaited").count()).toBe(0);
    await row("$identify").getByText("you", { exact: true }).waitFor();
    await identify("grace@example.org");
    await row("$set").getByText("address known").waitFor();
  });

  test("what somebody did before they were identified stays theirs, and nothing of it is the next one's", async () => {
    await open();
    await useTimes(THRESHOLD);
    await row("discount offer").getByText("No address known: waits for one").waitFor();
    await identify();
    await row("$identify").getByText("address known").waitFor();
    const { properties } = capturedEvents().find(({ event }) => event === "$identify")!;
    const before = fakes.offers.get(properties.$anon_distinct_id!)!;
    // PostHog joins the two ids, and so does the processor.
    fakes.offers.set(properties.distinct_id!, {
      ...before,
      distinctId: properties.distinct_id!,
      addressKnown: true,
    });
    await button("Simulate Feature Usage").click();
    await row("counts no further").waitFor();
    await row("discount offer").getByText("Offer earned, mail due in").waitFor();
    expect(await row("discount offer").locator(".tag").innerText()).toBe("you");
    await agreed(/^Offer earned, mail due in/);
    await button("Be somebody else").click();
    await page.getByText("You are anonymous.").waitFor();
    await until("nobody is you", async () => await page.locator(".row .tag").count() === 0);
  });
});

const NO_MAIL = () => ({ messageId: null, nextAttemptAt: null, at: new Date().toISOString() });

/** The offer's words, without what goes on each second. */
const wordsOf = async (where: string) =>
  (await page.locator(where).first().innerText()).replace(/\d+:\d\d|\d+ s ago|just now/g, "…");

async function agreed(words: RegExp): Promise<void> {
  await until(`row and panel say ${words}`, async () => {
    const [panel, line] = [await wordsOf(".panel .offer"), await wordsOf(".offer-row .offer")];
    return words.test(panel) && panel === line;
  });
}

describe("an offer", () => {
  test("is told in the same words by its row, the panel and its page, whatever state it is in", async () => {
    await open();
    await useTimes(THRESHOLD);
    const [id, offer] = [...fakes.offers][0]!;
    const soon = (ms: number) => new Date(Date.now() + ms).toISOString();
    const states: [Partial<OfferView>, RegExp][] = [
      [{}, /^No address known: waits for one/],
      [{ addressKnown: true }, /^Offer earned, mail due in/],
      [{ dueAt: soon(-1_000) }, /^The mail is due/],
      [{ state: "sending", dueAt: null }, /^The mail is being sent/],
      [
        { state: "waiting", dueAt: soon(90_000), failedTries: 1, lastWords: "451 later" },
        /^Not sent yet, tried again in[^]*The last attempt: 451 later\./,
      ],
      [
        { state: "failed", reason: "550 no_such_user", dueAt: null },
        /^The mail was not sent[^]*550 no_such_user\./,
      ],
      [{ state: "closed", reason: "opted_out" }, /^The offer is closed[^]*wants no mail/],
      [{ state: "offered", reason: null, sentAt: soon(-2_000) }, /^The mail was sent/],
    ];
    for (const [part, words] of states) {
      Object.assign(offer, part);
      // No step tells of it: the page looks again when anything of the person happens.
      fakes.add([{
        step: "mail",
        offer: "3:0",
        distinctId: id,
        outcome: "deferred",
        words: "x",
        ...NO_MAIL(),
      }]);
      await agreed(words);
    }
    const said = await wordsOf(".panel .offer");
    const api = await (await fetch(`${web.origin}/api/offers/${encodeURIComponent(id)}`)).json();
    expect(api).toMatchObject({ state: "offered", offer: "3:0" });
    offer.timeline.push({ at: soon(-1_000), what: `attempt 1 failed, next ${soon(60_000)}: 451 later` });
    await page.goto(`${web.origin}/offers/${encodeURIComponent(id)}`);
    await until("its page says the same", async () => await wordsOf(".offer") === said);
    await page.getByText(/attempt 1 failed, next \d\d:\d\d:\d\d: 451 later/).waitFor();
    expect(await page.locator("main").innerText()).not.toMatch(ISO);
  });

  test("is said to be as it was while the processor is away, by row and panel, and no letter is said to be unread", async () => {
    await open();
    await useTimes(THRESHOLD);
    fakes.add([{
      step: "dead_lettered",
      id: "letter",
      position: "2:9",
      reason: "no JSON",
      at: new Date().toISOString(),
    }]);
    await row("Set aside: no JSON").waitFor();
    expect(await row("Set aside: no JSON").innerText()).not.toContain("says ingest");
    await agreed(/^No address known/);
    await fakes.stopProcessor();
    await agreed(/^As it was .+:\s+No address known/);
    // What a look of before says less is no contradiction either.
    fakes.restartProcessor();
    await row("Set aside: no JSON").waitFor();
    const offer = [...fakes.offers.values()][0]!;
    Object.assign(offer, { state: "counting", offer: null, uses: 4 });
    await agreed(/^Earned/);
    await page.locator('.panel .dots[aria-label="5 of 5 uses"]').waitFor();
  });

  test("in a page without script its row says how it stands, too", async () => {
    await open();
    await useTimes(THRESHOLD);
    [...fakes.offers.values()][0]!.addressKnown = true;
    expect(await (await fetch(web.origin)).text()).toContain("Offer earned, mail due in");
  });

  test("its mail is a row of its own on top, and a count in the menu until it has been opened", async () => {
    await open();
    await identify();
    await useTimes(THRESHOLD);
    expect(await page.getByRole("link", { name: "Mail", exact: true }).innerText()).toBe("Mail");
    fakes.sendMail({ to: "ada@example.org", html: "<p>hello</p>" });
    const first = page.locator(".row").first();
    await first.getByText("ada@example.org").waitFor();
    expect(await first.innerText()).toMatch(/^mail\s+ada@example\.org[^]*you\s+sent (just now|\d+ s ago)/);
    expect(await first.getByRole("link", { name: "open" }).getAttribute("href")).toBe(
      `/mail/${encodeURIComponent(MESSAGE_ID)}`,
    );
    await page.getByRole("navigation").getByRole("link", { name: "Mail 1 unread" }).waitFor();
    await page.goto(`${web.origin}/dataset`);
    await page.getByRole("navigation").getByRole("link", { name: "Mail 1 unread" }).waitFor();
    await page.goto(`${web.origin}/mail/${encodeURIComponent(MESSAGE_ID)}`);
    await page.getByRole("navigation").getByRole("link", { name: "Mail", exact: true }).waitFor();
    await page.evaluate(() => localStorage.setItem("pipeline.mail.read", "no JSON"));
    await page.goto(`${web.origin}/dataset`);
    await page.getByRole("navigation").getByRole("link", { name: "Mail 1 unread" }).waitFor();
    expect(complaints).toEqual({ console: [], otherHosts: [] });
  });
});

describe("the list", () => {
  test("keeps the times of one's own events over a reload, also where the processor has started since", async () => {
    await open();
    await useTimes(1);
    const id = (await row("feature_used").getAttribute("data-id"))!;
    const before = await row("feature_used").locator(".path").innerText();
    expect(before).toMatch(/^captured\s+[^]*ms/);
    await fakes.stopProcessor();
    fakes.restartProcessor();
    fakes.recent.length = 0;
    await page.reload();
    const at = new Date().toISOString();
    const polled = {
      step: "polled",
      id,
      event: "feature_used",
      distinctId: "u",
      position: "3:0",
      at,
    } as const;
    fakes.add([{ ...polled, eventAt: null, receivedAt: at, fromLog: true }]);
    fakes.add([{ ...polled, id: "other", position: "3:9", eventAt: null, receivedAt: at, fromLog: true }]);
    await page.locator('[data-id="other"]').getByText("read from the log").waitFor();
    await page.locator(`[data-id="${id}"]`).waitFor();
    expect(await page.locator(`[data-id="${id}"] .path`).innerText()).toBe(before);
    expect(await page.locator(`[data-id="${id}"]`).getByText("read from the log").count()).toBe(0);
    // Of what nobody tells of any more there is no row that says it were on its way.
    await fakes.stopProcessor();
    fakes.restartProcessor();
    await page.reload();
    await page.locator(".station", { hasText: "Browser" }).getByText("live").waitFor();
    fakes.add([{ ...polled, id: "another", position: "3:10", eventAt: null, receivedAt: at, fromLog: true }]);
    await page.locator('[data-id="another"]').waitFor();
    expect(await page.locator(`[data-id="${id}"]`).count()).toBe(0);
  });

  test("a prompt that the sanitiser left as it was is there once, and every text in its own direction", async () => {
    await open();
    await page.getByLabel("Prompt").fill("لخص هذا النص");
    await button("Simulate Generation Failure").click();
    const failed = row("generation_failed");
    await failed.getByText("unchanged by the sanitiser").waitFor();
    expect(await failed.locator(".prompt").count()).toBe(1);
    const direction = (where: string) =>
      page.locator(where).evaluate((one) => getComputedStyle(one).direction);
    expect(await direction(".row .prompt .text")).toBe("rtl");
    expect(await direction("#prompt")).toBe("rtl");
    await page.getByLabel("Prompt").fill("مرحبا ada@example.org");
    await button("Simulate Generation Failure").click();
    await row("<EMAIL_ADDRESS>").waitFor();
    expect(await direction(".row mark")).toBe("ltr");
    fakes.take({ uuid: "other", event: "signed_up", timestamp: new Date().toISOString(), properties: {} });
    await row("signed_up").getByText("nothing is made of it").waitFor();
    expect(await page.locator("main").innerText()).not.toMatch(ISO);
  });
});

/** Chromium takes `noscript` as script's business however script is turned off from outside: its sentence is in the page. */
test("without script a form puts nothing that was typed into an address, and says what it needs", async () => {
  await open({ javaScriptEnabled: false });
  expect(await (await fetch(web.origin)).text()).toMatch(
    /<noscript><p [^>]*id="needs-script">The buttons need script/,
  );
  const asked: string[] = [];
  page.on("request", (request) => asked.push(request.url()));
  await page.locator("#prompt").fill("my secret prompt");
  await page.locator("#reason").press("Enter");
  await page.waitForURL(`${web.origin}/#needs-script`);
  await page.locator("#prompt").fill("my secret prompt");
  await button("Simulate Generation Failure").click();
  await page.waitForLoadState();
  await page.locator("#email").fill("secret@example.org");
  await button("Identify").click();
  await page.waitForLoadState();
  expect(page.url()).toBe(`${web.origin}/#needs-script`);
  expect(asked.length).toBeGreaterThan(3);
  expect(asked.join()).not.toMatch(/secret|\?(?!__frsh)/);
});
