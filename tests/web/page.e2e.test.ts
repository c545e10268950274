/**
 * What a person sees, by HTTP and in a real browser, over stand-ins of the other services (tests/web/fakes.ts says what
 * they do not imitate). The same suite runs on either Fresh: `FRESH=jsr` takes the one from JSR, the default is fresh-npm.
 */
import { gunzipSync } from "node:zlib";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { readerSnippet } from "../../contract/dataset_readers.ts";
import { noBrowser, startBrowser, watch } from "../support/browser.ts";
import { until } from "../support/until.ts";
import { type Fakes, MESSAGE_ID, startFakes, THRESHOLD } from "./fakes.ts";
import { startWeb } from "./start_web.ts";

const PHONE = "+44 7911 123456";
const FILE = "event=generation_failed/date=2026-01-01/p00003-0000.jsonl";
const BUDGET_BYTES = 90_000;
const MAIL_PATH = `/mail/${encodeURIComponent(MESSAGE_ID)}`;

let fakes: Fakes;
let web: { origin: string; stop: () => Promise<void> };

beforeEach(async () => {
  fakes = startFakes();
  web = await startWeb(fakes.environment);
});
afterEach(async () => {
  await web.stop();
  await fakes.stop();
});

const get = (path: string, init?: RequestInit) => fetch(web.origin + path, { redirect: "manual", ...init });
const text = async (path: string) => await (await get(path)).text();

function failure({ uuid = crypto.randomUUID() as string, prompt = `call ${PHONE}`, user = "user-1" } = {}) {
  return {
    uuid,
    event: "generation_failed",
    timestamp: new Date().toISOString(),
    properties: { distinct_id: user, input_prompt: prompt, failure_reason: "timeout" },
  };
}

/** Reads server-sent events until `enough`, then leaves. */
async function readEvents(
  path: string,
  enough: (text: string) => boolean,
  init?: RequestInit,
): Promise<string> {
  const leave = new AbortController();
  const response = await get(path, { ...init, signal: leave.signal });
  let read = "";
  try {
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      read += chunk;
      if (enough(read)) break;
    }
  } finally {
    leave.abort();
  }
  return read;
}

