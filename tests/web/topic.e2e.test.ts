/** The topic's page and its charts in a real browser, over stand-ins of the other services (tests/web/fakes.ts). */
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { noBrowser, startBrowser, watch } from "../support/browser.ts";
import { until } from "../support/until.ts";
import { type Fakes, noFigures, startFakes } from "./fakes.ts";
import { fullFigures } from "./figures.ts";
import { startWeb } from "./start_web.ts";

let fakes: Fakes;
let web: Awaited<ReturnType<typeof startWeb>>;
let browser: Browser;

beforeAll(async () => {
  if (noBrowser) return;
  fakes = startFakes();
  for (const uuid of ["e1", "e2"]) {
    const properties = { distinct_id: "user-1", input_prompt: "x", failure_reason: "timeout" };
    fakes.take({ uuid, event: "generation_failed", timestamp: "2026-01-01T12:00:00.000Z", properties });
  }
  [web, browser] = await Promise.all([startWeb(fakes.environment), startBrowser()]);
});
afterAll(async () => {
  await browser?.close();
  await web?.stop();
  await fakes?.stop();
});
beforeEach((test) => {
  if (noBrowser) return test.skip(noBrowser);
  fakes.show(fullFigures());
});

/** Runs with a page of its own, which may complain of nothing but what a test expects. */
async function visiting(
  path: string,
  visit: (page: Page, context: BrowserContext) => Promise<void>,
  { complains = false, ...options }: Parameters<Browser["newContext"]>[0] & { complains?: boolean } = {},
) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  try {
    const complaints = watch(context, { origin: web.origin });
    const page = await context.newPage();
    await page.addInitScript(() => {
      type Shift = PerformanceEntry & {
        readonly sources: readonly { node: Element | null; previousRect: DOMRect; currentRect: DOMRect }[];
      };
      const seen = globalThis as unknown as { shifts: string[] };
      seen.shifts = [];
      const place = ({ x, y, width, height }: DOMRect) => `${x},${y} ${width}x${height}`;
      new PerformanceObserver((list) => {
        for (const { sources, startTime } of list.getEntries() as Shift[]) {
          for (const { node, previousRect, currentRect } of sources) {
            const name = `${node?.nodeName} ${(node as HTMLElement | null)?.className}`;
            seen.shifts.push(`${name}: ${place(previousRect)} -> ${place(currentRect)} at ${startTime} ms`);
          }
        }
      }).observe({ type: "layout-shift", buffered: true });
    });
    await page.goto(web.origin + path);
    await visit(page, context);
    if (!complains) expect(complaints).toEqual({ console: [], otherHosts: [] });
  } finally {
    await context.close();
  }
}

const chart = (page: Page, name: string) => page.getByRole("figure", { name, exact: true });
const drawn = (page: Page, name: string) => chart(page, name).locator("[data-drawn]").waitFor();
const plot = (page: Page, name: string) => chart(page, name).getByRole("slider");
const saidOf = (page: Page, name: string) => plot(page, name).getAttribute("aria-valuetext");
/** What eyes see below the plot. */
const seenOf = (page: Page, name: string) => chart(page, name).locator(".chart-read").innerText();
const words = (text: string) => text.replace(/\s+/g, " ").trim();

