/** The pages of mails and of offers, over stand-ins of the other services (tests/web/fakes.ts says what they do not imitate). */
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { OfferView } from "../../contract/processor_api.ts";
import { noBrowser, startBrowser } from "../support/browser.ts";
import { until } from "../support/until.ts";
import { type Fakes, MESSAGE_ID, startFakes, THRESHOLD } from "./fakes.ts";
import { startWeb } from "./start_web.ts";

let browser: Browser;
let fakes: Fakes;
let web: Awaited<ReturnType<typeof startWeb>>;
let context: BrowserContext;
let page: Page;
/** Every address that the page asked for. */
let asked: string[];

beforeAll(async () => {
  if (noBrowser) return;
  browser = await startBrowser();
  fakes = startFakes();
  web = await startWeb(fakes.environment);
});
afterAll(async () => {
  if (noBrowser) return;
  await browser.close();
  await web.stop();
  await fakes.stop();
});
beforeEach(async (test) => {
  if (noBrowser) return test.skip(noBrowser);
  fakes.forgetMailsAndOffers();
  await open();
});
afterEach(() => context?.close());

async function open(options: Parameters<Browser["newContext"]>[0] = {}): Promise<void> {
  await context?.close();
  context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  page = await context.newPage();
  asked = [];
  context.on("request", (request) => void asked.push(request.url()));
}

const go = (path: string) => page.goto(web.origin + path);
/** Once its islands live: before that nobody can tell what was read. */
const live = () => page.locator(".station", { hasText: "Browser" }).getByText("live").waitFor();
const texts = (selector: string) => page.locator(selector).allInnerTexts();
const idOf = (n: number) => `offer-${n}@pipeline.test`;

function addMails(count: number): void {
  for (let n = 1; n <= count; n++) {
    fakes.addMail({ to: `user-${n}@example.org`, subject: `Your code: SAVE-${n}`, messageId: idOf(n) });
  }
}

const stored = () => page.evaluate(() => JSON.parse(localStorage.getItem("pipeline.mail.read") ?? "null"));

async function widthsFit(paths: readonly string[]): Promise<void> {
  for (const width of [360, 1440]) {
    await page.setViewportSize({ width, height: 800 });
    for (const path of paths) {
      await go(path);
      await live();
      expect(await page.evaluate(() => document.documentElement.scrollWidth), `${path} ${width}`).toBe(width);
      // WCAG 2.2, target size: 24 by 24, but for links within a sentence.
      const small = await page.locator("main :is(a, button, input, select, summary)").evaluateAll((all) =>
        all.filter((one) => one.checkVisibility() && one.closest("p.quiet") === null).map((one) => ({
          name: (one as HTMLElement).innerText || one.id,
          height: one.getBoundingClientRect().height,
          width: one.getBoundingClientRect().width,
        })).filter(({ height, width }) => height < 24 || width < 24)
      );
      expect(small, `${path} ${width}`).toEqual([]);
    }
  }
}

