/**
 * What every page has around it: one left edge at every width, the switch of colours, the time zone, and the strip of a page
 * that slept. In a real browser, over stand-ins of the other services (tests/web/fakes.ts).
 */
import type { Browser, BrowserContext, BrowserContextOptions, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { noBrowser, startBrowser, watch } from "../support/browser.ts";
import { until } from "../support/until.ts";
import { type Fakes, startFakes } from "./fakes.ts";
import { fillPages } from "./full_pages.ts";
import { startWeb } from "./start_web.ts";

const DARK = "rgb(19, 21, 24)";
const LIGHT = "rgb(247, 246, 243)";

let fakes: Fakes;
let web: Awaited<ReturnType<typeof startWeb>>;
let browser: Browser;
let paths: readonly string[];
let context: BrowserContext | undefined;

beforeAll(async () => {
  if (noBrowser) return;
  fakes = startFakes();
  web = await startWeb(fakes.environment);
  browser = await startBrowser();
  paths = await fillPages(fakes);
});
afterAll(async () => {
  if (noBrowser) return;
  await browser.close();
  await web.stop();
  await fakes.stop();
});
beforeEach((test) => {
  if (noBrowser) test.skip(noBrowser);
});
afterEach(() => context?.close());

async function open(path: string, options: BrowserContextOptions = {}): Promise<Page> {
  context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  await page.goto(web.origin + path);
  return page;
}

const ground = (page: Page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
const station = (page: Page, name: string) => page.locator(".station", { hasText: name });

/** 180 is a phone of 360, and 720 a window of 1,440, at 200 %. */
const WIDTHS = [180, 360, 720, 768, 1440, 2560];

test(`at ${WIDTHS.join(", ")} px every page begins at one left edge and is no wider than the window`, async () => {
  const page = await open("/");
  for (const path of paths) {
    await page.goto(web.origin + path);
    await page.locator("h1").waitFor();
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: 800 });
      const seen = await page.evaluate(() => {
        const left = (selector: string) => document.querySelector(selector)!.getBoundingClientRect().left;
        const content = document.querySelector("main .panel, main .page > *")!.getBoundingClientRect();
        return {
          edges: [left(".name"), left(".station-name"), content.left, left(".foot p")],
          overflow: document.documentElement.scrollWidth - innerWidth,
          widest: Math.max(
            ...[...document.querySelectorAll("main > *, .bar, .strip")].map((one) => one.clientWidth),
          ),
        };
      });
      expect(new Set(seen.edges).size, `${path} at ${width}: ${seen.edges}`).toBe(1);
      expect(seen.overflow, `${path} at ${width}`).toBe(0);
      expect(seen.widest, `${path} at ${width}`).toBeLessThanOrEqual(1360);
    }
  }
});

test("a window that was made narrower is not widened by plots that were drawn for the wide one", async () => {
  const page = await open("/", { viewport: { width: 2560, height: 800 } });
  // Nothing tells a plot of the other size: so is a page between the two drawings, for as long as its machine takes.
  await page.addInitScript(() => {
    globalThis.ResizeObserver = class {
      observe() {}
      unobserve() {}
      disconnect() {}
    };
  });
  let plots = 0;
  for (const path of paths) {
    await page.setViewportSize({ width: 2560, height: 800 });
    await page.goto(web.origin + path);
    const boxes = page.locator(".chart-box");
    for (const box of await boxes.all()) await box.locator("canvas").waitFor();
    plots += await boxes.count();
    await page.setViewportSize({ width: 180, height: 800 });
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect(overflow, path).toBe(0);
  }
  expect(plots).toBeGreaterThan(0);
});

