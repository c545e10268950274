/**
 * Pages with the builds of posthog-js that load their extras afterwards, everything switched on that a page can switch on,
 * in a real browser. The page comes from another origin than the stand-in, as on one machine it does.
 */
import { randomUUID } from "node:crypto";
import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../runtime/clock.ts";
import { noBrowser, startBrowser } from "../../tests/support/browser.ts";
import { until } from "../../tests/support/until.ts";
import { readStandInConfig } from "./config.ts";
import { startReceiver } from "./fixtures/receiver.ts";
import { type PosthogStandIn, startPosthogStandIn } from "./server.ts";

/** All that posthog-js has, by its own options. */
const EVERYTHING = {
  opt_out_useragent_filter: true,
  capture_exceptions: true,
  capture_performance: { web_vitals: true, network_timing: true },
  capture_dead_clicks: true,
  capture_heatmaps: true,
  disable_web_experiments: false,
  __add_tracing_headers: true,
  logs: { captureConsoleLogs: true },
  request_queue_config: { flush_interval_ms: 250 },
};

let browser: Browser;
let dataDir: string;
let receiver: ReturnType<typeof startReceiver>;
let standIn: PosthogStandIn;

beforeAll(async () => {
  if (!noBrowser) browser = await startBrowser();
});
afterAll(() => browser?.close());

beforeEach(async () => {
  dataDir = await Deno.makeTempDir();
  receiver = startReceiver({ clock: systemClock });
  const config = readStandInConfig({
    DATA_DIR: dataDir,
    POSTHOG_STAND_IN_PORT: "0",
    POSTHOG_STAND_IN_WEBHOOK_URL: receiver.url,
  });
  standIn = startPosthogStandIn(config, {
    clock: systemClock,
    fetch,
    random: Math.random,
    newId: randomUUID,
    onFailure: () => {},
  });
});
afterEach(async () => {
  await standIn.stop();
  await receiver.stop();
  await Deno.remove(dataDir, { recursive: true });
});

function startPage(script: string, options: object) {
  const html = `<!doctype html><title>A page</title><button>x</button>
    <script src="${standIn.url}/${script}"></script>
    <script>posthog.init("phc_demo", ${JSON.stringify({ ...options, api_host: standIn.url })});</script>`;
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    (request) =>
      new URL(request.url).pathname === "/"
        ? new Response(html, { headers: { "content-type": "text/html" } })
        : new Response(null, { status: 204 }),
  );
  return { url: `http://127.0.0.1:${server.addr.port}/`, stop: () => server.shutdown() };
}

describe("a page with the full build", () => {
  test.each([
    // What each loads afterwards; array.full.js has nearly all of it inside.
    ["static/array.js", [
      "surveys",
      "exception-autocapture",
      "dead-clicks-autocapture",
      "logs",
      "tracing-headers",
    ]],
    ["array/phc_demo/array.js", ["surveys", "web-vitals-with-attribution"]],
    ["static/array.full.js", ["logs"]],
  ])(
    "%s gets all that it asks for: no 404, and a silent console",
    async (script, loads, ...test: unknown[]) => {
      if (noBrowser) return (test[0] as { skip(why: string): void }).skip(noBrowser);
      const shown = startPage(script, EVERYTHING);
      const context = await browser.newContext();
      const page = await context.newPage();
      const failed: string[] = [];
      const asked: string[] = [];
      page.on("response", (response) => {
        asked.push(new URL(response.url()).pathname);
        if (response.status() >= 400) failed.push(`${response.status()} ${response.url()}`);
      });
      page.on("requestfailed", (request) => failed.push(`failed ${request.url()}`));
      page.on("console", (message) => {
        if (["error", "warning"].includes(message.type())) failed.push(message.text());
      });
      page.on("pageerror", (error) => failed.push(String(error)));
      await page.goto(shown.url);
      await page.click("button");
      await page.evaluate(`
      posthog.identify("user-1", { email: "ada@example.org" });
      posthog.capture("feature_used");
      posthog.reloadFeatureFlags();
      posthog.getEarlyAccessFeatures(() => {}, true);
      console.log("for the logs");
      new Promise((resolve) => posthog.getSurveys(resolve, true));
    `);
      const isAsked = (name: string) => asked.some((path) => path.endsWith(`/${name}.js`));
      await until(`it has asked for ${loads}`, () => loads.every(isAsked));
      await until("it has sent its logs", () => asked.includes("/i/v1/logs"));
      await until(
        "the webhook is there",
        () => receiver.received.some(({ body }) => body.event.event === "feature_used"),
      );
      expect(asked).toContain("/array/phc_demo/config.js");
      await context.close();
      await shown.stop();
      expect(failed).toEqual([]);
    },
  );
});