describe("a chart", () => {
  test("has its numbers under the pointer, and lets them go with it", () =>
    visiting("/topic", async (page) => {
      await drawn(page, "Events a minute");
      expect(words(await seenOf(page, "Events a minute"))).toBe("14:00 Events 20");
      const box = (await chart(page, "Events a minute").locator(".u-over").boundingBox())!;
      await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
      // Minute 30 of 0 to 60: 30 · 37 mod 50.
      await until(
        "the middle is shown",
        async () => words(await seenOf(page, "Events a minute")) === "13:30 Events 10",
      );
      expect(await saidOf(page, "Events a minute")).toBe("13:30: Events 10");
      await page.mouse.move(0, 0);
      await until(
        "the newest is back",
        async () => words(await seenOf(page, "Events a minute")) === "14:00 Events 20",
      );
    }));

  test("has them by keyboard too, and its table says the same", () =>
    visiting("/topic", async (page) => {
      await drawn(page, "Lag in seconds");
      await plot(page, "Lag in seconds").focus();
      await page.keyboard.press("Home");
      expect(await saidOf(page, "Lag in seconds")).toBe(
        "13:00: dataset-writer not known, discount-offers 0 s",
      );
      for (let i = 0; i < 6; i++) await page.keyboard.press("ArrowRight");
      expect(await saidOf(page, "Lag in seconds")).toBe("13:06: dataset-writer 6 s, discount-offers 3 s");
      expect(words(await seenOf(page, "Lag in seconds"))).toBe(
        "13:06 dataset-writer 6 s discount-offers 3 s",
      );
      // A mark stands where the numbers are from.
      await chart(page, "Lag in seconds").locator(".u-cursor-x:not(.u-off)").waitFor();
      await chart(page, "Lag in seconds").getByText("The same as a table").click();
      const row = chart(page, "Lag in seconds").getByRole("row", { name: /^13:06/ });
      expect(words(await row.innerText())).toBe("13:06 6 s 3 s");
      expect(await chart(page, "Lag in seconds").getByRole("row").count()).toBe(62);
    }));

  test("is touched where there is no mouse", () =>
    visiting("/topic", async (page) => {
      await drawn(page, "From click to line");
      await chart(page, "From click to line").scrollIntoViewIfNeeded();
      const box = (await chart(page, "From click to line").locator(".u-over").boundingBox())!;
      await page.touchscreen.tap(box.x + box.width * 0.6, box.y + box.height / 2);
      await until("the third bar is shown", async () =>
        words(await seenOf(page, "From click to line")) === "≤ 1.0 s Lines 13");
    }, { hasTouch: true, viewport: { width: 360, height: 800 } }));

  test.each([360, 2560])(
    "moves nothing on a page of %i px, when it is drawn and when it is pointed at",
    (width) =>
      visiting("/topic", async (page) => {
        for (const name of ["Events a minute", "Lag in seconds", "From click to line"]) {
          await drawn(page, name);
          const box = (await plot(page, name).boundingBox())!;
          await page.mouse.move(box.x + box.width / 3, box.y + 40);
        }
        fakes.show({
          ...fullFigures(),
          minutes: fullFigures({ endsAt: "2026-01-01T14:01:00.000Z" }).minutes,
        });
        await until("new figures are there", async () =>
          (await saidOf(page, "Lag in seconds"))?.startsWith("14:01") ?? false);
        // Entries are handed over by the frame after.
        await page.evaluate(() =>
          new Promise((done) => requestAnimationFrame(() => setTimeout(done)))
        );
        expect(await page.evaluate(() => (globalThis as unknown as { shifts: string[] }).shifts)).toEqual([]);
        expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(width);
      }, { viewport: { width, height: 900 } }),
  );

  test("is drawn in the colours of the scheme, also of one that changes while it is open", () =>
    visiting("/topic", async (page) => {
      const name = "From click to line";
      await drawn(page, name);
      /** The colour that most of the plot's painted points have, which is the bars'. */
      const barColour = () =>
        chart(page, name).locator("canvas").evaluate((canvas: HTMLCanvasElement) => {
          const { data } = canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height);
          const counts = new Map<string, number>();
          for (let i = 0; i < data.length; i += 4) {
            if (data[i + 3] !== 255) continue;
            const colour = `rgb(${data[i]}, ${data[i + 1]}, ${data[i + 2]})`;
            counts.set(colour, (counts.get(colour) ?? 0) + 1);
          }
          return [...counts].sort(([, a], [, b]) => b - a)[0]![0];
        });
      const accent = () =>
        chart(page, name).locator(".chart-sign").evaluate((sign) => getComputedStyle(sign).color);
      const light = await accent();
      expect(await barColour()).toBe(light);
      await page.emulateMedia({ colorScheme: "dark" });
      await until("it is drawn anew", async () => await barColour() === await accent());
      expect(await accent()).not.toBe(light);
    }, { complains: true }));

  test("tells its lines apart without colour, and moves nowhere by itself", () =>
    visiting("/topic", async (page) => {
      await drawn(page, "Lag in seconds");
      const dashes = await chart(page, "Lag in seconds").locator(".chart-sign path").evaluateAll((paths) =>
        paths.map((path) => path.getAttribute("stroke-dasharray"))
      );
      expect(new Set(dashes).size).toBe(2);
      expect(await page.evaluate(() => document.getAnimations().length)).toBe(0);
    }, { reducedMotion: "reduce" }));

  test("costs pages without one nothing: the library is fetched where there is a chart", async () => {
    const scripts: string[] = [];
    await visiting("/", async (page) => {
      page.on("response", async (response) => {
        if (response.url().endsWith(".js")) scripts.push(await response.text().catch(() => ""));
      });
      await page.reload({ waitUntil: "networkidle" }).catch(() => {});
      await page.locator(".station", { hasText: "Browser" }).getByText("live").waitFor();
      expect(scripts.length).toBeGreaterThan(3);
      expect(scripts.filter((text) => text.includes("dppxchange"))).toEqual([]);
      await page.goto(`${web.origin}/topic`);
      await drawn(page, "Lag in seconds");
      expect(scripts.filter((text) => text.includes("dppxchange"))).toHaveLength(1);
    });
  });
});

