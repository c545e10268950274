import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { fileURLToPath, pathToFileURL } from "node:url";
import { runLimited } from "../serve_web/run_limited.ts";
import { copySync } from "./fixtures/copy.ts";

/** The fixture app, built as `deno task web` builds web/, and asked through its handler. */
let folder = "";
let server: { fetch: (request: Request) => Promise<Response> };

beforeAll(async () => {
  folder = await Deno.makeTempDir({ prefix: "fresh_npm_" });
  copySync(fileURLToPath(new URL("./fixtures/app", import.meta.url)), folder);
  server = await build(folder);
});

afterAll(() => Deno.remove(folder, { recursive: true }));

async function build(folder: string): Promise<typeof server> {
  const script = fileURLToPath(new URL("./build.ts", import.meta.url));
  const run = await runLimited(Deno.execPath(), ["run", "-A", script, folder], {
    cwd: folder,
    limitMs: 60_000,
  });
  if (!run.ok || run.stderr) throw new Error(`the fixture does not build: ${run.stderr || run.stdout}`);
  return (await import(/* @vite-ignore */ pathToFileURL(`${folder}/_fresh/server.js`).href)).default;
}

const ask = (path: string, init?: RequestInit) => server.fetch(new Request(`http://app.test${path}`, init));
const body = async (path: string, init?: RequestInit) => (await ask(path, init)).text();

describe("routes", () => {
  test("an app's own route gets parameters, its pattern, and only the middlewares before it", async () => {
    const response = await ask("/hello/ada%20l");
    expect(await response.text()).toBe("hello ada l by /hello/:name");
    expect(response.headers.get("x-trace")).toBe("get");
  });

  test("a file with [id] answers with its handler's data, status and headers", async () => {
    const response = await ask("/notes/7");
    expect(response.status).toBe(203);
    expect(response.headers.get("x-note")).toBe("yes");
    expect(response.headers.get("content-type")).toBe("text/html; charset=utf-8");
    expect(await response.text()).toContain("<p>7 is 7</p>");
  });

  test("a literal file wins over [id], and a folder in brackets is no part of the path", async () => {
    expect(await body("/notes/new")).toContain("a new note");
    expect(await body("/grouped")).toContain("<main><aside><p>grouped</p></aside></main>");
  });

  test("[...path] takes the rest of the path, and a function as handler every method", async () => {
    expect(await body("/files/a/b.txt")).toBe("GET a/b.txt");
    expect(await body("/files/a", { method: "DELETE" })).toBe("DELETE a");
  });

  test("a slash at its end changes nothing for a literal path and an app's /*, but no pattern matches with it", async () => {
    for (const path of ["/notes/new/", "/grouped/", "/away/"]) {
      expect([path, (await ask(path)).status]).toEqual([path, (await ask(path.slice(0, -1))).status]);
    }
    expect((await ask("/notes/7/")).status).toBe(404);
    expect((await ask("/files/a/")).status).toBe(404);
    expect(await body("/relay/e/", { method: "POST", body: "sent" })).toBe("/relay/e/ sent");
  });

  test("doubled slashes of a path are made one", async () => {
    expect(await body("//notes//new")).toContain("a new note");
  });

  test("a form's POST is answered with 303 to the new place", async () => {
    const response = await ask("/notes/7", { method: "POST", body: new URLSearchParams({ id: "8" }) });
    expect(response.status).toBe(303);
    expect(response.headers.get("location")).toBe("/notes/8");
  });

  test("a redirect never leads to another host by doubled slashes", async () => {
    for (const to of ["//evil.example/x", "/\\evil.example/x", "/\\/evil.example/x"]) {
      const { headers } = await ask(`/away?to=${encodeURIComponent(to)}`);
      expect(new URL(headers.get("location")!, "http://app.test").host).toBe("app.test");
    }
  });

  test("HEAD has the headers of GET and no body", async () => {
    const response = await ask("/notes/7", { method: "HEAD" });
    expect(response.status).toBe(203);
    expect(response.headers.get("x-note")).toBe("yes");
    expect(await response.text()).toBe("");
  });

  test("a method without handler is 404 on a file route and 405 on an app's route", async () => {
    expect((await ask("/notes/7", { method: "DELETE" })).status).toBe(404);
    expect((await ask("/hello/ada", { method: "DELETE" })).status).toBe(405);
  });
});

describe("around a page", () => {
  test("middlewares run from the outside in, each folder's after the one above", async () => {
    expect((await ask("/notes/7")).headers.get("x-trace")).toBe("root-1 root-2 notes");
  });

  test("layouts nest from the outside in within _app, an async one too, and know the state", async () => {
    const html = await body("/notes/7");
    expect(html).toContain(
      '<body><main><article data-trace="root-1 root-2 notes"><p>7 is 7</p></article></main></body>',
    );
    expect(html.startsWith("<!DOCTYPE html><html")).toBe(true);
  });

  test("text of a page is escaped, and state that the page sets reaches _app", async () => {
    const html = await body("/");
    expect(html).toContain("<h1>&lt;home&gt; &amp; &quot;more&quot;</h1>");
    expect(html).toContain("<title>set by the page</title>");
  });

  test("an async page may answer by itself", async () => {
    expect((await ask("/async?answer")).status).toBe(418);
  });
});

