/**
 * Builds web/ with the Fresh that can be had: Fresh itself where JSR answers, else fresh-npm. Both end in
 * `web/_fresh/server.js` with the default export `{ fetch }`. Nothing is built again while its sources stay the same.
 */
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { join } from "node:path";
import { problemIn, runLimited } from "./run_limited.ts";

export const FRESH_VERSION = "2.3.3";

/** `probe` prefers JSR and falls back; the others are what FRESH says, and `jsr` then fails rather than falls back. */
export type FreshChoice = "probe" | "jsr" | "npm";

export type WebBuild = {
  readonly fresh: "jsr" | "npm";
  /** Which Fresh it is and, where it isn't Fresh itself, why; fit to follow a URL in brackets. */
  readonly words: string;
  /** Absolute path of the module to import. */
  readonly serverModulePath: string;
};

/** What a build was made from, kept beside it; `server` is the hash of server.js, which somebody may have built by hand. */
type Stamp = {
  readonly fresh: "jsr" | "npm";
  readonly inputs: string;
  readonly server: string;
  /** Fresh itself could not be built from these inputs; `at` in ms since 1970. */
  readonly jsrFailed?: { readonly words: string; readonly at: number };
};

const PROBE_LIMIT_MS = 1_500;
/** For installing and building together; `deno install` has no limit of its own and would wait for ever. */
const JSR_BUILD_LIMIT_MS = 90_000;
const NPM_BUILD_LIMIT_MS = 60_000;
/** For so long a failed build from JSR is not tried again with the same sources, unless FRESH=jsr asks for it. */
const JSR_RETRY_AFTER_MS = 3_600_000;

const REPOSITORY = fileURLToPath(new URL("..", import.meta.url));

/**
 * Builds the app in `folder` (web/), or finds it built. Throws where neither Fresh can build it, or the chosen one
 * cannot.
 */
export async function buildWeb(
  choice: FreshChoice,
  { folder = join(REPOSITORY, "web") }: { folder?: string } = {},
): Promise<WebBuild> {
  await Deno.mkdir(join(REPOSITORY, "node_modules"), { recursive: true });
  using lock = await Deno.open(join(REPOSITORY, "node_modules/.web_build.lock"), {
    create: true,
    write: true,
  });
  await lock.lock(true); // Two services may start at once; the second finds what the first has built.
  const web = new Web(folder, hashInputs(folder));
  const { fresh, words } = await chooseAndBuild(web, choice);
  return { fresh, words, serverModulePath: web.serverModulePath };
}

async function chooseAndBuild(web: Web, choice: FreshChoice): Promise<Pick<WebBuild, "fresh" | "words">> {
  const built = await web.current();
  const ofJsr = { fresh: "jsr" as const, words: `Fresh ${FRESH_VERSION} from JSR` };
  if (choice !== "npm" && built?.fresh === "jsr") return ofJsr;
  if (choice === "npm") return await onNpm(web, built, "FRESH=npm");

  if (choice === "probe") {
    const unreachable = await whyJsrUnreachable();
    if (unreachable) return await onNpm(web, built, `JSR not reachable (${unreachable})`);
    const failed = built?.jsrFailed;
    if (failed && Date.now() - failed.at < JSR_RETRY_AFTER_MS) {
      return await onNpm(web, built, failed.words, failed);
    }
  }
  const problem = await web.buildFromJsr();
  if (!problem) return ofJsr;
  if (choice === "jsr") {
    throw new Error(
      `Cannot build web/ with Fresh ${FRESH_VERSION} from JSR: ${problem}. FRESH=npm does without JSR.`,
    );
  }
  const words = `Fresh from JSR cannot be built (${problem})`;
  return await onNpm(web, null, words, { words, at: Date.now() });
}

async function onNpm(
  web: Web,
  built: Stamp | null,
  why: string,
  jsrFailed?: Stamp["jsrFailed"],
): Promise<Pick<WebBuild, "fresh" | "words">> {
  if (built?.fresh !== "npm") await web.buildFromNpm(jsrFailed);
  return { fresh: "npm", words: `${why}: same app on fresh-npm` };
}

class Web {
  readonly serverModulePath: string;
  readonly #stampPath: string;

  constructor(readonly folder: string, readonly inputs: string) {
    this.serverModulePath = join(folder, "_fresh/server.js");
    this.#stampPath = join(folder, "_fresh/built_from.json");
  }