describe("the topic's page", () => {
  test("is in the menu, and says who reads which partition, and how far", () =>
    visiting("/", async (page) => {
      await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Topic" }).click();
      const row = page.getByRole("region", { name: "Group dataset-writer" }).getByRole("row", {
        name: /^3 /,
      });
      expect(words(await row.innerText())).toBe(
        "3 2 2 0 0 s this processor (dataset-writer) ● everything is read",
      );
      fakes.held.set(3, {
        lag: 2,
        lagSeconds: 61,
        nextOffset: 0,
        standing: { offset: 0, reason: "unknown codec" },
      });
      await row.getByText("stands at p3 @ 0: unknown codec").waitFor();
      expect(words(await row.innerText())).toContain("3 0 2 2 61 s");
      fakes.held.clear();
      fakes.spool(4);
      await page.getByText("4 records, 2.0 kB of files").waitFor();
      fakes.spool(0);
    }));

  test("says since when it is old while the processor is away, what ingest says instead, and goes on by itself", () =>
    visiting("/topic", async (page) => {
      await drawn(page, "Lag in seconds");
      await fakes.stopProcessor();
      try {
        const old = /The processor does not answer this page, last seen \d+ s ago/;
        await chart(page, "Lag in seconds").getByText(old).waitFor();
        const group = page.getByRole("region", { name: "Group dataset-writer" });
        await group.getByText(old).waitFor();
        expect(words(await group.locator("caption").innerText())).toContain("as it was, 0 records behind");
        expect(words(await group.getByRole("row", { name: /^3 / }).innerText())).toContain(
          "○ was: everything is read",
        );
        const ends = page.getByRole("region", { name: "Ends of the partitions" });
        expect(words(await ends.getByRole("row").nth(1).innerText())).toBe("3 2");
        await ends.getByText("By ingest’s word").waitFor();
      } finally {
        fakes.restartProcessor();
      }
      await chart(page, "Lag in seconds").getByText("Age of the oldest record").waitFor();
      await page.getByRole("region", { name: "Ends of the partitions" }).waitFor({ state: "detached" });
    }, { complains: true }));

  test("of an hour in which nothing happened, says so", async () => {
    fakes.show(noFigures());
    await visiting("/topic", async (page) => {
      await chart(page, "From click to line").getByText("No line was written in the last hour.", {
        exact: true,
      }).waitFor();
      expect(words(await seenOf(page, "Lag in seconds"))).toMatch(
        /dataset-writer not known discount-offers not known$/,
      );
    });
  });
});

describe("the dataset's charts", () => {
  test("are above its files: foreign reasons are text, small bars are seen, tables say the same", () =>
    visiting("/dataset", async (page) => {
      await drawn(page, "Lines by failure reason");
      const reasons = chart(page, "Lines by failure reason");
      await plot(page, "Lines by failure reason").focus();
      await page.keyboard.press("ArrowDown");
      expect(await saidOf(page, "Lines by failure reason")).toMatch(/^<b>content<\/b> policy.*: Lines 200$/);
      expect(await reasons.locator("b").count()).toBe(0);
      await reasons.getByText("The same as a table").click();
      expect(words(await reasons.getByRole("row", { name: /^all other reasons/ }).innerText())).toBe(
        "all other reasons 2",
      );
      for (const name of ["Lines by day", "Placeholders by day", "Prompt length"]) await drawn(page, name);
      expect(await saidOf(page, "Lines by day")).toBe("2026-01-01: Lines 88");
      expect(await saidOf(page, "Placeholders by day")).toBe(
        "2026-01-01: EMAIL_ADDRESS 0, PHONE_NUMBER 0, PERSON 12",
      );
    }));
});

test("without script the tables stand where the charts would be", () =>
  visiting("/topic", async (page) => {
    const figure = chart(page, "Events a minute");
    await figure.getByText("The same as a table").waitFor();
    expect(await figure.locator(".chart-plot").isVisible()).toBe(false);
    await figure.getByText("The same as a table").click();
    expect(words(await figure.getByRole("row", { name: /^13:20/ }).innerText())).toContain("not known");
  }, { javaScriptEnabled: false }));