test("by keyboard alone everything that can be used is reached once, seen, in the order of reading", async () => {
  const page = await open("/");
  for (const path of paths) {
    await page.goto(web.origin + path);
    await page.getByLabel("Colours").waitFor();
    const count = await page.evaluate(() => {
      const all = document.querySelectorAll<HTMLElement>(
        "a[href], button, input, select, textarea, summary, iframe, [tabindex='0']",
      );
      const usable = [...all].filter((one) =>
        one.tabIndex >= 0 && one.checkVisibility() && one.closest("dialog") === null
      );
      Object.assign(globalThis, { usable });
      // Inside a frame the focus is not this page's.
      const frame = usable.findIndex((one) => one.tagName === "IFRAME");
      return frame < 0 ? usable.length : frame;
    });
    const reached: number[] = [];
    for (let i = 0; i < count; i++) {
      await page.keyboard.press("Tab");
      const { place, isSeen } = await page.evaluate(() => {
        const { usable } = globalThis as unknown as { usable: Element[] };
        const one = document.activeElement!;
        const { width, height, right, bottom } = one.getBoundingClientRect();
        return { place: usable.indexOf(one), isSeen: width > 0 && height > 0 && right > 0 && bottom > 0 };
      });
      expect(isSeen, `${path}: ${place}`).toBe(true);
      reached.push(place);
    }
    expect(reached, path).toEqual(Array.from({ length: count }, (_, i) => i));
  }
});

test("without script every page is read, and no button or field is there that does nothing", async () => {
  const page = await open("/", { javaScriptEnabled: false });
  for (const path of paths) {
    await page.goto(web.origin + path);
    expect(await page.locator("h1").isVisible(), path).toBe(true);
    expect(await page.locator(".station", { hasText: /asking|connecting/ }).count(), path).toBe(0);
    expect(
      await page.locator("button:not(form[method=post] button, form[action] button):visible").allInnerTexts(),
      path,
    ).toEqual(
      [],
    );
    expect(await page.locator(":is(input, select, textarea):not(form *):visible").count(), path).toBe(0);
  }
});

describe("the switch of colours", () => {
  test("follows the system until somebody chooses, and keeps the choice without a cookie, from the first paint on", async () => {
    const page = await open("/", { colorScheme: "dark" });
    const complaints = watch(context!, { origin: web.origin });
    const colours = page.getByLabel("Colours");
    expect([await ground(page), await colours.inputValue()]).toEqual([DARK, "system"]);
    await colours.selectOption("light");
    expect(await ground(page)).toBe(LIGHT);
    // No island runs: what is painted is what the page was given before.
    await page.route(/client|island/, (route) => route.abort());
    await page.goto(`${web.origin}/dataset`, { waitUntil: "domcontentloaded" });
    expect(await ground(page)).toBe(LIGHT);
    await page.unroute(/client|island/);
    await page.goto(web.origin);
    await colours.selectOption("system");
    expect(await ground(page)).toBe(DARK);
    await page.emulateMedia({ colorScheme: "light" });
    expect(await ground(page)).toBe(LIGHT);
    expect(await context!.cookies()).toEqual([]);
    expect(complaints.otherHosts).toEqual([]);
  });

  test("reaches every open page, and its form controls and scroll bars too", async () => {
    const page = await open("/", { colorScheme: "light" });
    const other = await context!.newPage();
    await other.goto(`${web.origin}/mail`);
    await other.getByLabel("Colours").waitFor();
    await page.getByLabel("Colours").selectOption("dark");
    await until("the other page is dark", async () => await ground(other) === DARK);
    expect(await other.evaluate(() => getComputedStyle(document.documentElement).colorScheme)).toBe("dark");
  });

  test("is not there without script, where the system's colours are", async () => {
    const page = await open("/dataset", { javaScriptEnabled: false, colorScheme: "dark" });
    expect(await ground(page)).toBe(DARK);
    expect(await page.getByLabel("Colours").count()).toBe(0);
  });
});