describe("the mails", () => {
  test("are unread until they are opened here, in bold and in a word, and can all be marked as read", async () => {
    addMails(3);
    await go("/mail");
    await page.getByText("3 mails, newest first; 3 of these unread").waitFor();
    const weights = () =>
      page.locator(".mail-subject").evaluateAll((all) => all.map((one) => getComputedStyle(one).fontWeight));
    expect(await weights()).toEqual(["700", "700", "700"]);
    await page.getByRole("link", { name: "Your code: SAVE-2", exact: true }).click();
    await until("it is kept that it was read", async () => (await stored())?.join() === idOf(2));
    await page.goBack();
    await page.getByText("2 of these unread").waitFor();
    expect(await texts(".mails .row-head")).toEqual([
      expect.stringMatching(/SAVE-3\s+unread$/),
      expect.stringMatching(/SAVE-2$/),
      expect.stringMatching(/SAVE-1\s+unread$/),
    ]);
    expect(await weights()).toEqual(["700", "400", "700"]);
    await page.getByRole("button", { name: "Mark all as read" }).click();
    await page.getByText("3 mails, newest first", { exact: true }).waitFor();
    expect(await stored()).toEqual([idOf(1), idOf(2), idOf(3)]);
    expect(await page.getByRole("button", { name: "Mark all as read" }).isDisabled()).toBe(true);
    await page.reload();
    await page.getByText("3 mails, newest first", { exact: true }).waitFor();
    await live();
    expect(await page.getByText("unread").count()).toBe(0);
  });

  test("that are on no page here are marked as read, too, and what another tab opened is read here", async () => {
    addMails(60);
    await go("/mail");
    await page.getByText("50 of 60 mails, newest first; 50 of these unread").waitFor();
    const other = await context.newPage();
    await other.goto(`${web.origin}/mail`);
    await other.getByText("50 of these unread").waitFor();
    await page.getByRole("button", { name: "Mark all as read" }).click();
    await other.getByText("50 of 60 mails, newest first", { exact: true }).waitFor();
    await page.getByRole("link", { name: "older" }).click();
    await page.getByText("10 of 60 mails, newest first", { exact: true }).waitFor();
    expect((await texts(".mail-subject"))[0]).toBe("Your code: SAVE-10");
    await page.getByRole("navigation", { name: "Pages of mails" }).getByText("newest").click();
    await page.getByText("50 of 60 mails").waitFor();
  });

  test("are searched as somebody types, and what is searched for stands in no address", async () => {
    addMails(60);
    await go("/mail");
    await live();
    await page.getByLabel("Search mails").fill("USER-7@");
    await page.getByText("1 found in 60 mails").waitFor();
    expect(await texts(".mail-subject")).toEqual(["Your code: SAVE-7"]);
    await page.getByLabel("Search mails").fill("save-");
    await page.getByText("50 found in 60 mails").waitFor();
    await page.getByRole("button", { name: "older" }).click();
    await page.getByText("10 found in").waitFor();
    expect(await page.getByLabel("Search mails").inputValue()).toBe("save-");
    await page.getByLabel("Search mails").fill("nobody");
    await page.getByText("0 found in").waitFor();
    await page.getByLabel("Search mails").fill("");
    await page.getByText("50 of 60 mails").waitFor();
    expect(asked.filter((url) => /user-7|save|nobody/i.test(url))).toEqual([]);
  });

  test("are searched without script as well, and listed page by page", async () => {
    addMails(60);
    await open({ javaScriptEnabled: false });
    await go("/mail");
    expect(await page.getByRole("button", { name: "Mark all as read" }).isVisible()).toBe(false);
    await page.getByLabel("Search mails").fill("save-");
    await page.getByRole("button", { name: "Search" }).click();
    expect(await texts(".mail-subject")).toHaveLength(50);
    await page.getByRole("button", { name: "older" }).click();
    expect(await texts(".mail-subject")).toHaveLength(10);
    expect(new URL(page.url()).search).toBe("");
    await page.getByRole("button", { name: "newest" }).click();
    expect((await texts(".mail-subject"))[0]).toBe("Your code: SAVE-60");
  });

  test("are saved byte for byte as they were sent", async () => {
    fakes.offers.set("user-1", offerOf("user-1", { state: "waiting" }));
    fakes.sendMail({ to: "ada@example.org", html: "<p>20 € Rabatt 🎁</p>" });
    const source = new Uint8Array(
      await (await fetch(`${fakes.environment.PROCESSOR_URL}/api/mails/${encodeURIComponent(MESSAGE_ID)}`))
        .arrayBuffer(),
    );
    await go("/mail");
    const save = async (name: string | RegExp) => {
      const [download] = await Promise.all([
        page.waitForEvent("download"),
        page.getByRole("link", { name }).click(),
      ]);
      expect(download.suggestedFilename()).toBe(`${MESSAGE_ID}.eml`);
      expect(Deno.readFileSync(await download.path())).toEqual(source);
    };
    await save(/^Download .*SAVE-20.* to ada@example\.org/);
    await page.getByRole("link", { name: "Your discount code: SAVE-20", exact: true }).click();
    await save("Download as .eml");
  });

  test("come in by themselves, and are walked by keyboard", async () => {
    addMails(2);
    fakes.offers.set("user-1", offerOf("user-1", { state: "waiting" }));
    await go("/mail");
    await page.getByText("2 mails, newest first; 2 of these unread").waitFor();
    fakes.sendMail({ to: "ada@example.org", html: "<p>hello</p>" });
    await page.getByText("3 mails, newest first; 3 of these unread").waitFor();
    const focused = () => page.evaluate(() => (document.activeElement as HTMLElement).innerText);
    for (
      const [key, name] of [["j", /SAVE-20/], ["j", /SAVE-2$/], ["j", /SAVE-1/], ["k", /SAVE-2$/]] as const
    ) {
      await page.keyboard.press(key);
      expect(await focused()).toMatch(name);
    }
    await page.keyboard.press("/");
    await page.keyboard.type("user-1@");
    await page.getByText("1 found in 3 mails").waitFor();
    await page.keyboard.press("Enter");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Tab");
    expect(await focused()).toBe("Your code: SAVE-1");
    await page.keyboard.press("Enter");
    await page.getByRole("link", { name: "Download as .eml" }).waitFor();
  });

  test("stay, grey and with the time that they are of, while the processor is away", async () => {
    addMails(2);
    await go("/mail");
    await live();
    await fakes.stopProcessor();
    try {
      await page.getByText(/^As it was .* ago: nothing newer is known here\.$/).waitFor();
      expect(await texts(".mail-subject")).toHaveLength(2);
      await go("/mail");
      await page.getByText(/^Last seen .* ago\. Mails are on disk and safe/).waitFor();
      expect(await page.locator("main").innerText()).not.toMatch(/no mail/i);
    } finally {
      fakes.restartProcessor();
    }
  });

  test("fit 360 px and 1440 px, with targets that a finger hits", async () => {
    addMails(3);
    fakes.addMail({
      to: `${"a".repeat(200)}@example.org`,
      subject: "x".repeat(300),
      messageId: "long@pipeline.test",
    });
    fakes.offers.set("user-1", offerOf("user-1", { state: "waiting" }));
    fakes.sendMail({ to: "ada@example.org", html: "<p>hello</p>" });
    await widthsFit(["/mail", `/mail/${encodeURIComponent(MESSAGE_ID)}`]);
  });
});

