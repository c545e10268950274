import { createHash } from "node:crypto";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { kill } from "node:process";
import { fileURLToPath, pathToFileURL } from "node:url";
import { copySync } from "../fresh-npm/fixtures/copy.ts";
import { manualClock } from "../tests/support/manual_clock.ts";
import { until } from "../tests/support/until.ts";
import { problemIn } from "./run_limited.ts";
import { buildWeb, FRESH_VERSION, whyJsrUnavailable } from "./build.ts";

/**
 * Registries on loopback, in each state that one was met in. What they serve as Fresh is a file of one line: whether
 * Fresh itself can build web/ is for CI's job that reaches JSR.
 */
const open: { close: () => unknown }[] = [];
let folder = "";
let cache = "";

beforeEach(async () => {
  folder = await Deno.makeTempDir({ prefix: "web_build_" });
  cache = await Deno.makeTempDir({ prefix: "deno_dir_" });
});
afterEach(async () => {
  Deno.env.delete("JSR_URL");
  Deno.env.delete("DENO_DIR");
  for (const one of open.splice(0)) await one.close();
  for (const path of [folder, cache]) await Deno.remove(path, { recursive: true });
});

type Registry = { readonly asked: string[]; close(): Promise<void> };

function registry(answer: (path: string) => Response): Registry {
  const asked: string[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, (request) => {
    const { pathname } = new URL(request.url);
    asked.push(pathname);
    return answer(pathname);
  });
  let closed: Promise<void> | null = null;
  const close = () => closed ??= server.shutdown();
  open.push({ close });
  Deno.env.set("JSR_URL", `http://127.0.0.1:${server.addr.port}/`);
  return { asked, close };
}

const CORE = `export const version = ${JSON.stringify(FRESH_VERSION)};`;

const OTHER_VERSION = "0.0.1";

/** Answers as JSR does, for these versions of @fresh/core alone. */
const withVersion = (...versions: string[]) => (path: string) => {
  if (path === "/@fresh/core/meta.json") {
    const listed = Object.fromEntries(versions.map((version) => [version, {}]));
    return Response.json({ scope: "fresh", name: "core", latest: versions[0], versions: listed });
  }
  const [, version, what] = /^\/@fresh\/core\/([\d.]+)(_meta\.json|\/mod\.ts)$/.exec(path) ?? [];
  if (!versions.includes(version!)) return new Response("not there", { status: 404 });
  if (what === "/mod.ts") return new Response(CORE);
  const checksum = `sha256-${createHash("sha256").update(CORE).digest("hex")}`;
  return Response.json({
    manifest: { "/mod.ts": { size: CORE.length, checksum } },
    exports: { ".": "./mod.ts" },
  });
};

/** An app whose build needs Fresh from the registry, and leaves a server that says its build id. */
async function writeApp(
  { imports = {}, build = "" }: { imports?: Record<string, string>; build?: string } = {},
): Promise<void> {
  await Deno.writeTextFile(
    `${folder}/deno.json`,
    JSON.stringify({
      workspace: [],
      nodeModulesDir: "manual",
      tasks: { build: "deno run -A build.ts" },
      imports: { fresh: `jsr:@fresh/core@${FRESH_VERSION}`, ...imports },
    }),
  );
  await Deno.writeTextFile(
    `${folder}/build.ts`,
    `import { version } from "fresh";
     ${build}
     Deno.mkdirSync("_fresh", { recursive: true });
     const words = version + " " + Deno.env.get("DENO_DEPLOY_BUILD_ID");
     Deno.writeTextFileSync("_fresh/server.js", "export default " + JSON.stringify(words));`,
  );
}

const served = async () => (await Deno.readTextFile(`${folder}/_fresh/server.js`)).split('"')[1];