describe("JSX on the server is precompiled, as Fresh's is", () => {
  test("texts beside elements in an array are escaped twice, in a keyed Fragment once", async () => {
    const html = await body("/precompiled");
    expect(html).toContain('<p id="mixed">1 &amp;lt; 2 <b data-frsh-key="1">bold</b></p>');
    expect(html).toContain('<p id="keyed">1 &lt; 2 <b data-frsh-key="1">bold</b></p>');
  });

  test("an attribute that is false is left out, aria-* too", async () => {
    expect(await body("/precompiled")).toMatch(/<button type="button" *>off<\/button>/);
  });

  test("a key is the attribute data-frsh-key, escaped", async () => {
    expect(await body("/precompiled")).toContain('data-frsh-key="&quot;&lt;k>"');
  });
});

describe("links", () => {
  const link = (html: string, id: string) => new RegExp(`<a ([^>]*)id="${id}"([^>]*)>`).exec(html)?.[0];

  test("say aria-current: page where they lead to this page, true where it lies below", async () => {
    for (const path of ["/links", "/links/", "/links?view=text"]) {
      const html = await body(path);
      expect(link(html, "self")).toContain('data-current="true" aria-current="page"');
      expect(link(html, "home")).toContain('data-ancestor="true" aria-current="true"');
      expect(link(html, "below")).not.toMatch(/current|ancestor/);
    }
  });

  test("keep the aria-current that the app gave them", async () => {
    expect(link(await body("/links"), "own")).toBe('<a href="/links" id="own" aria-current="false">');
  });

  test("that an async page made before its render are not marked", async () => {
    expect(link(await body("/async"), "async")).toBe('<a href="/async" id="async">');
  });
});

describe("errors", () => {
  let logged: ReturnType<typeof vi.spyOn>;
  beforeEach(() => {
    logged = vi.spyOn(console, "error").mockImplementation(() => {});
  });
  afterEach(() => logged.mockRestore());

  test("an unknown path shows the error page in the root's layout with status 404", async () => {
    const response = await ask("/nowhere");
    expect(response.status).toBe(404);
    expect(await response.text()).toContain('<main><p class="error">404  at /nowhere</p></main>');
    expect(logged).not.toHaveBeenCalled();
  });

  test("an HttpError of a handler keeps its status and words", async () => {
    const response = await ask("/notes/none");
    expect(response.status).toBe(404);
    expect(await response.text()).toContain("404 no such note at /notes/none");
  });

  test("what a folder's middleware throws shows that folder's error page in its layout", async () => {
    const response = await ask("/about?locked");
    expect(response.status).toBe(403);
    expect(await response.text()).toContain('<main><p class="error">403 locked at /about</p></main>');
  });

  test("an error of a page is a 500 that tells nothing of the inside", async () => {
    const response = await ask("/boom");
    expect(response.status).toBe(500);
    const html = await response.text();
    expect(html).toContain("broken at /boom");
    expect(html).not.toContain("a secret of the inside");
    expect(logged).toHaveBeenCalledExactlyOnceWith(new Error("a secret of the inside"));
  });

  test.each(["children", "element", "function"])(
    "an island that is given %s is an error, not a page that breaks in the browser",
    async (kind) => {
      expect((await ask("/refused")).status).toBe(200);
      expect((await ask(`/refused?case=${kind}`)).status).toBe(500);
    },
  );
});