describe("by HTTP", () => {
  test("every page is a whole document with a strict policy, no cookie, and no script but its own", async () => {
    fakes.take(failure());
    fakes.offers.set("user-1", offerOf("user-1"));
    await fakes.deadLetters.setAside();
    const pages = ["/", "/dataset", "/mail", "/offers/user-1", "/dead-letters", "/dead-letters/0%3A0"];
    for (const path of [...pages, "/no/such/page"]) {
      const response = await get(path);
      const html = await response.text();
      const policy = response.headers.get("content-security-policy")!;
      expect(response.status, path).toBe(path.startsWith("/no") ? 404 : 200);
      expect(html, path).toMatch(
        /^<!DOCTYPE html><html lang="en">.*<title>[^<]+<\/title>.*<h1[ >].*<\/html>$/is,
      );
      expect(policy, path).toContain("default-src 'none'");
      expect(policy, path).toContain("frame-ancestors 'none'");
      expect(policy, path).not.toContain("unsafe");
      const nonce = /'nonce-([^']+)'/.exec(policy)![1];
      for (const [script] of html.matchAll(/<script[^>]*>/g)) {
        expect(script, path).toContain(`nonce="${nonce}"`);
      }
      expect(response.headers.get("set-cookie"), path).toBeNull();
      expect(response.headers.get("x-content-type-options"), path).toBe("nosniff");
    }
  });

  test("every answer has the policy and its neighbours: static files, data, errors, what other services say", async () => {
    await fakes.deadLetters.setAside();
    const style = /href="(\/styles\.css[^"]*)"/.exec(await text("/"))![1]!.replaceAll("&amp;", "&");
    const script = /["'(](\/(?:_fresh\/|assets\/)[^"')]+\.js)/.exec(await text("/"))![1]!;
    const asked: [path: string, status: number, init?: RequestInit][] = [
      [style, 200],
      [script, 200],
      ["/favicon.svg", 200],
      ["/api/status", 200],
      ["/api/services", 200],
      ["/api/offers/nobody", 404],
      ["/api/mails/nothing", 404],
      ["/relay/e/?ver=1", 200, { method: "POST", body: '{"batch":[]}' }],
      ["/relay/elsewhere", 404],
      ["/relay/e/", 404],
      ["/unsubscribe?token=x", 200],
      ["/dead-letters", 403, { method: "POST", body: "letter=all" }],
      ["/no/such/page", 404],
      ["/no/such/page", 404, { method: "POST", body: "x" }],
      ["/dataset", 404, { method: "DELETE" }],
      ["/offers/%E0%A4%A", 404],
      ["/%", 404],
      ["/api/offers/%ff", 404],
      ["/mail/%E0%A4%A/html", 404, { method: "POST", body: "x" }],
    ];
    for (const [path, status, init] of asked) {
      const response = await get(path, init);
      await response.body?.cancel();
      const name = `${init?.method ?? "GET"} ${path}`;
      expect([name, response.status]).toEqual([name, status]);
      expect(response.headers.get("content-security-policy"), name).toContain("default-src 'none'");
      for (
        const header of [
          "x-content-type-options",
          "referrer-policy",
          "cross-origin-opener-policy",
          "permissions-policy",
        ]
      ) expect(response.headers.get(header), `${name} ${header}`).not.toBeNull();
    }
  });

  test("an address that is no address is a page that is not there, for everybody who comes with it", async () => {
    for (const path of ["/offers/%E0%A4%A", "/%", "/mail/%80", "/dead-letters/%c3%28"]) {
      const response = await get(path);
      const html = await response.text();
      expect(response.status, path).toBe(404);
      expect(html, path).toContain("There is no such page");
      expect(html, path).toMatch(/<nav aria-label="Pages">/);
    }
  });

  test("a Host that is none, a method that is not served and a path that cannot be read have a policy too", async () => {
    for (
      const [line, host, status] of [
        ["GET /", "a b", 400],
        ["GET /offers/%ff", "[::1", 400],
        ["HEAD /", "localhost:99999", 400],
        ["TRACE /offers/%ff", "localhost", 405],
        ["get /%", "localhost", 404],
      ] as const
    ) {
      const request = `${line} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
      const [head, body] = (await rawRequest(request, () => false)).split("\r\n\r\n", 2);
      expect(head, line).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
      expect(head, line).toMatch(/^content-security-policy: default-src 'none'/im);
      expect(body!.includes("There is no such page"), line).toBe(status === 404);
    }
  });

  test("the page where somebody is is the only one marked as current, a sub page's too", async () => {
    fakes.offers.set("user-1", { ...offerOf("user-1"), state: "waiting" });
    fakes.sendMail({ to: "ada@example.org", html: "<p>hello</p>" });
    const current = async (path: string) =>
      [...(await text(path)).matchAll(/<a [^>]*aria-current="(?:page|true)"[^>]*>/g)]
        .map(([tag]) => /href="([^"?]*)/.exec(tag)![1]);
    for (let i = 0; i < 60; i++) await fakes.deadLetters.setAside();
    for (
      const path of [
        "/dead-letters",
        "/dead-letters?all=1",
        "/dead-letters?before=0:55",
        "/dead-letters/0%3A0",
      ]
    ) {
      expect(await current(path), path).toEqual(["/dead-letters"]);
    }
    expect(await current("/")).toEqual(["/"]);
    expect(await current("/dataset/")).toEqual(["/dataset"]);
    expect(await current("/dataset")).toEqual(["/dataset"]);
    expect(await current(MAIL_PATH)).toEqual(["/mail", MAIL_PATH]);
    expect(await current("/offers/user-1")).toEqual([]);
    expect(await current("/no/such/page")).toEqual([]);
  });

  test("a processor that stalls within its answers, or never falls silent, holds nothing up", async () => {
    let open = 0;
    const cancel = () => void open--;
    const stalled = () =>
      new ReadableStream({ start: (out) => out.enqueue(new TextEncoder().encode('{"records":')), cancel });
    let chatting = 0;
    const chatter = () =>
      new ReadableStream({
        async pull(out) {
          chatting++;
          await new Promise((resolve) => setTimeout(resolve, 5));
          out.enqueue(new TextEncoder().encode(": still here\n\n"));
        },
        cancel,
      });
    const processor = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
      open++;
      return new Response(new URL(request.url).pathname === "/api/events" ? chatter() : stalled());
    });
    const other = await startWeb({
      ...fakes.environment,
      PROCESSOR_URL: `http://127.0.0.1:${processor.addr.port}`,
    });
    const asked = (path: string) =>
      Array.from({ length: 16 }, async () => {
        const response = await fetch(other.origin + path);
        await response.text();
        return response.status;
      });
    expect(new Set(await Promise.all(asked("/")))).toEqual(new Set([200]));
    expect(chatting).toBeGreaterThan(16);
    expect(new Set(await Promise.all(asked("/api/mails")))).toEqual(new Set([502]));
    await until("every answer that was not read to its end is let go of", () => open === 0);
    await other.stop();
    await processor.shutdown();
  });

  test("visits leave no connection to the processor behind", async () => {
    for (let i = 0; i < 300; i++) fakes.take(failure({ prompt: "long ".repeat(100) }));
    const proxy = countingProxy(fakes.environment.PROCESSOR_URL);
    const other = await startWeb({ ...fakes.environment, PROCESSOR_URL: proxy.url });
    const PARALLEL = 16;
    const visit = async () => {
      const response = await fetch(other.origin);
      await response.body?.cancel();
      return response.status;
    };
    for (let visits = 0; visits < 200; visits += PARALLEL) {
      const statuses = await Promise.all(Array.from({ length: PARALLEL }, visit));
      expect(new Set(statuses)).toEqual(new Set([200]));
    }
    await until("no event stream is left open", () => fakes.listeners() === 0);
    // A page asks for the events, the status and the readiness; what is kept open for the next page are the last two.
    await until("only what is used again is open", () => proxy.open() <= 2 * PARALLEL);
    await other.stop();
    proxy.close();
  });

  test("a nonce is used for one answer only", async () => {
    const policies = await Promise.all(
      [get("/"), get("/")].map(async (r) => (await r).headers.get("content-security-policy")),
    );
    expect(policies[0]).not.toBe(policies[1]);
  });

  test("pages hold their data without script: steps, lines, offers, mails", async () => {
    fakes.take(failure());
    fakes.offers.set("user-1", { ...offerOf("user-1"), state: "waiting", uses: 5 });
    fakes.sendMail({ to: "ada@example.org", html: "<p>SAVE-20</p>" });
    expect(await text("/")).toContain("p00003-0000:1");
    expect(await text("/dataset")).toContain("&lt;PHONE_NUMBER");
    expect(await text("/dataset")).toContain(FILE);
    // The snippets of `dataset schema`, whole.
    const snippet = readerSnippet("pyarrow", "data/dataset").replaceAll("&", "&amp;").replaceAll("<", "&lt;")
      .replaceAll('"', "&quot;");
    expect(await text("/dataset")).toContain(snippet);
    expect(await text("/offers/user-1")).toContain("The mail was sent");
    expect(await text("/mail")).toContain("Your discount code: SAVE-20");
  });

  test("what users typed is text in every page", async () => {
    fakes.take(failure({ prompt: `<img src=x onerror="alert(1)"> </script><script>alert(2)</script>` }));
    for (const path of ["/", "/dataset"]) {
      // The boot script holds it as a string of JSON, in which "</script" alone is escaped.
      const html = (await text(path)).replace(/<script type="module"[^>]*>.*?<\/script>/gs, "");
      expect(html).not.toMatch(/<img|<script>alert/);
      expect(await text(path)).toContain("&lt;img src=x onerror=");
    }
  });

  test("ids with any sign in them reach the processor as they are", async () => {
    for (const id of ["a/b", "ada@example.org", "50%41", "x y?z#"]) {
      fakes.offers.set(id, offerOf(id));
      expect((await get(`/offers/${encodeURIComponent(id)}`)).status, id).toBe(200);
      expect((await get(`/api/offers/${encodeURIComponent(id)}`)).status, id).toBe(200);
    }
    expect((await get("/offers/nobody")).status).toBe(404);
    expect((await get("/api/offers/nobody")).status).toBe(404);
    expect(await (await get("/api/offers?distinct_id=nobody")).json()).toEqual({ offers: [], known: true });
  });

  test("a dataset of many days comes in pages, each with its way to the next and back", async () => {
    fakes.take(failure());
    for (let day = 1; day < 120; day++) {
      fakes.dates.push(new Date(Date.UTC(2026, 0, 1) - day * 86_400_000).toISOString().slice(0, 10));
    }
    const days = (html: string) =>
      [...html.matchAll(/data-label="Date">(\d{4}-\d\d-\d\d)</g)].map(([, day]) => day);
    const link = (html: string, to: string) =>
      new RegExp(`href="(/dataset\\?[^"]*)"[^>]*>\\s*${to}\\s*<`).exec(html)?.[1];
    const first = await text("/dataset");
    const second = await text(link(first, "older")!);
    const third = await text(link(second, "older")!);
    expect([first, second, third].flatMap(days)).toEqual(fakes.dates);
    expect([first, second, third].map((html) => days(html).length)).toEqual([50, 50, 20]);
    expect([link(first, "newer"), link(third, "older")]).toEqual([undefined, undefined]);
    expect(days(await text(link(third, "newer")!))).toEqual(days(second));
    expect((await (await get("/api/dataset?limit=3")).json()).partitions).toHaveLength(3);
    expect(days(await text("/dataset?before=nonsense"))).toEqual(days(first));
  });

  test("the processor's answers are handed on", async () => {
    fakes.take(failure());
    expect((await (await get("/api/status")).json()).dataset.records).toBe(1);
    expect((await (await get("/api/dataset")).json()).records).toBe(1);
    expect((await (await get(`/api/dataset?file=${encodeURIComponent(FILE)}&lines=5`)).json()).lines).toEqual(
      fakes.lines,
    );
    expect((await get("/api/dataset?file=../../etc/passwd")).status).toBe(404);
    expect((await (await get("/api/mails")).json()).mails).toEqual([]);
  });

  test("services that are away are named, and no page fails because of them", async () => {
    fakes.spool(3);
    await fakes.stopProcessor();
    const services = await (await get("/api/services")).json();
    expect(services.processor.state).toBe("away");
    expect(services.ingest).toMatchObject({ state: "spooling", spooled: 3 });
    expect(services.posthog).toMatchObject({ name: "PostHog stand-in", state: "ready" });
    for (const path of ["/", "/dataset", "/mail", "/dead-letters"]) {
      expect((await get(path)).status, path).toBe(200);
    }
    expect(await text("/dead-letters")).toContain("The processor does not answer.");
    expect((await get("/dead-letters/0%3A0")).status).toBe(503);
    expect((await get("/api/dead-letters")).status).toBe(502);
    expect(await text("/dataset")).toContain("The processor does not answer.");
    expect((await get("/offers/user-1")).status).toBe(503);
    expect((await get("/api/status")).status).toBe(502);
    fakes.restartProcessor();
  });

  test("the event stream brings what is kept, then what happens, and continues behind the last id", async () => {
    fakes.take(failure({ uuid: "first" }));
    setTimeout(() => fakes.take(failure({ uuid: "second" })), 50);
    const read = await readEvents("/api/events", (text) => text.includes('"written","id":"second"'));
    expect(read).toContain('"polled","id":"first"');
    const id = /^id: (.*)$/gm.exec(read)![1]!;
    const rest = await readEvents("/api/events", (text) => text.includes('"written","id":"second"'), {
      headers: { "last-event-id": id },
    });
    expect(rest).not.toContain('"polled","id":"first"');
    expect(rest).toContain('"written","id":"first"');
  });

  test("the event stream lets go of the processor when the browser leaves", async () => {
    let listeners = 0;
    await readEvents("/api/events", (text) => {
      listeners = fakes.listeners();
      return text.includes("event: here");
    });
    expect(listeners).toBe(1);
    await until("the processor has no listener left", () => fakes.listeners() === 0);
  });

  test("the event stream of a processor that is away is a 200 that says so and ends", async () => {
    await fakes.stopProcessor();
    const response = await get("/api/events");
    expect(response.status).toBe(200);
    expect(await response.text()).toContain("event: away\n");
    fakes.restartProcessor();
  });

  test("prompts as typed are shown under a loopback name, and nothing under another one", async () => {
    fakes.take(failure());
    for (const [host, expected] of [["localhost", true], ["evil.test", false]] as const) {
      for (const path of ["/", "/api/events"]) {
        const answer = await rawGet(path, { host, enough: (text) => /<\/html>|"written"|error/.test(text) });
        expect(answer.includes(`call ${PHONE}`), `${path} for ${host}`).toBe(expected);
        if (!expected) expect(answer).toMatch(/^HTTP\/1.1 421 /);
      }
    }
  });

  test("the relay reaches PostHog, and takes no cookie there or back", async () => {
    const response = await get("/relay/e/?ver=1", {
      method: "POST",
      body: `{"batch":[]}`,
      headers: { cookie: "a=1" },
    });
    await response.body?.cancel();
    expect(fakes.captured[0]).toMatchObject({ method: "POST", path: "/e/?ver=1" });
    expect(fakes.captured[0]!.headers.get("cookie")).toBeNull();
    expect(fakes.captured[0]!.headers.get("x-forwarded-for")).toBe("127.0.0.1");
    expect(response.headers.get("set-cookie")).toBeNull();
    const elsewhere = await get("/relay/elsewhere");
    expect([elsewhere.status, elsewhere.headers.get("location")]).toEqual([404, null]);
    await elsewhere.body?.cancel();
    expect(fakes.captured).toHaveLength(1);
  });

  test("unsubscribe links are passed through to ingest, by GET and by one click", async () => {
    const page = await get("/unsubscribe?token=a.b%3D");
    expect(page.status).toBe(200);
    expect(page.headers.get("content-security-policy")).toBe("default-src 'none'");
    await page.body?.cancel();
    await (await get("/unsubscribe?token=a.b%3D", {
      method: "POST",
      body: "List-Unsubscribe=One-Click",
      headers: { "content-type": "application/x-www-form-urlencoded" },
    })).body?.cancel();
    expect(fakes.unsubscribed).toEqual([
      { method: "GET", search: "?token=a.b%3D", body: "" },
      { method: "POST", search: "?token=a.b%3D", body: "List-Unsubscribe=One-Click" },
    ]);
  });

  test("a mail is shown as text, headers and source, and its HTML can run and fetch nothing", async () => {
    fakes.offers.set("user-1", { ...offerOf("user-1"), state: "waiting" });
    fakes.sendMail({
      to: "ada@example.org",
      html: `<p>SAVE-20</p><script>alert(1)</script><img src="http://192.0.2.1/">`,
    });
    expect(await text(MAIL_PATH)).toContain(`sandbox="allow-popups allow-popups-to-escape-sandbox"`);
    expect(await text(`${MAIL_PATH}?view=text`)).toMatch(/Your discount code: SAVE-20\s*<\/pre>/);
    expect(await text(`${MAIL_PATH}?view=headers`)).toContain("Message-ID");
    expect(await text(`${MAIL_PATH}?view=source`)).toContain("Content-Type: multipart/alternative");
    const html = await get(`${MAIL_PATH}/html`);
    const policy = html.headers.get("content-security-policy")!;
    expect(await html.text()).toContain("<p>SAVE-20</p>");
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("sandbox allow-popups");
    expect(policy).not.toContain("script-src");
    expect((await get("/mail/unknown")).status).toBe(404);
  });

  describe("dead letters", () => {
    const FORM = "application/x-www-form-urlencoded";
    const post = (path: string, body: string, headers: Record<string, string> = {}) =>
      get(path, { method: "POST", body, headers: { "content-type": FORM, origin: web.origin, ...headers } });
    const postJson = (order: unknown, headers: Record<string, string> = {}) =>
      post("/api/dead-letters/redrive", JSON.stringify(order), {
        "content-type": "application/json",
        ...headers,
      });
    const copies = () => fakes.deadLetters.copies().map(({ headers }) => headers.id);
    /** Sends a form; answers the page that it leads to. */
    async function submit(form: string): Promise<string> {
      const response = await post("/dead-letters", form);
      await response.body?.cancel();
      expect(response.status).toBe(303);
      return await text(response.headers.get("location")!);
    }

    test("stand on their page without script, with a histogram, and a form for each and for all", async () => {
      for (let i = 0; i < 60; i++) {
        await fakes.deadLetters.setAside({ reason: i % 3 === 0 ? "body is no JSON" : "<b>no text</b>" });
      }
      await fakes.deadLetters.setAside({ redrives: 3, reason: "worn" });
      const html = await text("/dead-letters");
      expect(html.replace(/<[^>]+>/g, "")).toContain("Dead letters 61");
      expect(html).toMatch(/&lt;b>no text&lt;\/b>.*<td class="mono right">40<.*body is no JSON.*>20</s);
      expect(html).toContain("Redrive all 60");
      expect(html).toContain("worn out");
      expect([...html.matchAll(/name="letter" value="(0:\d+)"/g)].length).toBe(49);
      const older = /href="([^"]*before=[^"]*)"/.exec(html)![1]!.replaceAll("&amp;", "&");
      const rest = await text(older.replace(/#.*/, ""));
      expect([...rest.matchAll(/name="letter" value="(0:\d+)"/g)].map(([, id]) => id)).toEqual(
        Array.from({ length: 11 }, (_, i) => `0:${10 - i}`),
      );
    });

    test("are redriven by a plain form, one or all; the page says what came of it, and they have left it", async () => {
      for (const id of ["a", "b", "c"]) await fakes.deadLetters.setAside({ id });
      await fakes.deadLetters.setAside({ id: "worn", redrives: 3 });
      expect(await submit("letter=0%3A1")).toContain("1 letter redriven. One whose cause still stands");
      expect(copies()).toEqual(["worn", "b"]);
      expect(await submit("letter=0%3A1")).toContain("1 letter went on before, without another copy.");
      const html = await submit("letter=all&do=redrive");
      expect(html).toContain("2 letters redriven, 1 letter refused.");
      expect(html).toContain("Redriven 3 times and set aside again");
      expect(html).not.toContain('name="letter"');
      expect(copies()).toEqual(["worn", "b", "a", "c"]);
      expect(await text("/dead-letters?all=1")).toContain("redriven");
    });

    test("stay where they are in a dry run", async () => {
      await fakes.deadLetters.setAside({ id: "a" });
      const html = await submit("letter=all&do=dry-run");
      expect(html).toContain("Dry run: 1 letter would be redriven. Nothing was done.");
      expect(html).toContain('value="0:0"');
      expect(copies()).toEqual([]);
    });

    test("stay, and the page says why, while a replay is under way, the processor is away, or one has gone", async () => {
      await fakes.deadLetters.setAside({ id: "a" });
      fakes.deadLetters.hold("a replay");
      expect(await submit("letter=all")).toContain(
        "Not now: a replay, an erasure or another redrive is under way.",
      );
      fakes.deadLetters.hold(null);
      expect(await submit("letter=0%3A7")).toContain("There is no such letter any more.");
      fakes.deadLetters.log.setAway(true);
      expect(await submit("letter=all")).toContain("Redrive again: no letter is redriven twice.");
      fakes.deadLetters.log.setAway(false);
      await fakes.stopProcessor();
      expect(await submit("letter=all")).toContain("Redrive again: no letter is redriven twice.");
      fakes.restartProcessor();
      expect(copies()).toEqual([]);
      expect(await submit("letter=all")).toContain("1 letter redriven");
      expect(copies()).toEqual(["a"]);
    });

    test("are redriven by this site's own pages only", async () => {
      await fakes.deadLetters.setAside({ id: "a" });
      const { port } = new URL(web.origin);
      for (const origin of ["https://evil.test", `http://127.0.0.1:1`, "null", ""]) {
        expect((await post("/dead-letters", "letter=all", { origin })).status, origin).toBe(403);
        expect((await postJson({ all: true }, { origin })).status, origin).toBe(403);
      }
      for (const path of ["/dead-letters", "/api/dead-letters/redrive"]) {
        const host = `evil.test:${port}`;
        const answer = await rawRequest(
          `POST ${path} HTTP/1.1\r\nHost: ${host}\r\nOrigin: http://${host}\r\nContent-Type: ${FORM}\r\n` +
            "Content-Length: 10\r\nConnection: close\r\n\r\nletter=all",
          () => false,
        );
        expect(answer, path).toMatch(/^HTTP\/1.1 421 /);
      }
      expect((await post("/dead-letters", "")).status).toBe(400);
      expect((await post("/dead-letters", `letter=${"0".repeat(5_000)}`)).status).toBe(400);
      expect((await postJson({ all: true }, { "content-type": "text/plain" })).status).toBe(415);
      expect(copies()).toEqual([]);
      const answer = await postJson({ ids: ["0:0"] });
      expect([answer.status, await answer.json()]).toMatchObject([200, { redriven: 1 }]);
      expect((await postJson({ ids: "0:0" })).status).toBe(400);
      expect((await postJson({ ids: ["0:9"] })).status).toBe(404);
    });

    test("are shown with their records as text", async () => {
      await fakes.deadLetters.setAside({ id: "a", value: `{"p":"<script>alert(1)</script> ${PHONE}"}` });
      const html = await text("/dead-letters/0%3A0");
      expect(html).toContain(PHONE);
      expect(html).not.toContain("<script>alert");
      expect((await (await get("/api/dead-letters/0:0")).json()).record.value).toContain(PHONE);
      expect((await get("/dead-letters/0%3A9")).status).toBe(404);
      expect((await get("/api/dead-letters/0:9")).status).toBe(404);
    });
  });

  test("there is a favicon, and a style sheet that may be kept for a year", async () => {
    const html = await text("/");
    for (const [, href] of html.matchAll(/<link rel="(?:icon|stylesheet)"[^>]* href="([^"]+)"/g)) {
      const response = await get(href!.replaceAll("&amp;", "&"));
      await response.body?.cancel();
      expect(response.status).toBe(200);
      expect(response.headers.get("cache-control")).toContain("immutable");
    }
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
    await page.goto(web.origin);
  });
  afterEach(async () => {
    if (noBrowser) return;
    await context.close();
  });

  const button = (name: string) => page.getByRole("button", { name, exact: true });
  const row = (event: string) => page.locator(".row", { hasText: event });
  const rowsOf = (event: string) => row(event).count();

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

  test("a failure is captured by posthog-js, and its row grows to the line, sanitised; the line link leads there", async () => {
    await identify();
    await page.getByLabel("Prompt").fill(`call ${PHONE}, or <b>bob@example.org</b>`);
    await page.getByLabel("Failure reason").fill("rate_limited");
    await button("Simulate Generation Failure").click();
    const failed = row("generation_failed");
    await failed.getByText("p00003-0000:1").waitFor();
    expect(await failed.locator(".prompt").allInnerTexts()).toEqual([
      `before\n${`call ${PHONE}, or <b>bob@example.org</b>`}`,
      "after\ncall <PHONE_NUMBER>, or <b><EMAIL_ADDRESS></b>",
    ]);
    expect(JSON.parse(fakes.lines[0]!)).toMatchObject({ failure_reason: "rate_limited" });
    await failed.getByRole("link", { name: "line" }).click();
    await page.locator("#L1.marked", { hasText: "rate_limited" }).waitFor();
    expect(complaints).toEqual({ console: [], otherHosts: [] });
    expect(await context.cookies()).toEqual([]);
  });

  test("five uses earn an offer; the mail is linked when it is sent, and shown in its frame", async () => {
    await identify();
    await useTimes(THRESHOLD);
    await page.getByText("Offer earned, mail due in").waitFor();
    expect(await page.locator(".countdown").innerText()).toMatch(/^[12]:\d\d$/);
    fakes.sendMail({ to: "ada@example.org", html: `<p>Your code is <b>SAVE-20</b></p>` });
    await page.getByText("Mail sent to ada@example.org").waitFor();
    await page.getByRole("link", { name: "Open the mail" }).click();
    await page.frameLocator("iframe").getByText("Your code is SAVE-20").waitFor();
    expect(complaints).toEqual({ console: [], otherHosts: [] });
  });

  test("the mail of a hostile sender runs and fetches nothing", async () => {
    fakes.offers.set("user-1", { ...offerOf("user-1"), state: "waiting" });
    fakes.sendMail({
      to: "ada@example.org",
      html: `<p>hello</p><script>document.querySelector("p").textContent = "ran"</script>` +
        `<img src="${web.origin}/favicon.svg?from-mail" alt=""><a href="/dataset">link</a>`,
    });
    const answered: string[] = [];
    context.on("requestfinished", (request) => answered.push(request.url()));
    await page.goto(web.origin + MAIL_PATH);
    const frame = page.frameLocator("iframe");
    await frame.getByText("hello").waitFor();
    expect(await frame.locator("p").innerText()).toBe("hello");
    expect(answered.filter((url) => url.includes("from-mail"))).toEqual([]);
    expect(await frame.locator("img").evaluate((image: HTMLImageElement) => image.naturalWidth)).toBe(0);
  });

  test("the distinct_id is a random user id that stays; the address is a property of the person", async () => {
    await identify();
    await useTimes(1);
    const events = capturedEvents();
    const identified = events.find((event) => event.event === "$identify")!;
    const used = events.find((event) => event.event === "feature_used")!;
    expect(identified.properties.distinct_id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4/);
    expect(identified.$set).toEqual({ email: "ada@example.org" });
    expect(used.properties.distinct_id).toBe(identified.properties.distinct_id);
    expect(JSON.stringify(used.properties)).not.toContain("ada@example.org");
    await page.reload();
    await page.getByText("with ada@example.org").waitFor();
    await page.getByText("1 of 5 uses").waitFor();
    await button("Be somebody else").click();
    await page.getByText("You are anonymous.").waitFor();
    await button("Simulate Feature Usage").click();
    await until(
      "the next use is somebody else's",
      () =>
        capturedEvents().some((event) =>
          event.event === "feature_used" && event.properties.distinct_id !== identified.properties.distinct_id
        ),
    );
  });

  function capturedEvents() {
    const bodies = fakes.captured.filter(({ path }) => path === "/e/").map(({ body }) =>
      gunzipSync(body).toString()
    );
    return bodies.flatMap((body) => JSON.parse(body).batch);
  }

  test("an offer without an address says so and asks for one", async () => {
    await useTimes(THRESHOLD);
    await page.locator(".offer", { hasText: "No address known: waits for one" }).waitFor();
    await until(
      "the e-mail field has the focus",
      () => page.getByLabel("E-mail").evaluate((field) => field === document.activeElement),
    );
  });

  test("an event that is delivered again is shown as dropped", async () => {
    await page.getByLabel("Prompt").fill("once");
    await button("Simulate Generation Failure").click();
    await row("generation_failed").getByText("p00003-0000:1").waitFor();
    const [event] = capturedEvents();
    fakes.take(event);
    await row("generation_failed").getByText(/Delivered again at p3 @ 1: dropped/).waitFor();
    expect(fakes.lines.length).toBe(1);
  });

  test("while PostHog is away the event is kept, and said to be", async () => {
    fakes.answerOfPosthog(503);
    await button("Simulate Generation Failure").click();
    await row("generation_failed").getByText("captured", { exact: true }).waitFor();
    expect(await row("generation_failed").locator(".stop.awaited .place").allInnerTexts()).toEqual([
      "webhook",
      "topic",
      "dataset",
    ]);
    fakes.answerOfPosthog(200);
    await row("generation_failed").getByText("p00003-0000:1").waitFor();
    expect(await rowsOf("generation_failed")).toBe(1);
  });

  test("while the processor is away the page says so, and goes on by itself when it is back", async () => {
    fakes.take(failure({ uuid: "before" }));
    await row("generation_failed").waitFor();
    await fakes.stopProcessor();
    await page.getByText("The processor is away. What happened stays").waitFor();
    await page.locator(".station", { hasText: "Processor" }).getByText("away").waitFor();
    expect(await rowsOf("generation_failed")).toBe(1);
    fakes.restartProcessor();
    await page.locator(".station", { hasText: "Browser" }).getByText("live").waitFor();
    fakes.take(failure({ uuid: "after" }));
    await until("both rows are there", async () => await rowsOf("generation_failed") === 2);
    await page.locator(".station", { hasText: "Processor" }).getByText("ready").waitFor();
    expect(complaints).toEqual({ console: [], otherHosts: [] });
  });

  test("all of it works by keyboard, in the order of reading", async () => {
    const order: string[] = [];
    for (let i = 0; i < 12; i++) {
      await page.keyboard.press("Tab");
      order.push(
        await page.evaluate(() => {
          const element = document.activeElement as HTMLInputElement;
          return element.labels?.[0]?.textContent ?? element.textContent ?? "";
        }),
      );
    }
    expect(order).toEqual([
      "Skip to content",
      "Pipeline",
      "Live",
      "Dataset",
      "Mail",
      "Dead letters 0",
      "E-mail",
      "Identify",
      "Prompt",
      "Failure reason",
      "Simulate Generation Failure",
      "Simulate Feature Usage",
    ]);
    await page.keyboard.press("Space");
    await row("feature_used").getByText("counted 1 of 5").waitFor();
    await page.keyboard.press("Shift+Tab");
    await page.keyboard.press("Enter");
    await row("generation_failed").getByText("p00003-0000:1").waitFor();
  });

  test("each event is announced once, when it has ended, and not what the page began with", async () => {
    fakes.take(failure({ uuid: "old" }));
    await page.reload();
    await row("generation_failed").waitFor();
    await page.evaluate(() => {
      const said: string[] = [];
      Object.assign(globalThis, { said });
      const live = document.querySelector("[aria-live=polite]")!;
      new MutationObserver(() => said.push(live.textContent ?? "")).observe(live, {
        subtree: true,
        childList: true,
        characterData: true,
      });
    });
    fakes.take({ ...failure({ uuid: "new" }), event: "feature_used" });
    await row("feature_used").getByText("counted 1 of 5").waitFor();
    fakes.take({ ...failure({ uuid: "newer" }), event: "feature_used" });
    await row("feature_used").getByText("counted 2 of 5").waitFor();
    // The row is drawn first, and announced in the turn after.
    const said = () => page.evaluate(() => (globalThis as unknown as { said: string[] }).said);
    await until("both are announced", async () => (await said()).length >= 2);
    expect(await said()).toEqual(["feature_used counted, 1 of 5.", "feature_used counted, 2 of 5."]);
  });

  test("while somebody looks at a row, new ones wait behind a button", async () => {
    fakes.take(failure({ uuid: "first", prompt: "first" }));
    await row("generation_failed").getByRole("link", { name: "line" }).focus();
    fakes.take(failure({ uuid: "second", prompt: "second" }));
    await page.getByRole("button", { name: "1 newer event" }).waitFor();
    expect(await rowsOf("generation_failed")).toBe(1);
    await page.getByRole("button", { name: "1 newer event" }).click();
    await until("the second row is there", async () => await rowsOf("generation_failed") === 2);
  });

  test("a thousand events are cut, with the older ones behind a button", async () => {
    for (let i = 0; i < 500; i++) fakes.take({ ...failure({ user: `user-${i}` }), event: "feature_used" });
    await page.getByRole("button", { name: /older events$/ }).waitFor();
    expect(await page.locator(".row").count()).toBe(50);
    await page.getByRole("button", { name: /older events$/ }).click();
    expect(await page.locator(".row").count()).toBe(100);
  });

  test("a dead letter is counted in the header when it comes, listed, looked at and redriven, by keyboard", async () => {
    await page.goto(`${web.origin}/dead-letters`);
    await page.getByText("No dead letters.").waitFor();
    await fakes.deadLetters.setAside({ id: "first", reason: "body is no JSON" });
    await page.getByRole("link", { name: "Dead letters 1" }).waitFor();
    await row("body is no JSON").waitFor();
    await page.getByRole("link", { name: "Show letter 0:0" }).focus();
    await page.keyboard.press("Enter");
    await page.locator("pre", { hasText: '"id":"first"' }).waitFor();
    await page.goBack();
    await page.getByRole("button", { name: "Redrive letter 0:0" }).focus();
    await page.keyboard.press("Enter");
    await page.getByRole("status").getByText("1 letter redriven.").waitFor();
    await page.getByRole("link", { name: "Dead letters 0" }).waitFor();
    expect(await rowsOf("body is no JSON")).toBe(0);
    expect(fakes.deadLetters.copies().map(({ headers }) => headers.id)).toEqual(["first"]);
    expect(complaints).toEqual({ console: [], otherHosts: [] });
  });

  test("a partition that stands is said on every page with the command that sets it aside, and its letter has no record", async () => {
    await page.goto(web.origin);
    await page.getByText("lag 0", { exact: false }).waitFor();
    expect(await page.getByRole("list", { name: "What stands" }).count()).toBe(0);
    const reason = "its codec 9 is not known";
    fakes.held.set(3, { lag: 8, standing: { offset: 42, reason } });
    fakes.held.set(4, { openTransactionAt: 7 });
    const stands = page.getByRole("list", { name: "What stands" }).getByRole("listitem");
    await stands.first().waitFor();
    expect(await stands.first().innerText()).toContain(`stands at p3 @ 42 (dataset-writer, discount-offers)`);
    expect(await stands.first().innerText()).toContain("deno task skip 3:42 --reason");
    expect(await stands.nth(1).innerText()).toContain("a transaction of another program is open at p4 @ 7");
    const id = await fakes.deadLetters.skip({ partition: 3, offset: 42, nextOffset: 50 });
    fakes.held.clear();
    await stands.first().waitFor({ state: "detached" });
    await page.goto(`${web.origin}/dead-letters`);
    expect(await page.locator(`[data-id="${id}"]`).innerText()).toMatch(
      /unreadable: its codec 9 is not known[^]*no record/,
    );
    expect(await page.getByRole("button", { name: /redrive/i }).count()).toBe(0);
    await page.getByRole("link", { name: `Show letter ${id}` }).click();
    await page.getByText("given up").waitFor();
    expect(await page.getByText("Read on at").count()).toBe(1);
    expect(await page.getByRole("button", { name: /redrive/i }).count()).toBe(0);
  });

  test("while somebody looks at a dead letter the list stays as it is, and says that it has changed", async () => {
    await fakes.deadLetters.setAside({ reason: "first" });
    await page.goto(`${web.origin}/dead-letters`);
    await page.getByRole("button", { name: "Redrive letter 0:0" }).focus();
    await page.locator(".station", { hasText: "Browser" }).getByText("live").waitFor();
    await fakes.deadLetters.setAside({ reason: "second" });
    await page.getByRole("button", { name: "The list has changed: show it" }).waitFor();
    expect(await page.locator(".row").count()).toBe(1);
    await page.getByRole("button", { name: "The list has changed: show it" }).click();
    await row("second").waitFor();
    expect(complaints).toEqual({ console: [], otherHosts: [] });
  });

  test("without script the buttons of dead letters work", async () => {
    await fakes.deadLetters.setAside({ id: "a" });
    await fakes.deadLetters.setAside({ id: "b" });
    const plain = await browser.newContext({ javaScriptEnabled: false });
    const plainPage = await plain.newPage();
    await plainPage.goto(`${web.origin}/dead-letters`);
    await plainPage.getByRole("button", { name: "Dry run" }).click();
    await plainPage.getByText("Dry run: 2 letters would be redriven.").waitFor();
    expect(fakes.deadLetters.copies()).toEqual([]);
    await plainPage.getByRole("button", { name: "Redrive all 2" }).click();
    await plainPage.getByText("2 letters redriven.").waitFor();
    await plainPage.getByText("No dead letters.").waitFor();
    expect(fakes.deadLetters.copies()).toHaveLength(2);
    await plain.close();
  });

  test("at 360 px no page is wider than the screen, in either scheme", async () => {
    const long = `${"x".repeat(900)} ${"word ".repeat(200)}`;
    fakes.take(failure({ prompt: long, user: "user-".padEnd(200, "y") }));
    fakes.offers.set("user-1", { ...offerOf("user-1"), state: "waiting" });
    fakes.sendMail({ to: `${"a".repeat(60)}@example.org`, html: "<p>hello</p>" });
    await fakes.deadLetters.setAside({
      id: "x".repeat(300),
      reason: "y".repeat(300),
      value: "z".repeat(9_000),
    });
    fakes.held.set(3, { lag: 9, standing: { offset: 42, reason: "its checksum is wrong ".repeat(20) } });
    await page.setViewportSize({ width: 360, height: 640 });
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme });
      for (
        const path of [
          "/",
          "/dataset",
          "/mail",
          MAIL_PATH,
          `${MAIL_PATH}?view=source`,
          "/offers/user-1",
          "/dead-letters",
          "/dead-letters/0%3A0",
          "/no",
        ]
      ) {
        await page.goto(web.origin + path);
        await page.locator("h1").waitFor();
        expect(await page.evaluate(() => document.documentElement.scrollWidth), path).toBe(360);
      }
    }
  });

  test("the live page's own script stays within its budget", async () => {
    const sizes = new Map<string, number>();
    const session = await context.newCDPSession(page);
    await session.send("Network.enable");
    const scripts = new Map<string, string>();
    session.on("Network.responseReceived", ({ requestId, response }) => {
      if (/javascript/.test(response.mimeType)) scripts.set(requestId, response.url);
    });
    session.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => {
      const url = scripts.get(requestId);
      if (url) sizes.set(new URL(url).pathname, encodedDataLength);
    });
    await session.send("Network.setCacheDisabled", { cacheDisabled: true });
    await page.reload();
    await until("posthog-js is loaded", () => [...sizes.keys()].some((path) => path.includes("slim")));
    const own = [...sizes].filter(([path]) => !path.includes("slim"));
    expect(own.length).toBeGreaterThan(3);
    expect(own.reduce((sum, [, bytes]) => sum + bytes, 0)).toBeLessThanOrEqual(BUDGET_BYTES);
  });
});