describe("what is needed from JSR", () => {
  const why = () => whyJsrUnavailable(folder, { limitMs: 30_000 });

  beforeEach(() => {
    Deno.env.set("DENO_DIR", cache);
    return writeApp();
  });

  test("can be had where JSR knows our version of Fresh", async () => {
    registry(withVersion(FRESH_VERSION));
    expect(await why()).toBeNull();
  });

  test("cannot be had without our version", async () => {
    registry(withVersion("0.0.1"));
    expect(await why()).toBe(`JSR not reachable (it has no Fresh ${FRESH_VERSION})`);
  });

  test("cannot be had where JSR refuses, or nothing listens", async () => {
    registry(() => new Response("no", { status: 403 }));
    expect(await why()).toBe("JSR not reachable (refused or no connection)");
    Deno.env.set("JSR_URL", "http://127.0.0.1:1/");
    expect(await why()).toBe("JSR not reachable (refused or no connection)");
  });

  test("is not waited for where JSR accepts and never answers", async () => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const held: Deno.Conn[] = [];
    (async () => {
      for await (const connection of listener) held.push(connection);
    })();
    open.push({ close: () => [listener, ...held].forEach((one) => one.close()) });
    Deno.env.set("JSR_URL", `http://127.0.0.1:${listener.addr.port}/`);
    expect(await whyJsrUnavailable(folder, { limitMs: 400 })).toBe(
      "JSR not reachable (no answer within 0.4 s)",
    );
  });

  test("can be had offline where the cache holds all of it, and cannot where it holds a part", async () => {
    const jsr = registry(withVersion(FRESH_VERSION));
    expect((await buildWeb("jsr", { folder })).fresh).toBe("jsr");
    await jsr.close();
    expect(await why()).toBeNull();
    await writeApp({ imports: { "@fresh/plugin-vite": "jsr:@fresh/plugin-vite@1.1.2" } });
    await Deno.writeTextFile(`${folder}/vite.config.ts`, `import "@fresh/plugin-vite";`);
    expect(await why()).toBe("JSR not reachable (refused or no connection)");
  });
});