describe("islands", () => {
  test("are rendered on the server between comments, one inside another as a part of it", async () => {
    const html = await body("/counters");
    expect(html).toMatch(/<!--island:0--><button [^<]*id="a"[^<]*>3<\/button><!--\/island-->/);
    expect(html).toMatch(
      /<!--island:1--><button [^>]*id="b"[^>]*>3<\/button><time>1970-01-01T00:00:00.000Z<\/time><!--\/island-->/,
    );
    expect(html).not.toContain("island:2");
  });

  test("props that hold markup cannot end the script, nor hide its end", async () => {
    const html = await body("/counters");
    expect(html.match(/<\/script/gi)).toHaveLength(1);
    const code = html.slice(html.indexOf("<script"), html.indexOf("</script>"));
    expect(code).not.toMatch(/<\/style|<!--/i);
  });

  test("other markup in props stands in the script as it is, as with Fresh", async () => {
    const html = await body("/counters");
    const code = html.slice(html.indexOf("<script"), html.indexOf("</script>"));
    expect(code).toContain("<img src=x>");
  });

  test("boot gets each place's component, and one signal where two islands share one", async () => {
    const html = await body("/counters");
    const [, places, text] = /boot\(\[(.*?)\],(".*")\);<\/script>/.exec(html)!;
    expect(places).toBe("i0,i1");
    const { readIslandProps } = await import("./island_props.ts");
    const [a, b] = readIslandProps(JSON.parse(text!)) as [Record<string, unknown>, Record<string, unknown>];
    expect(a.label).toBe('</script></STYLE><script>alert("x")</script><img src=x> \\u003C <!--');
    expect(a.count).toBe(b.count);
    expect((a.count as { value: number }).value).toBe(3);
    expect(b.since).toEqual(new Date(0));
  });

  test("every file that the script and the head name is there, to be kept for ever", async () => {
    const html = await body("/counters");
    const files = [...html.matchAll(/(?:from|href=)"(\/assets\/[^"]+)"/g)].map(([, file]) => file!);
    expect(new Set(files).size).toBeGreaterThanOrEqual(4);
    for (const file of files) {
      const response = await ask(file);
      expect([file, response.status]).toEqual([file, 200]);
      expect(response.headers.get("cache-control")).toBe("public, max-age=31536000, immutable");
      await response.body?.cancel();
    }
  });

  test("an element that an async page made before its render is an island too", async () => {
    expect(await body("/async")).toMatch(/<!--island:0--><button [^>]*id="late"/);
  });

  test("the browser's part is plain JSX", async () => {
    const [, script] = /from"(\/assets\/island-Counter-[^"]+)"/.exec(await body("/counters"))!;
    expect(await body(script!)).not.toContain("<button");
    expect(await Deno.readTextFile(`${folder}/_fresh/server.js`)).toContain("<button ");
  });

  test("a page without islands has no script, but the client's styles", async () => {
    const html = await body("/about");
    expect(html).not.toContain("<script");
    expect(html).not.toContain("modulepreload");
    const [, styles] = /href="(\/assets\/client-[^"]+\.css)"/.exec(html)!;
    expect(await body(styles!)).toContain(".from-client");
  });

  test("script and style carry the response's nonce, which is another one each time", async () => {
    const seen = new Set<string>();
    for (let i = 0; i < 2; i++) {
      const response = await ask("/counters");
      const nonce = response.headers.get("x-nonce")!;
      expect(nonce).toMatch(/^[0-9a-f]{32}$/);
      const html = await response.text();
      expect(html).toMatch(new RegExp(`<script type="module" nonce="${nonce}">`));
      expect(html).toContain(`<style nonce="${nonce}">`);
      seen.add(nonce);
    }
    expect(seen.size).toBe(2);
  });
});

describe("static files", () => {
  test("have a type and an ETag, are asked for anew each time, and 304 where they are known", async () => {
    const response = await ask("/styles.css");
    expect(response.headers.get("content-type")).toBe("text/css; charset=utf-8");
    expect(response.headers.get("cache-control")).toBe("no-cache");
    expect(await response.text()).toBe(Deno.readTextFileSync(`${folder}/static/styles.css`));
    const etag = response.headers.get("etag")!;
    for (const known of [etag, `W/${etag}`, `"other", W/${etag}`, "*"]) {
      const again = await ask("/styles.css", { headers: { "if-none-match": known } });
      expect([known, again.status, await again.text()]).toEqual([known, 304, ""]);
    }
    expect((await ask("/styles.css", { headers: { "if-none-match": '"other"' } })).status).toBe(200);
  });

  test("asset() names the build: today's may be kept for ever, an older one leads to today's file", async () => {
    const [, href] = /href="(\/styles\.css\?[^"]+)"/.exec(await body("/"))!;
    expect((await ask(href!)).headers.get("cache-control")).toBe("public, max-age=31536000, immutable");
    const old = await ask("/styles.css?__frsh_c=older");
    expect([old.status, old.headers.get("location")]).toEqual([307, "/styles.css"]);
  });

  test("the build's id is DENO_DEPLOY_BUILD_ID, else a hash of the static files, and never empty", async () => {
    const id = /styles\.css\?__frsh_c=([^"]*)"/;
    expect(id.exec(await body("/"))?.[1]).toMatch(/^[0-9a-f]{16}$/);
    const other = await Deno.makeTempDir({ prefix: "fresh_npm_" });
    copySync(fileURLToPath(new URL("./fixtures/app", import.meta.url)), other);
    vi.stubEnv("DENO_DEPLOY_BUILD_ID", "build-7");
    try {
      const page = await (await build(other)).fetch(new Request("http://app.test/"));
      expect(id.exec(await page.text())?.[1]).toBe("build-7");
    } finally {
      vi.unstubAllEnvs();
      await Deno.remove(other, { recursive: true });
    }
  });

  test("answer HEAD without a body and refuse other methods", async () => {
    const head = await ask("/styles.css", { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
    expect((await ask("/styles.css", { method: "POST" })).status).toBe(405);
  });

  test("nothing outside the listed files is served, in whatever spelling", async () => {
    for (
      const path of [
        "/../server.js",
        "/%2e%2e/server.js",
        "/..%2fserver.js",
        "/.vite/manifest.json",
        "/%",
        "/static/styles.css",
      ]
    ) {
      expect([path, (await ask(path)).status]).toEqual([path, 404]);
    }
  });
});
