/**
 * The dataset page and the letters' pages as people use them: searching, paging, downloading, editing, setting aside; by
 * HTTP and in a real browser, over stand-ins of the other services (tests/web/fakes.ts).
 */
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { noBrowser, startBrowser, watch } from "../support/browser.ts";
import { until } from "../support/until.ts";
import { type Fakes, startFakes } from "./fakes.ts";
import { startWeb } from "./start_web.ts";

const FILE = "event=generation_failed/date=2026-01-01/p00003-0000.jsonl";
const VALUE = '{"event":"generation_failed","distinct_id":"user-1","properties":{"input_prompt":7}}';
const MENDED = VALUE.replace("7}", '"mended"}');

let fakes: Fakes;
let web: Awaited<ReturnType<typeof startWeb>>;

async function start(given: Parameters<typeof startFakes>[0] = {}): Promise<void> {
  fakes = startFakes(given);
  web = await startWeb(fakes.environment);
}

beforeEach(() => start());
afterEach(async () => {
  await web.stop();
  await fakes.stop();
});

const get = (path: string, init?: RequestInit) => fetch(web.origin + path, { redirect: "manual", ...init });
const text = async (path: string) => await (await get(path)).text();
const post = (path: string, form: Record<string, string>, headers: Record<string, string> = {}) =>
  get(path, { method: "POST", body: new URLSearchParams(form), headers: { origin: web.origin, ...headers } });
const lineOf = (line: number) => `/dataset?file=${encodeURIComponent(FILE)}&line=${line}`;

function take(prompts: readonly string[]): void {
  for (const [n, prompt] of prompts.entries()) {
    fakes.take({
      uuid: crypto.randomUUID(),
      event: "generation_failed",
      timestamp: new Date().toISOString(),
      properties: { distinct_id: `user-${n}`, input_prompt: prompt, failure_reason: "timeout" },
    });
  }
}

const edited = () => fakes.deadLetters.copies().filter(({ headers }) => headers.edited !== undefined);
const valueOf = ({ value }: { value: Uint8Array }) => new TextDecoder().decode(value);