describe("times", () => {
  test("are in the zone that the foot names, the exact one in the title", async () => {
    const page = await open("/dead-letters", { timezoneId: "Asia/Kolkata" });
    await page.getByText("Times in Asia/Calcutta (UTC+5:30)").waitFor();
    const time = page.locator("main time").first();
    const at = (await time.getAttribute("datetime"))!;
    const shown = new Date(Date.parse(at) + 5.5 * 3_600_000).toISOString().slice(0, 23).replace("T", " ");
    expect(await time.getAttribute("title")).toBe(`${shown} UTC+5:30`);
  });

  test("are in UTC as the server writes them, which the foot says", async () => {
    const page = await open("/dead-letters", { javaScriptEnabled: false, timezoneId: "Asia/Kolkata" });
    expect(await page.locator(".foot").innerText()).toBe("Times in UTC");
    const time = page.locator("main time").first();
    expect(await time.getAttribute("title")).toBe(
      `${(await time.getAttribute("datetime"))!.slice(0, 23).replace("T", " ")} UTC`,
    );
  });

  test("stand in no sentence as a machine writes them", async () => {
    const page = await open("/", { javaScriptEnabled: false });
    for (const path of paths) {
      await page.goto(web.origin + path);
      const said = await page.evaluate(() => {
        for (const data of document.querySelectorAll("script, code, pre, .mono, .lines")) data.remove();
        const titles = [...document.querySelectorAll("[title]")].map((one) => one.getAttribute("title"));
        return [document.body.innerText, ...titles].join("\n");
      });
      expect(said.match(/.*\d{4}-\d\d-\d\dT\d\d:\d\d.*/g), path).toBeNull();
    }
  });
});

describe("a page that has heard nothing for a while", () => {
  /** Web takes the question and does not answer it: it is seen what the page says before it knows. */
  const holdAnswers = (page: Page) => page.route("**/api/services", () => {});

  test("says so at once when a laptop wakes, and is as it was once it has asked", async () => {
    context = await browser.newContext();
    const page = await context.newPage();
    await page.clock.install();
    await page.goto(web.origin);
    await station(page, "Processor").getByText("ready").waitFor();
    await page.clock.pauseAt(new Date(Date.now() + 5_000));
    await holdAnswers(page);
    await page.clock.fastForward("10:00");
    await station(page, "Browser").getByText("asking").waitFor();
    expect(await page.locator(".station", { hasText: "ready" }).count()).toBe(0);
    expect(await page.locator(".station", { hasText: "last seen 10 min ago" }).count()).toBe(5);
    expect(await page.getByRole("link", { name: "Dead letters", exact: true }).count()).toBe(1);
    await page.unroute("**/api/services");
    await page.clock.resume();
    await station(page, "Processor").getByText("ready").waitFor();
  });

  test("asks anew when the way back leads to it, and is never the page of then out of a cache", async () => {
    const page = await open("/dataset");
    await station(page, "Processor").getByText("ready").waitFor();
    await page.goto(`${web.origin}/mail`);
    await fakes.stopProcessor();
    await page.goBack({ waitUntil: "commit" });
    await station(page, "Processor").getByText("away").waitFor();
    await page.getByText("The processor does not answer.").waitFor();
    fakes.restartProcessor();
  });
});

test("a tab that nobody looks at leaves its connection to others, and goes on where it was", async () => {
  const page = await open("/");
  await station(page, "Browser").getByText("live").waitFor();
  // Those of pages that were closed just now go a moment later.
  await until("this page alone listens", () => fakes.listeners() === 1);
  const look = (hidden: boolean) =>
    page.evaluate((hidden) => {
      Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }, hidden);
  await look(true);
  await until("it has left", () => fakes.listeners() === 0);
  const uuid = crypto.randomUUID();
  fakes.take({
    uuid,
    event: "feature_used",
    timestamp: new Date().toISOString(),
    properties: { distinct_id: "user-3" },
  });
  await look(false);
  await page.locator(`[data-id="${uuid}"]`).waitFor();
  expect(fakes.listeners()).toBe(1);
});
