/**
 * Every page, empty and full, in both schemes, on a phone and on a desk, by axe: WCAG 2 A and AA up to 2.2, its rule for the size
 * of targets (24 px) among them, and best practices. Over stand-ins of the other services (tests/web/fakes.ts).
 */
import { createRequire } from "node:module";
import type axe from "axe-core";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { noBrowser, startBrowser } from "../support/browser.ts";
import { type Fakes, startFakes } from "./fakes.ts";
import { fillPages, MENU_PATHS } from "./full_pages.ts";
import { startWeb } from "./start_web.ts";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const SIZES = [{ width: 360, height: 740 }, { width: 1440, height: 900 }];

let fakes: Fakes;
let web: Awaited<ReturnType<typeof startWeb>>;
let browser: Browser;

beforeAll(async () => {
  if (noBrowser) return;
  fakes = startFakes();
  web = await startWeb(fakes.environment);
  browser = await startBrowser();
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

async function complaintsOf(page: Page): Promise<string[]> {
  // Past the page's policy, which allows no script but its own.
  await page.evaluate(Deno.readTextFileSync(AXE));
  return await page.evaluate(async (rules) => {
    const { violations } = await (globalThis as unknown as { axe: typeof axe }).axe.run(document, {
      runOnly: rules,
      rules: { "target-size": { enabled: true } },
      resultTypes: ["violations"],
    });
    return violations.flatMap(({ id, nodes }) =>
      nodes.map(({ target, html }) => `${id}: ${target} ${html.slice(0, 160)}`)
    );
  }, RULES);
}

async function expectNoComplaints(paths: readonly string[]): Promise<void> {
  const found: Record<string, string[]> = {};
  for (const viewport of SIZES) {
    const context = await browser.newContext({ viewport, reducedMotion: "reduce" });
    const page = await context.newPage();
    for (const path of paths) {
      await page.goto(web.origin + path);
      await page.locator(".station", { hasText: "Browser" }).getByText("live").waitFor();
      for (const colorScheme of ["light", "dark"] as const) {
        await page.emulateMedia({ colorScheme });
        const complaints = await complaintsOf(page);
        if (complaints.length > 0) found[`${path} at ${viewport.width} px, ${colorScheme}`] = complaints;
      }
    }
    await context.close();
  }
  expect(found).toEqual({});
}

const LIMIT = { timeout: 180_000 };

describe("axe finds nothing", LIMIT, () => {
  test("on pages that have nothing to show yet", () => expectNoComplaints(MENU_PATHS));

  test("on pages without the processor", async () => {
    await fakes.stopProcessor();
    try {
      await expectAway();
    } finally {
      fakes.restartProcessor();
    }
  });

  test("on full pages", async () => expectNoComplaints(await fillPages(fakes)));
});

async function expectAway(): Promise<void> {
  const page = await browser.newPage();
  for (const path of MENU_PATHS) {
    await page.goto(web.origin + path);
    await page.locator(".station", { hasText: "Processor" }).getByText("away").waitFor();
    expect(await complaintsOf(page), path).toEqual([]);
  }
  await page.close();
}
