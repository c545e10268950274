/**
 * No page says what nobody can know then: real services, a real browser, each service killed in turn, every page read both as
 * it stood before and as it is made then. What is read: every visible text, every title and every label.
 */
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { noBrowser, startBrowser } from "../support/browser.ts";
import { failGeneration, identify, useTimes } from "../support/page_journey.ts";
import { firstUrl, post, type Service, startService, untilCaughtUp } from "../support/pipeline.ts";
import { spawnProgram } from "../support/run_command.ts";
import { startWeb } from "./start_web.ts";

type Source = "processor" | "ingest" | "web";

/** What a text claims to be so now, and who must live for anybody to know it. */
const CLAIMS: readonly { readonly words: RegExp; readonly known: readonly Source[] }[] = [
  { words: /\blag (\d|of \d)|\bbehind\b|\bcaught up\b/i, known: ["processor", "web"] },
  { words: /\bdue in\b|\bis due\b|\bbeing (sent|earned)\b|\bis sent in\b/i, known: ["processor", "web"] },
  {
    words: /\b\d+ of \d+ uses\b|\bmore earns? a\b|\bwaits? for (one|an address)\b/i,
    known: ["processor", "web"],
  },
  { words: /\b\d+ waiting\b|\bDead letters \d/i, known: ["processor", "web"] },
  { words: /\b\d+ spooled\b|\bno event (waits|is spooled)\b/i, known: ["ingest", "web"] },
  { words: /\bhears every step\b|\bmisses nothing\b|● live$/, known: ["web"] },
];
/** That there is none: nobody can know that who asks now. Where it was known before, a line above says since when it is old. */
const NOTHING_THERE: typeof CLAIMS = [
  {
    words: /\bNo (dead letters?|lines?|mails?|offers?|events?)\b|\bnothing (has )?(yet|happened)\b/i,
    known: ["processor"],
  },
  { words: /\bNobody of this id\b|\bThere is no\b|\bNothing is known of an event\b/i, known: ["processor"] },
];

/** A text where it stands; `since`: it says itself that it is of an earlier time. */
type Statement = { readonly text: string; readonly since: boolean };

/** For a loaded machine: it takes a tenth of it. */
const LIMIT = { timeout: 240_000 };
const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/;
const NAMES = { processor: "Processor", ingest: "Ingest" } as const;

let dataDir: string;
let standIn: Deno.ChildProcess;
let services: Record<keyof typeof NAMES, Service>;
let web: Awaited<ReturnType<typeof startWeb>>;
let browser: Browser;
let paths: string[];
let storageState: Awaited<ReturnType<BrowserContext["storageState"]>>;
let env: Record<string, string>;

beforeAll(async () => {
  if (noBrowser) return;
  dataDir = await Deno.makeTempDir({ prefix: "statements-" });
  env = { DATA_DIR: dataDir, DISCOUNT_WAIT: "1h" };
  const [ingest, processor] = await Promise.all([
    startService("ingest", env),
    startService("processor", env),
  ]);
  services = { ingest, processor };
  standIn = spawnProgram("demo/stand_in/main.ts", {
    env: {
      DATA_DIR: dataDir,
      POSTHOG_STAND_IN_PORT: "0",
      POSTHOG_STAND_IN_WEBHOOK_URL: `${ingest.url}/api/webhooks`,
    },
  });
  web = await startWeb({
    INGEST_URL: ingest.url,
    PROCESSOR_URL: processor.url,
    POSTHOG_HOST: (await firstUrl(standIn.stdout, () => "")).replace("localhost", "127.0.0.1"),
  });
  browser = await startBrowser();
  paths = await useEverything();
}, 120_000);
afterAll(async () => {
  if (noBrowser) return;
  await browser.close();
  await web.stop();
  standIn.kill("SIGKILL");
  await Promise.all([standIn.status, ...Object.values(services).map((service) => service.stop())]);
  await Deno.remove(dataDir, { recursive: true });
});
beforeEach((test) => {
  if (noBrowser) test.skip(noBrowser);
});

/** A line, an offer that waits, a dead letter; answers the pages that tell of them. */
async function useEverything(): Promise<string[]> {
  const page = await (await browser.newContext()).newPage();
  await page.goto(web.origin);
  await identify(page, "ada@example.org");
  await failGeneration(page);
  await useTimes(page, 5);
  const links = await page.locator("a").evaluateAll((all) => all.map((a) => a.getAttribute("href") ?? ""));
  expect(await post(services.ingest.url, `{"hello":"there"}`)).toBe(202);
  await untilCaughtUp(services.processor.url);
  storageState = await page.context().storageState();
  await page.context().close();
  const [event, offer] = ["/events/", "/offers/"].map((begin) =>
    links.find((href) => href.startsWith(begin))!
  );
  expect(event).toMatch(UUID);
  return ["/", event!, "/topic", "/dataset", "/mail", "/offers", offer!, "/dead-letters"];
}

type Opened = { readonly path: string; readonly page: Page; readonly context: BrowserContext };

/**
 * As whoever used everything, each with a context of its own: a browser opens six connections to a host, and each page
 * keeps one.
 */
async function openAll(): Promise<Opened[]> {
  const opened: Opened[] = [];
  for (const path of paths) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, storageState });
    const page = await context.newPage();
    const answer = await page.goto(web.origin + path, { waitUntil: "domcontentloaded" });
    expect(answer!.status(), path).not.toBe(404);
    opened.push({ path, page, context });
  }
  return opened;
}