describe("a build from JSR", () => {
  beforeEach(() => {
    Deno.env.set("DENO_DIR", cache);
    return writeApp();
  });

  test("is used where it can be had, locks what it was made of, and is made once", async () => {
    const jsr = registry(withVersion(FRESH_VERSION));
    const first = await buildWeb("probe", { folder });
    expect(first).toMatchObject({ fresh: "jsr", words: `Fresh ${FRESH_VERSION} from JSR` });
    expect(Object.keys(JSON.parse(await Deno.readTextFile(`${folder}/deno.lock`)).jsr)).toEqual([
      `@fresh/core@${FRESH_VERSION}`,
    ]);
    const asked = jsr.asked.length;
    expect(await buildWeb("probe", { folder })).toEqual(first);
    expect(jsr.asked.length).toBe(asked);
  });

  test("that FRESH=jsr made corrects the kept answer that JSR is away", { timeout: 120_000 }, async () => {
    let away = true;
    registry((path) => away ? new Response("no", { status: 403 }) : withVersion(FRESH_VERSION)(path));
    copySync(fileURLToPath(new URL("../fresh-npm/fixtures/app", import.meta.url)), folder);
    expect((await buildWeb("probe", { folder })).fresh).toBe("npm");
    away = false;
    await buildWeb("jsr", { folder });
    await Deno.writeTextFile(`${folder}/routes/about.tsx`, "export default () => <p>changed</p>;");
    expect((await buildWeb("probe", { folder })).fresh).toBe("jsr");
  });

  /** The lock that a build leaves, as somebody would commit it into a fresh checkout. */
  async function commitLock(change: (text: string) => string = (text) => text): Promise<void> {
    await buildWeb("jsr", { folder });
    const lock = change(await Deno.readTextFile(`${folder}/deno.lock`));
    for (const path of ["node_modules", "_fresh"]) {
      await Deno.remove(`${folder}/${path}`, { recursive: true });
    }
    await Deno.writeTextFile(`${folder}/deno.lock`, lock);
  }

  test("keeps to the lock that was committed: what does not fit it fails, and the lock stays", async () => {
    registry(withVersion(FRESH_VERSION, OTHER_VERSION));
    await commitLock();
    expect((await buildWeb("jsr", { folder })).fresh).toBe("jsr");
    await writeApp({ imports: { other: `jsr:@fresh/core@${OTHER_VERSION}` } });
    const lock = await Deno.readTextFile(`${folder}/deno.lock`);
    await expect(buildWeb("jsr", { folder })).rejects.toThrow("The lockfile is out of date");
    expect(await Deno.readTextFile(`${folder}/deno.lock`)).toBe(lock);
  });

  test("fails where the build itself fetches what no lock holds", async () => {
    registry(withVersion(FRESH_VERSION, OTHER_VERSION));
    await commitLock();
    await writeApp({ build: `await import("jsr:@fresh/core@" + ${JSON.stringify(OTHER_VERSION)});` });
    await expect(buildWeb("jsr", { folder })).rejects.toThrow(
      "the build needs what web/deno.lock does not hold",
    );
  });

  test("refuses a Fresh whose bytes are not those that were locked", async () => {
    registry(withVersion(FRESH_VERSION));
    await commitLock((text) =>
      text.replace(/"integrity": "[0-9a-f]{64}"/, `"integrity": "${"0".repeat(64)}"`)
    );
    await expect(buildWeb("jsr", { folder })).rejects.toThrow(/Integrity check failed|out of date/);
  });

  test("takes a lock that an earlier build wrote by itself for no promise", async () => {
    registry(withVersion(FRESH_VERSION, OTHER_VERSION));
    await buildWeb("jsr", { folder });
    await writeApp({ imports: { other: `jsr:@fresh/core@${OTHER_VERSION}` } });
    expect((await buildWeb("jsr", { folder })).fresh).toBe("jsr");
    expect(await Deno.readTextFile(`${folder}/deno.lock`)).toContain(`@fresh/core@${OTHER_VERSION}`);
  });

  test("is made anew where the lock has become another one", async () => {
    registry(withVersion(FRESH_VERSION));
    await buildWeb("jsr", { folder });
    const before = await Deno.stat(`${folder}/_fresh/built_from.json`);
    const lock = await Deno.readTextFile(`${folder}/deno.lock`);
    await Deno.writeTextFile(`${folder}/deno.lock`, `${lock}\n`);
    await buildWeb("jsr", { folder });
    expect((await Deno.stat(`${folder}/_fresh/built_from.json`)).mtime!.getTime())
      .toBeGreaterThan(before.mtime!.getTime());
  });

  test("is given an id by its sources: the same for the same, another one for others, and no git is asked", async () => {
    registry(withVersion(FRESH_VERSION));
    await buildWeb("jsr", { folder });
    const [version, id] = (await served())!.split(" ");
    expect(version).toBe(FRESH_VERSION);
    expect(id).toMatch(/^[0-9a-f]{16}$/);
    const elsewhere = folder;
    folder = await Deno.makeTempDir({ prefix: "web_build_" });
    await writeApp();
    await buildWeb("jsr", { folder });
    expect(await served()).toBe(`${version} ${id}`);
    await Deno.mkdir(`${folder}/static`);
    await Deno.writeTextFile(`${folder}/static/styles.css`, "a {}");
    await buildWeb("jsr", { folder });
    expect(await served()).not.toBe(`${version} ${id}`);
    await Deno.remove(elsewhere, { recursive: true });
  });
});