describe("by HTTP", () => {
  test("a search stands on the page without script, as text, each hit with the way to its line", async () => {
    take(["one", "two <b>wanted</b>", "three"]);
    const html = await text(`/dataset?q=${encodeURIComponent("<b>wanted</b>")}`);
    expect(html).toContain("&lt;b>wanted&lt;/b>");
    expect(html).not.toContain("<b>wanted");
    const [, href] = /href="([^"]+)"[^>]*>p00003-0000:<!?[^>]*>?2<|href="([^"]+line=2[^"]*)"/.exec(html)!
      .filter(Boolean);
    expect(await text(href!.replaceAll("&amp;", "&").replace(/#.*/, ""))).toContain('id="L2" class="marked"');
    expect(await text("/dataset?q=nowhere")).toContain("0 lines here.");
  });

  test("a search goes on where it ended, and says how far it came", async () => {
    take(["one"]);
    fakes.answerOfSearch({ hits: [], searchedBytes: 20_000_000, next: "1 2 3 4 event=x & y" });
    const html = await text("/dataset?q=needle");
    expect(html.replaceAll("<!-- -->", "")).toContain("Searched so far: 20.0 MB of 20.0 MB.");
    const [, href] = /href="([^"]+)"[^>]*>\s*go on/.exec(html)!;
    await text(href!.replaceAll("&amp;", "&").replace(/#.*/, ""));
    expect(fakes.searched.at(-1)).toEqual({ text: "needle", from: "1 2 3 4 event=x & y" });
    fakes.answerOfSearch("busy");
    expect(await text("/dataset?q=needle")).toContain("Others are searching just now.");
  });

  test("a file is paged through to both its ends", async () => {
    take(Array.from({ length: 450 }, (_, n) => `prompt ${n + 1}`));
    const numbers = (html: string) => [...html.matchAll(/ id="L(\d+)"/g)].map(([, line]) => Number(line));
    const link = (html: string, to: string) =>
      new RegExp(`href="([^"#]*)[^"]*"[^>]*>\\s*${to}\\s*<`).exec(html)?.[1]?.replaceAll("&amp;", "&");
    const seen: number[] = [];
    let html = await text("/dataset");
    expect(link(html, "newer lines")).toBeUndefined();
    for (;;) {
      seen.unshift(...numbers(html));
      const older = link(html, "older lines");
      if (older === undefined) break;
      html = await text(older);
    }
    expect(seen).toEqual(Array.from({ length: 450 }, (_, n) => n + 1));
    expect(numbers(await text(link(html, "newer lines")!))[0]).toBe(51);
    expect(numbers(await text(link(html, "end of the file")!)).at(-1)).toBe(450);
    expect(numbers(await text(lineOf(17)))).toContain(17);
    expect(await text("/dataset?file=../../etc/passwd")).toContain("There is no file");
  });

  test("a download and an export are handed on with their names, as they come", async () => {
    take(["one"]);
    for (
      const [path, name] of [
        [`download?file=${encodeURIComponent(FILE)}`, "generation_failed-2026-01-01-p00003-0000.jsonl"],
        ["export?format=hf", "dataset-hf.tar"],
        ["export?format=jsonl", "training_data.jsonl"],
      ] as const
    ) {
      const answer = await get(`/api/dataset/${path}`);
      expect(answer.headers.get("content-disposition")).toBe(`attachment; filename="${name}"`);
      expect(answer.headers.get("cache-control")).toBe("no-store, no-transform");
      expect(answer.headers.get("content-security-policy")).toContain("default-src 'none'");
      expect(await answer.text()).toBe(fakes.lines[0] + "\n");
    }
    expect((await get("/api/dataset/download?file=../../etc/passwd")).status).toBe(404);
    expect((await get("/api/dataset/export?format=xlsx")).status).toBe(400);
  });

  test("an export ends in the processor when its reader leaves, and breaks off where the processor's does", async () => {
    take(["one"]);
    fakes.exports.held = true;
    const head = await get("/api/dataset/export?format=parquet", { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
    await until("nothing goes on for it", () => fakes.exports.ended === 1);
    const leave = new AbortController();
    const answer = await get("/api/dataset/export?format=parquet", { signal: leave.signal });
    await answer.body!.getReader().read();
    const busy = await get("/api/dataset/export?format=parquet");
    expect([busy.status, (await busy.json()).error.code]).toEqual([503, "busy"]);
    const form = await get("/api/dataset/export?format=parquet", { headers: { accept: "text/html,*/*" } });
    expect([form.status, form.headers.get("location")]).toEqual([303, "/dataset?export=busy#export"]);
    expect(await text("/dataset?export=busy")).toContain("Another export is under way");
    leave.abort();
    await until("it has ended", () => fakes.exports.ended === 2);
    const broken = await get("/api/dataset/export?format=parquet");
    fakes.exports.breaks = true;
    await expect(broken.arrayBuffer()).rejects.toThrow();
    await fakes.stopProcessor();
    const away = await get("/api/dataset/export?format=parquet", { headers: { accept: "text/html" } });
    expect(away.headers.get("location")).toBe("/dataset?export=away#export");
  });

  test("a letter's record is edited and sent again by a plain form, once, marked as edited", async () => {
    const id = await fakes.deadLetters.setAside({ id: "a", value: VALUE });
    const path = `/dead-letters/${encodeURIComponent(id)}`;
    expect(await text(path)).not.toContain("<textarea");
    expect((await text(`${path}?edit=1`)).replaceAll("&quot;", '"')).toContain(`>${VALUE}</textarea>`);
    const done = await post(path, { do: "resend", value: MENDED.replace(",", ",\r\n") });
    expect([done.status, done.headers.get("location")]).toEqual([303, "/dead-letters?resent=edited#outcome"]);
    expect(edited().map((copy) => [valueOf(copy), copy.headers.edited])).toEqual([[
      MENDED.replace(",", ",\n"),
      id,
    ]]);
    const again = await post(path, { do: "resend", value: MENDED });
    expect(await text(again.headers.get("location")!)).toContain(
      "It went on before, so your edit was not sent",
    );
    expect(edited()).toHaveLength(1);
    expect(await text("/dead-letters?all=1")).toContain("redriven, edited");
  });

  test("what is no JSON is not sent, and what was written is not lost", async () => {
    const id = await fakes.deadLetters.setAside({ id: "a", value: VALUE });
    const path = `/dead-letters/${encodeURIComponent(id)}`;
    const answer = await post(path, { do: "resend", value: "{my work" });
    const html = await answer.text();
    expect([answer.status, html.includes(">{my work</textarea>")]).toEqual([422, true]);
    expect(html).toContain("This is no JSON:");
    fakes.deadLetters.hold("a replay");
    const busy = await post(path, { do: "resend", value: MENDED });
    const kept = (await busy.text()).replaceAll("&quot;", '"');
    expect([busy.status, kept.includes(`>${MENDED}</textarea>`)]).toEqual([409, true]);
    expect(kept).toContain("Not now: a replay");
    expect(fakes.deadLetters.copies()).toEqual([]);
  });

  test("a letter is set aside for good with a reason, and stands under all letters with it", async () => {
    const id = await fakes.deadLetters.setAside({ id: "a", value: VALUE });
    const path = `/dead-letters/${encodeURIComponent(id)}`;
    const without = await post(path, { do: "dismiss", reason: "  " });
    expect([without.status, (await without.text()).includes("Say why")]).toEqual([422, true]);
    const done = await post(path, { do: "dismiss", reason: "<b>a test of ours</b>" });
    expect(await text(done.headers.get("location")!)).toContain(
      "Set aside for good. It stands under all letters",
    );
    expect(await text("/dead-letters")).not.toContain(`data-id="${id}"`);
    expect(await text("/dead-letters?all=1")).toContain("set aside for good: &lt;b>a test of ours");
    const html = await text(path);
    expect(html).not.toMatch(/<button|<textarea/);
    expect(html).toContain("&lt;b>a test of ours");
  });

  test("only this site's own pages edit or set aside, and only this machine with raw values edits", async () => {
    const id = await fakes.deadLetters.setAside({ id: "a", value: VALUE });
    const path = `/dead-letters/${encodeURIComponent(id)}`;
    for (const form of [{ do: "resend", value: MENDED }, { do: "dismiss", reason: "x" }]) {
      for (const origin of ["https://evil.test", "http://127.0.0.1:1", "null", ""]) {
        expect((await post(path, form as unknown as Record<string, string>, { origin })).status, origin).toBe(
          403,
        );
      }
    }
    expect((await post(path, { do: "burn" })).status).toBe(400);
    await web.stop();
    await fakes.stop();
    await start({ showsRaw: false });
    await fakes.deadLetters.setAside({ id: "a", value: VALUE });
    expect(await text(`${path}?edit=1`)).not.toMatch(/<textarea|>Edit</);
    expect((await post(path, { do: "resend", value: MENDED })).status).toBe(403);
    expect((await get("/api/dead-letters")).status).toBe(200);
    expect(fakes.deadLetters.copies()).toEqual([]);
  });

  test("a position of the topic leads to the letter of what lies there", async () => {
    take(["one"]);
    const id = await fakes.deadLetters.setAside({ id: "a" });
    const answer = await get("/dead-letters/at/3%3A0");
    expect([answer.status, answer.headers.get("location")]).toEqual([
      303,
      `/dead-letters/${encodeURIComponent(id)}`,
    ]);
    for (const path of ["/dead-letters/at/3%3A7", "/dead-letters/at/x"]) {
      expect((await get(path)).status).toBe(404);
    }
    await fakes.stopProcessor();
    expect((await get("/dead-letters/at/3%3A0")).headers.get("location")).toBe("/dead-letters");
  });
});

describe("in a browser", () => {
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
    context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
    complaints = watch(context, { origin: web.origin });
    page = await context.newPage();
  });
  afterEach(() => context?.close());

  const button = (name: string) => page.getByRole("button", { name, exact: true });
  const press = async (name: string) => {
    await button(name).focus();
    await page.keyboard.press("Enter");
  };

  test("lines are searched, and one of them reached, by keyboard; a line that is not on the page is fetched", async () => {
    take(Array.from({ length: 450 }, (_, n) => n === 16 ? "the needle" : `prompt ${n + 1}`));
    await page.goto(`${web.origin}/dataset`);
    await page.getByLabel("Search lines").focus();
    await page.keyboard.type("needle");
    await page.keyboard.press("Enter");
    await page.getByRole("link", { name: "p00003-0000:17" }).focus();
    await page.keyboard.press("Enter");
    await page.locator("#L17.marked", { hasText: "the needle" }).waitFor();
    await page.goto(`${web.origin}/dataset?file=${encodeURIComponent(FILE)}#L3`);
    await page.locator("#L3.marked").waitFor();
    expect(complaints).toEqual({ console: [], otherHosts: [] });
  });

  test("a file and an export are downloads of their names", async () => {
    take(["one"]);
    await page.goto(`${web.origin}/dataset`);
    const names = [];
    for (const act of [() => page.getByRole("link", { name: "Download" }).click(), () => press("Export")]) {
      const [download] = await Promise.all([page.waitForEvent("download"), act()]);
      names.push(download.suggestedFilename());
    }
    await page.getByLabel("Format").selectOption("chat-jsonl");
    const [download] = await Promise.all([page.waitForEvent("download"), press("Export")]);
    names.push(download.suggestedFilename());
    expect(names).toEqual([
      "generation_failed-2026-01-01-p00003-0000.jsonl",
      "dataset.parquet",
      "chat.jsonl",
    ]);
  });

  test("a record is edited, told to be no JSON before it is sent, mended and sent again, by keyboard", async () => {
    await fakes.deadLetters.setAside({ id: "a", value: VALUE });
    await page.goto(`${web.origin}/dead-letters/0%3A0`);
    await press("Edit");
    const field = page.getByLabel("Record", { exact: true });
    await field.waitFor();
    expect(await field.inputValue()).toBe(VALUE);
    expect(await field.evaluate((one) => one === document.activeElement)).toBe(true);
    await field.fill("{my work");
    let sent = 0;
    page.on("request", (request) => request.method() === "POST" && sent++);
    await press("Resend");
    await page.getByRole("alert").getByText("This is no JSON").waitFor();
    expect([sent, await field.inputValue(), edited().length]).toEqual([0, "{my work", 0]);
    await field.fill(MENDED);
    await page.getByRole("alert").getByText("This is no JSON").waitFor({ state: "detached" });
    await press("Resend");
    await page.getByRole("status").getByText("Sent again as you edited it").waitFor();
    expect(edited().map(valueOf)).toEqual([MENDED]);
    expect(complaints).toEqual({ console: [], otherHosts: [] });
  });

  test("a letter is set aside for good, by keyboard, and found under all", async () => {
    await fakes.deadLetters.setAside({ id: "a", value: VALUE });
    await page.goto(`${web.origin}/dead-letters/0%3A0`);
    await page.getByLabel("Reason").focus();
    await page.keyboard.type("a test of ours");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.getByRole("status").getByText("Set aside for good.").waitFor();
    await page.goto(`${web.origin}/dead-letters?all=1`);
    await page.getByText("set aside for good: a test of ours").waitFor();
  });

  test("the row of an event that was set aside leads to its letter", async () => {
    const uuid = "019ad56c-5168-7457-bac6-82981da45fb3";
    const at = new Date().toISOString();
    const id = await fakes.deadLetters.setAside({ id: uuid });
    const polled = { step: "polled", id: uuid, event: "generation_failed", distinctId: "user-1" } as const;
    fakes.add([
      { ...polled, position: "3:0", eventAt: at, receivedAt: at, at },
      { step: "dead_lettered", id: uuid, position: "3:0", reason: "no prompt", at },
    ]);
    await page.goto(web.origin);
    await page.getByRole("link", { name: "the dead letter" }).click();
    await page.getByRole("heading", { name: `Dead letter ${id}` }).waitFor();
    fakes.details.set(uuid, {
      ...{ uuid, event: "generation_failed", distinctId: null, line: null, facts: [] },
      deliveries: [{
        receivedAt: at,
        partition: 3,
        offset: 0,
        outcome: "dead_letter",
        redrives: 0,
        headers: {},
      }],
      lookedAt: { partitions: [], facts: null },
    });
    await page.goto(`${web.origin}/events/${uuid}`);
    await page.getByRole("link", { name: "dead letter", exact: true }).click();
    await page.getByRole("heading", { name: `Dead letter ${id}` }).waitFor();
  });

  const PATHS = () => [
    "/dataset",
    "/dataset?q=prompt",
    lineOf(30),
    "/dead-letters",
    "/dead-letters?all=1",
    "/dead-letters/0%3A0?edit=1",
    "/dead-letters/0%3A1",
  ];

  async function fill(): Promise<void> {
    take(Array.from({ length: 450 }, (_, n) => `prompt ${n + 1} call +44 7911 123456 or ada@example.org`));
    fakes.dates.push("2025-12-31", "2025-12-30");
    await fakes.deadLetters.setAside({ id: "a", value: VALUE });
    await fakes.deadLetters.setAside({ redrives: 3, reason: "the sanitiser refused the text (failed)" });
    const other = await fakes.deadLetters.setAside({ headers: { edited: "0:0" }, redrives: 1 });
    await fakes.deadLetters.letters.dismiss({ id: other, reason: "a test of ours" });
  }

  test.each([[360, 360], [720, 720], [1440, 1440]])(
    "at %d px nothing is cut or wider than the screen, no word is broken, and every target has 24 px",
    async (width) => {
      await fill();
      await page.setViewportSize({ width, height: 800 });
      for (const path of PATHS()) {
        await page.goto(web.origin + path);
        await page.locator(".station", { hasText: "Browser" }).getByText("live").waitFor();
        expect([path, await page.evaluate(() => document.documentElement.scrollWidth)]).toEqual([
          path,
          width,
        ]);
        const cut = await page.evaluate(() =>
          [...document.querySelectorAll(".page .scroll")].filter((box) => box.scrollWidth > box.clientWidth)
            .length
        );
        expect([path, "tables that are cut", cut]).toEqual([path, "tables that are cut", 0]);
        expect([path, await page.evaluate(brokenWords)]).toEqual([path, []]);
        expect([path, await page.evaluate(smallTargets)]).toEqual([path, []]);
      }
    },
  );

  test("at 360 px the table of the dataset is a list, each value behind its name", async () => {
    await fill();
    await page.setViewportSize({ width: 360, height: 800 });
    await page.goto(`${web.origin}/dataset`);
    const cells = page.getByRole("table").first().getByRole("row").nth(1).locator("[data-label]");
    const boxes = await cells.evaluateAll((all) => all.map((one) => one.getBoundingClientRect()));
    expect(boxes.map(({ y }) => y)).toEqual(boxes.map(({ y }) => y).toSorted((a, b) => a - b));
    expect(new Set(boxes.map(({ x }) => x)).size).toBe(1);
    expect(await page.getByRole("rowheader", { name: "generation_failed" }).count()).toBe(3);
  });
});

/** Words of letters, outside of data, that stand on two lines. Runs in the page. */
function brokenWords(): string[] {
  const broken: string[] = [];
  const texts = document.createTreeWalker(document.querySelector("main")!, NodeFilter.SHOW_TEXT);
  for (let node = texts.nextNode(); node; node = texts.nextNode()) {
    if (node.parentElement!.closest("pre, code, textarea, .line, .hidden")) continue;
    for (const { 0: word, index } of node.textContent!.matchAll(/[\p{L}_]{2,24}/gu)) {
      const range = document.createRange();
      range.setStart(node, index);
      range.setEnd(node, index + word.length);
      const tops = [...range.getClientRects()].map(({ top }) => Math.round(top));
      if (new Set(tops).size > 1) broken.push(word);
    }
  }
  return broken;
}

/** What is clicked and has less than 24 px either way, but for links within a sentence (WCAG 2.2, 2.5.8). Runs in the page. */
function smallTargets(): string[] {
  const all = [...document.querySelectorAll("main :is(a, button, summary, input, select, textarea)")];
  return all.flatMap((one) => {
    const { width, height } = one.getBoundingClientRect();
    // The words beside a box belong to it.
    if (
      one.matches("[type=hidden], label input") || width === 0 || (one.closest("p, dd") && one.matches("a"))
    ) return [];
    return width < 24 || height < 24 ? [`${one.tagName} ${one.textContent} ${width} x ${height}`] : [];
  });
}
