import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { PipelineStatus } from "../../contract/processor_api.ts";
import { noBrowser, startBrowser, watch } from "../support/browser.ts";
import {
  click,
  failGeneration,
  identify,
  SANITISED_PROMPT,
  untilMailed,
  useTimes,
} from "../support/page_journey.ts";
import { datasetLines, mailFiles } from "../support/pipeline.ts";
import { spawnProgram, type TextStream } from "../support/run_command.ts";
import { until } from "../support/until.ts";

/**
 * The whole of it as a person has it: `deno task demo`, a real browser, the real posthog-js, clicks; then Ctrl-C and the
 * same again. The wait of two minutes is shortened by its setting.
 */
const WAIT_MS = 1_500;
const ADDRESS = "ada@example.org";

type Demo = { readonly url: string; readonly output: () => string; stop(): Promise<number> };

const running = new Set<Deno.ChildProcess>();

async function startDemo(dataDir: string): Promise<Demo> {
  const process = spawnProgram("demo/main.ts", {
    args: ["--no-sample"],
    env: {
      DATA_DIR: dataDir,
      DISCOUNT_WAIT: `${WAIT_MS}ms`,
      INGEST_PORT: "0",
      PROCESSOR_PORT: "0",
      WEB_PORT: "0",
      POSTHOG_STAND_IN_PORT: "0",
      FRESH: "npm",
    },
  });
  running.add(process);
  let output = "";
  const read = async (stream: ReadableStream<Uint8Array>) => {
    for await (const text of stream.pipeThrough(new TextDecoderStream() as TextStream)) output += text;
  };
  const reading = Promise.all([read(process.stdout), read(process.stderr)]);
  const url = await until("the demo is ready", () => /Ready in .*?(http:\S+)/.exec(output)?.[1], {
    limitMs: 60_000,
  });
  return {
    url,
    output: () => output,
    async stop() {
      process.kill("SIGINT");
      const { code } = await process.status;
      running.delete(process);
      await reading;
      return code;
    },
  };
}

describe("deno task demo in a browser", () => {
  if (noBrowser !== null) {
    test("leads from clicks to a line and one mail", (running) => running.skip(noBrowser!));
    return;
  }
  let dataDir: string;
  let browser: Browser;
  beforeAll(async () => {
    dataDir = await Deno.makeTempDir({ prefix: "demo-" });
    browser = await startBrowser();
  });
  afterAll(async () => {
    // Only where the test failed: a demo that is killed takes its services with it.
    for (const process of running) process.kill("SIGKILL");
    await browser.close();
    await Deno.remove(dataDir, { recursive: true });
  });

  test(
    "leads from clicks to a line and one mail, and to no second mail after Ctrl-C and a new start",
    async () => {
      const first = await startDemo(dataDir);
      const context = await browser.newContext();
      const complaints = watch(context, { origin: new URL(first.url).origin });
      const page = await context.newPage();
      await page.goto(first.url);
      await identify(page, ADDRESS);
      await page.locator(".row", { hasText: "$identify" }).getByText("address known").waitFor();

      await failGeneration(page);
      const [line, ...others] = datasetLines(dataDir);
      expect(others).toEqual([]);
      expect(line).toMatchObject({
        event: "generation_failed",
        failure_reason: "timeout",
        input_prompt: SANITISED_PROMPT,
        distinct_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      });

      await useTimes(page, 5);
      await untilMailed(page);
      expect(mailFiles(dataDir)).toHaveLength(1);
      await page.locator(".row").first().getByText(ADDRESS).waitFor();
      await page.getByRole("link", { name: "Mail 1 unread" }).waitFor();
      const offerIn = (where: string) => page.locator(`${where} .offer strong`).innerText();
      expect([await offerIn(".panel"), await offerIn(".offer-row")]).toEqual(
        Array(2).fill("The mail was sent"),
      );
      expect(await page.locator(".row .stop.awaited").count()).toBe(0);
      expect(complaints).toEqual({ console: [], otherHosts: [] });
      const state = await context.storageState();
      await context.close();
      expect(await first.stop()).toBe(0);

      const second = await startDemo(dataDir);
      // The same person comes back: what posthog-js keeps in the browser belongs to the page's address, whose port is new.
      const origins = state.origins.map((origin) => ({ ...origin, origin: new URL(second.url).origin }));
      const again = await browser.newContext({ storageState: { ...state, origins } });
      const back = await again.newPage();
      await back.goto(second.url);
      await identify(back, ADDRESS);
      for (let i = 0; i < 5; i++) await click(back, "Simulate Feature Usage");
      await click(back, "Simulate Generation Failure");
      await until("the second line is there", () => datasetLines(dataDir).length === 2);
      await again.close();
      expect(await second.stop()).toBe(0);

      // Somebody else with the same mailbox is not mailed either; then everything that was due has come.
      const third = await startDemo(dataDir);
      const stranger = await browser.newContext();
      const other = await stranger.newPage();
      await other.goto(third.url);
      await useTimes(other, 5);
      // An address that comes after the offer was earned counts because the demo's server proves it, and the join with it.
      await identify(other, ADDRESS);
      await until("the stranger's offer is closed", async () => {
        const status: PipelineStatus = await (await fetch(`${third.url}/api/status`)).json();
        return status.offers.closed === 1 && status.offers.offered === 1;
      });
      expect(mailFiles(dataDir)).toHaveLength(1);
      await stranger.close();
      expect(await third.stop()).toBe(0);
    },
    120_000,
  );
});