  /** The stamp of what lies there, if it was built from today's sources. */
  async current(): Promise<Stamp | null> {
    try {
      const stamp: Stamp = JSON.parse(await Deno.readTextFile(this.#stampPath));
      const same = stamp.inputs === this.inputs && stamp.server === await hashFile(this.serverModulePath);
      return same ? stamp : null;
    } catch {
      return null; // Never built, or cut off in between.
    }
  }

  /** Installs and builds as a Fresh engineer would by hand; what went wrong, in words, or null. */
  async buildFromJsr(): Promise<string | null> {
    const end = performance.now() + JSR_BUILD_LIMIT_MS;
    await Deno.remove(this.#stampPath).catch(() => {});
    for (const args of [["install"], ["task", "build"]]) {
      const run = await runLimited(Deno.execPath(), args, {
        cwd: this.folder,
        limitMs: end - performance.now(),
      });
      if (run.timedOut) return `deno ${args.join(" ")} took longer than ${JSR_BUILD_LIMIT_MS / 1000} s`;
      if (!run.ok) return problemIn(run.stderr || run.stdout) || `deno ${args.join(" ")} failed`;
    }
    return await this.#stamp({ fresh: "jsr" }).then(() => null, () => "the build left no _fresh/server.js");
  }

  async buildFromNpm(jsrFailed: Stamp["jsrFailed"]): Promise<void> {
    const run = await runLimited(Deno.execPath(), [
      "run",
      "-A",
      join(REPOSITORY, "fresh-npm/build.ts"),
      this.folder,
    ], {
      cwd: REPOSITORY,
      limitMs: NPM_BUILD_LIMIT_MS,
    });
    if (!run.ok) {
      throw new Error(
        `Cannot build web/ with fresh-npm: ${run.timedOut ? "it took too long" : run.stderr || run.stdout}`,
      );
    }
    await this.#stamp({ fresh: "npm", ...(jsrFailed && { jsrFailed }) });
  }

  async #stamp(made: Pick<Stamp, "fresh" | "jsrFailed">): Promise<void> {
    const stamp: Stamp = { ...made, inputs: this.inputs, server: await hashFile(this.serverModulePath) };
    await Deno.writeTextFile(this.#stampPath, JSON.stringify(stamp));
  }
}

/**
 * Why JSR cannot be had, in words; null where it can. Deno itself is asked, because it knows JSR's address and heeds
 * JSR_URL: for an export that Fresh does not have, so that only the package's list of versions and the version's list
 * of files are fetched. That the export is unknown is the good answer.
 */
export async function whyJsrUnreachable(
  { limitMs = PROBE_LIMIT_MS }: { limitMs?: number } = {},
): Promise<string | null> {
  const specifier = `jsr:@fresh/core@${FRESH_VERSION}/is-jsr-there`;
  const args = ["info", "--json", "--no-config", "--no-lock", "--reload=jsr:@fresh/core", specifier];
  const run = await runLimited(Deno.execPath(), args, { cwd: Deno.cwd(), limitMs });
  if (run.timedOut) return `no answer within ${limitMs / 1000} s`;
  const error = firstError(run.stdout) ?? run.stderr;
  if (error.startsWith("Unknown export")) return null;
  return error.startsWith("Could not find version")
    ? `it has no Fresh ${FRESH_VERSION}`
    : "refused or no connection";
}

function firstError(json: string): string | undefined {
  try {
    return JSON.parse(json).modules[0].error;
  } catch {
    return undefined;
  }
}

/** One hash of everything that a build depends on. */
function hashInputs(folder: string): string {
  const hash = createHash("sha256").update(Deno.version.deno);
  const shared = ["package.json", "deno.lock"].map((name) => join(REPOSITORY, name));
  const folders = [folder, join(REPOSITORY, "fresh-npm"), join(REPOSITORY, "contract")];
  for (const path of [...shared, ...folders.flatMap(sources)]) {
    hash.update(`\n${path}\n`).update(Deno.readFileSync(path));
  }
  return hash.digest("hex");
}

function sources(folder: string): string[] {
  const entries = [...Deno.readDirSync(folder)].sort((a, b) => a.name < b.name ? -1 : 1);
  return entries.flatMap(({ name, isDirectory }) => {
    if (["node_modules", "_fresh", "fixtures"].includes(name) || /\.test\.tsx?$/.test(name)) return [];
    return isDirectory ? sources(join(folder, name)) : [join(folder, name)];
  });
}

async function hashFile(path: string): Promise<string> {
  return createHash("sha256").update(await Deno.readFile(path)).digest("hex");
}