/** Passes connections on to `url` and counts those that are open. */
function countingProxy(url: string): { url: string; open(): number; close(): void } {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { hostname, port } = new URL(url);
  let open = 0;
  (async () => {
    for await (const browser of listener) {
      open++;
      const server = await Deno.connect({ hostname, port: Number(port) });
      const both = [browser.readable.pipeTo(server.writable), server.readable.pipeTo(browser.writable)];
      void Promise.allSettled(both).then(() => open--);
    }
  })();
  return {
    url: `http://127.0.0.1:${listener.addr.port}`,
    open: () => open,
    close: () => listener.close(),
  };
}

/** A GET with a `Host` of one's own, read until `enough`; fetch would set it itself. */
async function rawGet(
  path: string,
  { host, enough }: { host: string; enough: (text: string) => boolean },
): Promise<string> {
  const { port } = new URL(web.origin);
  return await rawRequest(`GET ${path} HTTP/1.1\r\nHost: ${host}:${port}\r\n\r\n`, enough);
}

async function rawRequest(request: string, enough: (text: string) => boolean): Promise<string> {
  const { port } = new URL(web.origin);
  using connection = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
  await connection.write(new TextEncoder().encode(request));
  const decoder = new TextDecoder();
  const chunk = new Uint8Array(64 * 1024);
  let read = "";
  while (!enough(read)) {
    const length = await connection.read(chunk);
    if (length === null) break;
    read += decoder.decode(chunk.subarray(0, length), { stream: true });
  }
  return read;
}

function offerOf(distinctId: string) {
  return {
    distinctId,
    state: "counting" as const,
    reason: null,
    uses: 1,
    threshold: THRESHOLD,
    addressKnown: false,
    earnedAt: null,
    dueAt: null,
    sentAt: null,
    code: null,
    messageId: null,
    timeline: [],
  };
}