function offerOf(distinctId: string, more: Partial<OfferView> = {}): OfferView {
  return {
    distinctId,
    state: "counting",
    reason: null,
    uses: 1,
    threshold: THRESHOLD,
    addressKnown: true,
    earnedAt: null,
    dueAt: null,
    sentAt: null,
    code: null,
    messageId: null,
    timeline: [{ at: new Date().toISOString(), what: "use 1 counted" }],
    ...more,
  };
}

const at = (seconds: number) => new Date(Date.now() + seconds * 1_000).toISOString();

/** One of each state, and two that count. */
function addOffers(): void {
  const earned = { uses: 5, earnedAt: at(-300) };
  const all: readonly (readonly [string, Partial<OfferView>])[] = [
    ["counts-1", { uses: 1 }],
    ["counts-3", { uses: 3, distinctId: null }],
    ["waits", { ...earned, state: "waiting", dueAt: at(3_600) }],
    ["waits-for-address", {
      ...earned,
      state: "waiting",
      dueAt: at(-60),
      addressKnown: false,
      reason: "no address known: waits for one",
    }],
    ["mailed", { ...earned, state: "offered", sentAt: at(-100), messageId: MESSAGE_ID }],
    ["opted-out", { ...earned, state: "closed", reason: "opted_out" }],
    ["failed", { ...earned, state: "failed", reason: "550 no such user" }],
    ["unknown", { ...earned, state: "failed", reason: "delivery_unknown" }],
  ];
  for (const [id, more] of all) fakes.offers.set(id, offerOf(id, more));
}

/** The figure's own table, as `name value`. */
const figures = async () =>
  (await page.locator(".chart-table tbody tr").evaluateAll((rows) => rows.map((row) => row.textContent)))
    .map((text) => text!.trim());
const FIGURES = [
  "counting: 1 use1",
  "counting: 2 uses0",
  "counting: 3 uses1",
  "counting: 4 uses0",
  "counting: 5 uses or more0",
  "waiting2",
  "being sent0",
  "mailed1",
  "opted out1",
  "failed: refused1",
  "failed: no attempt left0",
  "failed: nobody knows1",
  "closed: mailbox had one0",
  "closed: memory lost0",
];
const people = () => page.locator(".offers .row-head strong").allInnerTexts();