const closeAll = (opened: readonly Opened[]) => Promise.all(opened.map(({ context }) => context.close()));
const station = (page: Page, name: string) => page.locator(".station", { hasText: name });

async function kill(name: keyof typeof NAMES): Promise<void> {
  await services[name].kill();
}

async function startAgain(name: keyof typeof NAMES): Promise<void> {
  const { port } = new URL(services[name].url);
  services[name] = await startService(name, { ...env, [`${name.toUpperCase()}_PORT`]: port });
}

async function statementsOf(page: Page, within = "body"): Promise<Statement[]> {
  return await page.evaluate((within) => {
    const said = new Map<string, { text: string; since: boolean }>();
    const blockOf = (element: Element): Element => {
      let block = element;
      while (getComputedStyle(block).display.startsWith("inline") && block.parentElement) {
        block = block.parentElement;
      }
      return block;
    };
    const say = (text: string, element: Element) => {
      const since = element.closest("[data-since]") !== null;
      if (text.trim() !== "") said.set(`${since} ${text}`, { text: text.trim().replace(/\s+/g, " "), since });
    };
    for (const element of document.querySelectorAll<HTMLElement>(`${within} *`)) {
      if (element.closest("script, noscript, style, option, select") || !element.checkVisibility()) continue;
      const owns = [...element.childNodes].some((node) =>
        node.nodeType === 3 && node.textContent!.trim() !== ""
      );
      if (owns) say(`${(blockOf(element) as HTMLElement).innerText}`, element);
      for (const name of ["title", "aria-label", "alt", "placeholder"]) {
        say(element.getAttribute(name) ?? "", element);
      }
    }
    return [...said.values()];
  }, within);
}

async function byPage(
  opened: readonly Opened[],
  look: (page: Page) => Promise<string[]>,
): Promise<Record<string, string[]>> {
  const all = await Promise.all(opened.map(async ({ path, page }) => [path, await look(page)] as const));
  return Object.fromEntries(all.filter(([, said]) => said.length > 0));
}

function untrue(statements: readonly Statement[], claims: typeof CLAIMS, dead: Source): string[] {
  return statements.filter(({ text, since }) =>
    !since && claims.some(({ words, known }) => known.includes(dead) && words.test(text))
  ).map(({ text }) => text);
}

/** By page, what it says although nobody can know. */
function findings(
  opened: readonly Opened[],
  { dead, isOld }: { dead: Source; isOld: boolean },
): Promise<Record<string, string[]>> {
  const claims = isOld ? CLAIMS : [...CLAIMS, ...NOTHING_THERE];
  return byPage(opened, async (page) => untrue(await statementsOf(page), claims, dead));
}

/** By page, what moves on it but times: a figure that does is none that its dead source has told. */
const moved = (opened: readonly Opened[]) => byPage(opened, movedOn);

async function movedOn(page: Page): Promise<string[]> {
  const texts = async () =>
    (await statementsOf(page, "main")).map(({ text }) => text).filter((text) => !text.includes("last seen"))
      .map((text) => text.replace(WORDS_OF_TIME, ""));
  const before = new Set(await texts());
  const end = await page.evaluate(() => performance.now() + 2_000);
  await page.waitForFunction((end) => performance.now() > end, end);
  return (await texts()).filter((text) => !before.has(text));
}

/** What relative times are made of; the countdown of an offer is none. */
const WORDS_OF_TIME = /just now|\d+ (s|min|h) ago/g;

test.each(["processor", "ingest"] as const)(
  "with the %s dead, no page claims what nobody can know",
  LIMIT,
  async (dead) => {
    const old = await openAll();
    const opened: Opened[] = [...old];
    try {
      await Promise.all(old.map(({ page }) => station(page, NAMES[dead]).getByText("ready").waitFor()));
      await kill(dead);
      const fresh = await openAll();
      opened.push(...fresh);
      for (const { page, path } of opened) {
        const dark = station(page, NAMES[dead]);
        await dark.getByText(/last seen/).waitFor();
        expect(await dark.innerText(), path).toMatch(/away\s+last seen /);
        expect(await dark.getAttribute("class"), path).toContain("tone-quiet");
        if (dead === "processor") {
          await page.locator(".top").getByText(/^The processor is away, last seen .*newer\.$/)
            .waitFor();
        }
      }
      expect(await findings(old, { dead, isOld: true })).toEqual({});
      expect(await findings(fresh, { dead, isOld: false })).toEqual({});
      // Without ingest the processor goes on, and what it tells moves.
      if (dead === "processor") expect(await moved(opened)).toEqual({});
    } finally {
      await closeAll(opened);
      await startAgain(dead);
    }
  },
);

test(
  "with web gone every page is grey, says since when it is old, and claims nothing more",
  LIMIT,
  async () => {
    const old = await openAll();
    await Promise.all(old.map(({ page }) => station(page, "Browser").getByText("live").waitFor()));
    await web.stop();
    for (const { page, path } of old) {
      await page.locator(".top").getByText(
        /^Web does not answer, last seen .*: nothing on this page is newer\.$/,
      ).waitFor();
      expect(await page.locator(".station.tone-quiet", { hasText: "last seen" }).count(), path).toBe(5);
      expect(await page.locator(".station", { hasText: "ready" }).count(), path).toBe(0);
    }
    expect(await findings(old, { dead: "web", isOld: true })).toEqual({});
    expect(await moved(old)).toEqual({});
    await closeAll(old);
  },
);
