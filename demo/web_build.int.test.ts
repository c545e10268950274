import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fileURLToPath, pathToFileURL } from "node:url";
import { copySync } from "../fresh-npm/fixtures/copy.ts";
import { problemIn } from "./run_limited.ts";
import { buildWeb, FRESH_VERSION, whyJsrUnreachable } from "./web_build.ts";

/** Registries on loopback, in each state that one was met in. */
const open: { close: () => unknown }[] = [];

afterEach(async () => {
  Deno.env.delete("JSR_URL");
  for (const one of open.splice(0)) await one.close();
});

function registry(answer: (path: string) => Response): void {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    return answer(new URL(request.url).pathname);
  });
  open.push({ close: () => server.shutdown() });
  Deno.env.set("JSR_URL", `http://127.0.0.1:${server.addr.port}/`);
}

const withVersion = (version: string) => (path: string) => {
  if (path === "/@fresh/core/meta.json") {
    return Response.json({ scope: "fresh", name: "core", latest: version, versions: { [version]: {} } });
  }
  if (path === `/@fresh/core/${version}_meta.json`) {
    return Response.json({ manifest: {}, exports: { ".": "./mod.ts" } });
  }
  return new Response("not there", { status: 404 });
};

describe("JSR", () => {
  test("is reachable where it knows our version of Fresh", async () => {
    registry(withVersion(FRESH_VERSION));
    expect(await whyJsrUnreachable({ limitMs: 30_000 })).toBeNull();
  });

  test("is of no use without our version", async () => {
    registry(withVersion("0.0.1"));
    expect(await whyJsrUnreachable({ limitMs: 30_000 })).toBe(`it has no Fresh ${FRESH_VERSION}`);
  });

  test("is not reachable where it refuses, or where nothing listens", async () => {
    registry(() => new Response("no", { status: 403 }));
    expect(await whyJsrUnreachable({ limitMs: 30_000 })).toBe("refused or no connection");
    Deno.env.set("JSR_URL", "http://127.0.0.1:1/");
    expect(await whyJsrUnreachable({ limitMs: 30_000 })).toBe("refused or no connection");
  });

  test("is not waited for where it accepts and never answers", async () => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const held: Deno.Conn[] = [];
    (async () => {
      for await (const connection of listener) held.push(connection);
    })();
    open.push({ close: () => [listener, ...held].forEach((one) => one.close()) });
    Deno.env.set("JSR_URL", `http://127.0.0.1:${listener.addr.port}/`);
    expect(await whyJsrUnreachable({ limitMs: 400 })).toBe("no answer within 0.4 s");
  });
});

describe("building", () => {
  let folder = "";

  beforeEach(async () => {
    folder = await Deno.makeTempDir({ prefix: "web_build_" });
    copySync(fileURLToPath(new URL("../fresh-npm/fixtures/app", import.meta.url)), folder);
  });
  afterEach(() => Deno.remove(folder, { recursive: true }));

  test("gives a module that serves, and builds nothing again while its sources are the same", async () => {
    const first = await buildWeb("npm", { folder });
    expect(first).toMatchObject({ fresh: "npm", words: "FRESH=npm: same app on fresh-npm" });
    const built = await Deno.stat(first.serverModulePath);
    Deno.env.set("JSR_URL", "http://127.0.0.1:1/");
    const second = await buildWeb("probe", { folder });
    expect(second.words).toBe("JSR not reachable (refused or no connection): same app on fresh-npm");
    expect((await Deno.stat(second.serverModulePath)).ino).toBe(built.ino);
    const { default: app } = await import(/* @vite-ignore */ pathToFileURL(second.serverModulePath).href);
    expect((await app.fetch(new Request("http://app.test/about"))).status).toBe(200);
  });

  test("builds again after a change, and where somebody has put another server.js there", async () => {
    const { serverModulePath } = await buildWeb("npm", { folder });
    const first = await Deno.readTextFile(serverModulePath);
    await Deno.writeTextFile(serverModulePath, "export default {};");
    await buildWeb("npm", { folder });
    expect(await Deno.readTextFile(serverModulePath)).toBe(first);
    await Deno.writeTextFile(`${folder}/routes/about.tsx`, "export default () => <p>changed</p>;");
    await buildWeb("npm", { folder });
    expect(await Deno.readTextFile(serverModulePath)).not.toBe(first);
  });

  test("two at once give one build", async () => {
    const [a, b] = await Promise.all([buildWeb("npm", { folder }), buildWeb("npm", { folder })]);
    expect(a).toEqual(b);
    expect(JSON.parse(await Deno.readTextFile(`${folder}/_fresh/built_from.json`)).fresh).toBe("npm");
  });

  test("an app that cannot be built says what is wrong with it", async () => {
    await Deno.writeTextFile(`${folder}/routes/about.tsx`, "export default () => <p>");
    await expect(buildWeb("npm", { folder })).rejects.toThrow(
      /Cannot build web\/ with fresh-npm:[^]*about\.tsx/,
    );
  });

  test("FRESH=jsr fails rather than runs something else", async () => {
    Deno.env.set("JSR_URL", "http://127.0.0.1:1/");
    await expect(buildWeb("jsr", { folder })).rejects.toThrow(
      `Cannot build web/ with Fresh ${FRESH_VERSION} from JSR`,
    );
  });

  test("a JSR that answers the probe but holds no plugin falls back, and is left alone while sources stay", async () => {
    const asked: string[] = [];
    registry((path) => {
      asked.push(path);
      return withVersion(FRESH_VERSION)(path);
    });
    const config = {
      workspace: [],
      lock: false,
      nodeModulesDir: "none",
      tasks: { build: "deno run -A main.ts" },
    };
    const imports = {
      fresh: `jsr:@fresh/core@${FRESH_VERSION}`,
      "@fresh/plugin-vite": "jsr:@fresh/plugin-vite@1.1.2",
    };
    await Deno.writeTextFile(`${folder}/deno.json`, JSON.stringify({ ...config, imports }));
    const first = await buildWeb("probe", { folder });
    expect(first.fresh).toBe("npm");
    expect(first.words).toMatch(/^Fresh from JSR cannot be built \(.+\): same app on fresh-npm$/);
    const before = asked.length;
    expect(await buildWeb("probe", { folder })).toEqual(first);
    expect(asked.slice(before).every((path) => path.startsWith("/@fresh/core/"))).toBe(true);
  });
});

test("of a command's output the line that tells the problem is shown", () => {
  expect(problemIn("Task build vite build\nerror during build:\nTypeError: JSR is away.\n    at x:1:2")).toBe(
    "JSR is away",
  );
  expect(problemIn("error: Could not find version\n    at file")).toBe("Could not find version");
  expect(problemIn("only this\n")).toBe("only this");
  expect(problemIn("")).toBe("");
});
