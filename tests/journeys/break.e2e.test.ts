import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { noBrowser, startBrowser } from "../support/browser.ts";
import { identify } from "../support/page_journey.ts";
import { spawnProgram, type TextStream } from "../support/run_command.ts";
import { until } from "../support/until.ts";

/**
 * The panel "Break something" as a person has it: the whole demo, a real browser and posthog-js, a click every 200 ms, and
 * every switch in turn. demo/break.int.test.ts asks the same of the demo by HTTP, and more of each.
 */
const LIMIT = { limitMs: 60_000 };

let demo: Deno.ChildProcess;
let browser: Browser;
let page: Page;
let dataDir: string;
let printed = "";

beforeAll(async () => {
  if (noBrowser) return;
  dataDir = await Deno.makeTempDir({ prefix: "break-page-" });
  demo = spawnProgram("demo/main.ts", {
    args: ["--no-sample"],
    env: {
      DATA_DIR: dataDir,
      DISCOUNT_WAIT: "200ms",
      MAIL_RETRY_DELAYS: "300ms,300ms,300ms,300ms,1s,1s,1s,1s,1s,1s",
      INGEST_PORT: "0",
      PROCESSOR_PORT: "0",
      WEB_PORT: "0",
      POSTHOG_STAND_IN_PORT: "0",
      FRESH: "npm",
    },
  });
  for (const stream of [demo.stdout, demo.stderr]) {
    void stream.pipeThrough(new TextDecoderStream() as TextStream).pipeTo(
      new WritableStream({ write: (text) => void (printed += text) }),
    );
  }
  const url = await until("the demo is ready", () => /Ready in .*?(http:\S+)/.exec(printed)?.[1], {
    limitMs: 120_000,
  });
  browser = await startBrowser();
  page = await browser.newPage();
  await page.goto(url);
  await page.locator(".station", { hasText: "Browser" }).getByText("live").waitFor();
  await identify(page, "ada@example.org");
}, 150_000);
afterAll(async () => {
  if (noBrowser) return;
  await browser?.close();
  demo.kill("SIGINT");
  await demo.status;
  await Deno.remove(dataDir, { recursive: true });
});
beforeEach((test) => {
  if (noBrowser) test.skip(noBrowser);
});

/** The proof line as it stands at one moment: what the browser still holds back may come at any later one. */
async function look(): Promise<{ agrees: boolean; text: string; figures: Record<string, number> }> {
  const { state, text, texts } = await page.locator("[data-proof]").evaluate((proof) => ({
    state: proof.getAttribute("data-proof"),
    text: (proof as HTMLElement).innerText,
    texts: [...proof.querySelectorAll<HTMLElement>(".figure")].map((one) => one.innerText),
  }));
  const figures = Object.fromEntries(texts.map((text) => {
    const [, name, figure] = /^(.*) ([\d,]+|–)$/.exec(text)!;
    return [name!, Number(figure!.replaceAll(",", ""))];
  }));
  return { agrees: state === "agrees", text, figures };
}

const agreeing = (words: RegExp) => async () => {
  const now = await look();
  return now.agrees && words.test(now.text) && now;
};

/** Both of the product's buttons in turn, in the page itself, so that nothing waits for the test. */
async function startClicks(): Promise<() => Promise<void>> {
  const timer = await page.evaluate(() => {
    const names = ["Simulate Generation Failure", "Simulate Feature Usage"];
    let clicks = 0;
    return setInterval(() => {
      const name = names[clicks++ % names.length];
      [...document.querySelectorAll("button")].find((button) => button.textContent === name)?.click();
    }, 200) as unknown as number;
  });
  return () => page.evaluate((timer) => clearInterval(timer), timer);
}

test.each(
  [
    { name: "Kill the processor", role: "button", stays: false, words: /while the processor was dead/ },
    { name: "Kill ingest", role: "button", stays: false, words: /while ingest was dead/ },
    { name: "Send something broken", role: "button", stays: false, words: /\d dead letters?/ },
    { name: "Mail server refuses", role: "button", stays: true, words: /while the mail server answered 451/ },
    { name: "Pause deliveries", role: "switch", stays: true, words: /while deliveries were paused/ },
    { name: "Deliver twice", role: "switch", stays: true, words: /\d repeats? dropped as such/ },
    { name: "Out of order", role: "switch", stays: true, words: /while deliveries came out of order/ },
    {
      name: "Drop deliveries",
      role: "switch",
      stays: true,
      words: /while a share of the deliveries was dropped/,
    },
  ] as const,
)("“$name”, under a click every 200 ms, ends with equal counts", async ({ name, role, stays, words }) => {
  const thrower = page.getByRole(role, { name, exact: true });
  const state = role === "switch" ? "aria-checked" : "aria-pressed";
  const { figures: before } = await until("nothing is on its way", agreeing(/./), LIMIT);
  const stop = await startClicks();
  await thrower.click();
  if (stays) await until("it is on", async () => await thrower.getAttribute(state) === "true", LIMIT);
  await until(
    "some were sent meanwhile",
    async () => (await look()).figures.sent! >= before.sent! + 8,
    LIMIT,
  );
  if (stays) await thrower.click();
  await stop();
  const { text, figures: after } = await until("it agrees again", agreeing(words), LIMIT).catch(
    async (error) => {
      throw new Error(`${error.message}\n${(await look()).text}\n${printed.slice(-1_000)}`);
    },
  );
  expect(text).toMatch(/\b0 lost, 0 doubled\.$/);
  const dropped = Number(/(\d+) dropped by PostHog/.exec(text)?.[1] ?? 0);
  expect(after.sent! - before.sent!).toBe(after.delivered! - before.delivered! + dropped);
  expect(after.durable! - before.durable!).toBe(after.delivered! - before.delivered!);
  for (const [figure, value] of Object.entries(after)) {
    expect(value, figure).toBeGreaterThanOrEqual(before[figure]!);
  }
}, 150_000);