describe("the offers", () => {
  test("stand in a figure with its table, and below it with who, where, and when", async () => {
    addOffers();
    await go("/offers");
    await live();
    await page.getByText("The same as a table").click();
    expect(await figures()).toEqual(FIGURES);
    await page.getByText("8 people, each counted once").waitFor();
    expect(await people()).toEqual([
      "unknown",
      "failed",
      "opted-out",
      "mailed",
      "waits-for-address",
      "waits",
      "person-counts-3…",
      "counts-1",
    ]);
    const rows = await texts(".offers .row");
    expect(rows[0]).toMatch(/failed[^]*Nobody can know whether the mail was sent/);
    expect(rows[1]).toMatch(/failed[^]*The mail was not sent\. 550 no such user\.[^]*5 of 5 uses/);
    expect(rows[2]).toMatch(/opted out[^]*This person wants no mail/);
    expect(rows[3]).toMatch(/mailed[^]*The mail was sent[^]*earned 5 min ago\s+sent 1 min ago/);
    expect(rows[4]).toMatch(/waiting[^]*No address known: waits for one/);
    expect(rows[5]).toMatch(
      /waiting[^]*Offer earned, mail due in\s+(59:\d\d|1:00:00)[^]*due at \d\d:\d\d:\d\d UTC/,
    );
    expect(rows[6]).toMatch(/known by its hash only[^]*counting[^]*3 of 5 uses/);
    await page.getByRole("link", { name: "waits", exact: true }).click();
    await page.getByRole("heading", { name: "Offer of waits" }).waitFor();
    await page.getByText("Offer earned, mail due in").waitFor();
    await page.getByRole("main").getByRole("link", { name: "Offers" }).click();
    await page.getByRole("heading", { name: "From the first use" }).or(page.locator(".chart")).first()
      .waitFor();
  });

  test("are chosen by state and found by id, in place", async () => {
    addOffers();
    await go("/offers");
    await live();
    await page.getByLabel("State").selectOption("failed");
    await page.getByText("2 people failed").waitFor();
    expect(await people()).toEqual(["unknown", "failed"]);
    expect(new URL(page.url()).search).toBe("?state=failed");
    await page.reload();
    await page.getByText("2 people failed").waitFor();
    await page.getByLabel("State").selectOption("");
    await page.getByLabel("Search offers").fill("mailed");
    await page.getByText("1 person of this id").waitFor();
    expect(await people()).toEqual(["mailed"]);
    expect(new URL(page.url()).search).toBe("");
    await page.getByLabel("Search offers").fill("mail");
    await page.getByText(/^Nobody of this id/).waitFor();
    expect(await figures()).toEqual(FIGURES);
  });

  test("are whole without script, page by page", async () => {
    for (let n = 1; n <= 60; n++) fakes.offers.set(`user-${n}`, offerOf(`user-${n}`, { uses: 1 + n % 2 }));
    await open({ javaScriptEnabled: false });
    await go("/offers");
    expect((await figures()).slice(0, 3)).toEqual([
      "counting: 1 use30",
      "counting: 2 uses30",
      "counting: 3 uses0",
    ]);
    expect(await page.locator(".chart-table tbody").isVisible()).toBe(true);
    expect((await people())[0]).toBe("user-60");
    await page.getByRole("link", { name: "older" }).click();
    expect(await people()).toHaveLength(10);
    await page.getByLabel("State").selectOption("waiting");
    await page.getByRole("button", { name: "Search" }).click();
    await page.getByText("0 people waiting").waitFor();
    expect(new URL(page.url()).search).toContain("state=waiting");
  });

  test("follow what happens, and no row moves from under who looks at it", async () => {
    fakes.offers.set("user-1", offerOf("user-1"));
    await go("/offers");
    await live();
    const use = (distinct_id: string) =>
      fakes.take({
        uuid: crypto.randomUUID(),
        event: "feature_used",
        timestamp: new Date().toISOString(),
        properties: { distinct_id },
      });
    use("user-2");
    await until("the new one is first", async () => (await people()).join() === "user-2,user-1");
    await page.locator(".offers .row").first().hover();
    use("user-3");
    use("user-2");
    await page.getByText("The list has changed: show it").waitFor();
    expect(await people()).toEqual(["user-2", "user-1"]);
    await page.locator(".offers .row").first().getByText("2 of 5 uses").waitFor();
    expect((await figures()).slice(0, 2)).toEqual(["counting: 1 use2", "counting: 2 uses1"]);
    await page.getByText("The list has changed: show it").click();
    expect(await people()).toEqual(["user-3", "user-2", "user-1"]);
  });

  test("say how far they are read while the view is made again, and that there is none yet", async () => {
    addOffers();
    fakes.view({ applied: 1_203, end: 5_000 });
    await go("/offers");
    await page.getByText("The processor is reading the offers' facts: 1,203 of 5,000.").waitFor();
    fakes.view(false);
    expect((await go("/offers"))!.status()).toBe(503);
    await page.getByText("The processor is making its view of the offers.").waitFor();
    expect(await page.locator("main").innerText()).not.toMatch(/no offers|nobody/i);
  });

  test("stay as they were, grey and standing still, while the processor is away, and are new when it is back", async () => {
    addOffers();
    await go("/offers");
    await live();
    await fakes.stopProcessor();
    const old = page.locator("[data-since]");
    await old.getByText(/^As it was .* ago: nothing newer is known here\.$/).waitFor();
    expect(await old.locator("time.mono").count()).toBe(0);
    expect(await old.locator(".chart.stale").count()).toBe(1);
    const other = await context.newPage();
    expect((await other.goto(`${web.origin}/offers`))!.status()).toBe(503);
    await other.getByText(/^Last seen .* ago\. Offers are kept in the log, and shown again once/).waitFor();
    await other.close();
    fakes.offers.set("new", offerOf("new"));
    fakes.restartProcessor();
    await until("the list is as it is now", async () => (await people())[0] === "new");
    await until("nothing is grey any more", async () => await old.count() === 0);
  });

  test("fit 360 px and 1440 px, with targets that a finger hits", async () => {
    addOffers();
    fakes.offers.set("y".repeat(900), offerOf("y".repeat(900), { reason: "z".repeat(300), state: "failed" }));
    await widthsFit(["/offers", "/offers?state=failed", "/offers/waits"]);
  });
});