describe("the answer of JSR", () => {
  beforeEach(() => copySync(fileURLToPath(new URL("../fresh-npm/fixtures/app", import.meta.url)), folder));

  test("is asked for once a day", { timeout: 120_000 }, async () => {
    const jsr = registry(() => new Response("no", { status: 403 }));
    const clock = manualClock();
    const build = async () => {
      const asked = jsr.asked.length;
      const { words } = await buildWeb("probe", { folder, clock });
      return { words, asked: jsr.asked.length > asked };
    };
    const why = "JSR not reachable (refused or no connection)";
    await writeConfig();
    expect(await build()).toEqual({ words: `${why}: same app on fresh-npm`, asked: true });
    await clock.advance(23 * 3_600_000);
    expect(await build()).toEqual({
      words: `${why}, as of 2026-01-01T00:00Z: same app on fresh-npm`,
      asked: false,
    });
    await clock.advance(3_600_000);
    expect((await build()).asked).toBe(true);
  });

  test("of another registry is another answer", async () => {
    await writeConfig();
    registry(() => new Response("no", { status: 403 }));
    await buildWeb("probe", { folder });
    const other = registry(() => new Response("no", { status: 403 }));
    await buildWeb("probe", { folder });
    expect(other.asked.length).toBeGreaterThan(0);
  });

  /** So that a cache that holds nothing of it is not taken for a whole one. */
  const writeConfig = () =>
    Deno.writeTextFile(
      `${folder}/deno.json`,
      JSON.stringify({ workspace: [], imports: { fresh: `jsr:@fresh/core@${FRESH_VERSION}` } }),
    );

  test("a build that fails falls back, says why, and is left alone while the sources stay", async () => {
    const jsr = registry(withVersion(FRESH_VERSION));
    const imports = {
      fresh: `jsr:@fresh/core@${FRESH_VERSION}`,
      "@fresh/plugin-vite": "jsr:@fresh/plugin-vite@1.1.2",
    };
    const config = { workspace: [], lock: false, nodeModulesDir: "none", imports };
    await Deno.writeTextFile(`${folder}/deno.json`, JSON.stringify(config));
    const first = await buildWeb("probe", { folder });
    expect(first.fresh).toBe("npm");
    expect(first.words).toMatch(/^Fresh from JSR cannot be built \(.+\): same app on fresh-npm$/);
    const asked = jsr.asked.length;
    expect((await buildWeb("probe", { folder })).words).toContain("Fresh from JSR cannot be built");
    expect(jsr.asked.length).toBe(asked);
    await Deno.writeTextFile(`${folder}/routes/about.tsx`, "export default () => <p>changed</p>;");
    await buildWeb("probe", { folder });
    expect(jsr.asked.length).toBeGreaterThan(asked);
  });
});

describe("building", () => {
  beforeEach(() => copySync(fileURLToPath(new URL("../fresh-npm/fixtures/app", import.meta.url)), folder));

  test("gives a module that serves, and builds nothing again while its sources are the same", async () => {
    const first = await buildWeb("npm", { folder });
    expect(first).toMatchObject({ fresh: "npm", words: "FRESH=npm: same app on fresh-npm" });
    const built = await Deno.stat(first.serverModulePath);
    const second = await buildWeb("npm", { folder });
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

  test("builds again where a file for the browser has gone", async () => {
    const filesOf = (path: string) => [...Deno.readDirSync(path)].map(({ name }) => name).sort();
    await buildWeb("npm", { folder });
    const files = filesOf(`${folder}/_fresh/client`);
    await Deno.remove(`${folder}/_fresh/client`, { recursive: true });
    await buildWeb("npm", { folder });
    expect(filesOf(`${folder}/_fresh/client`)).toEqual(files);
  });

  test("is not kept from it by an editor's lock, a link that leads nowhere", async () => {
    await Deno.symlink("ada@host.1:2", `${folder}/routes/.#about.tsx`);
    expect((await buildWeb("npm", { folder })).fresh).toBe("npm");
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

  test("that takes long says every ten seconds what it is doing", async () => {
    const clock = manualClock();
    const said: string[] = [];
    const building = buildWeb("npm", { folder, clock, say: (line) => said.push(line) });
    await until("it builds", () => clock.pending > 0);
    await clock.advance(20_000);
    await building;
    expect(said).toEqual([10, 20].map((s) => `still building the page with fresh-npm, for ${s} s now`));
    expect(clock.pending).toBe(0);
  });
});

test("a command does not outlive the process that runs it, and goes on writing", async () => {
  const module = JSON.stringify(new URL("./run_limited.ts", import.meta.url).href);
  const started = `${folder}/started`;
  const child = `Deno.writeTextFileSync("${started}", String(Deno.pid)); setInterval(() => {}, 1000);`;
  const script = `const { runLimited } = await import(${module});
    void runLimited(Deno.execPath(), ["eval", ${JSON.stringify(child)}], { cwd: ".", limitMs: 60_000 });
    while (!Deno.readTextFileSync("${started}")) await new Promise((resolve) => setTimeout(resolve, 10));
    Deno.exit(0);`;
  await Deno.writeTextFile(started, "");
  await new Deno.Command(Deno.execPath(), { args: ["eval", script] }).output();
  const pid = Number(await Deno.readTextFile(started));
  await until("it has ended", () => {
    try {
      kill(pid, 0);
      return false;
    } catch {
      return true;
    }
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
