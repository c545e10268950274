/**
 * Builds web/ with the Fresh that can be had: Fresh itself where JSR answers, else fresh-npm. Both end in
 * `web/_fresh/server.js` with the default export `{ fetch }`. Nothing is built again while its sources stay the same.
 */
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { join, relative } from "node:path";
import { type Clock, systemClock } from "../runtime/clock.ts";
import { log } from "../runtime/log.ts";
import { type LimitedRun, problemIn, runLimited } from "./run_limited.ts";

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

/** What a build was made from, kept beside it. */
type Stamp = {
  readonly fresh: "jsr" | "npm";
  readonly inputs: string;
  /** Hash of all that was built: somebody may have built by hand since, or removed a part. */
  readonly output: string;
  /** Hash of web/deno.lock, which a build from JSR writes where there is none; null: there is none. */
  readonly lock: string | null;
};

/** What was found when Fresh from JSR was last asked for, so that not every start asks. */
type Answer = {
  /** Why it cannot be had, in words; null where it can. */
  readonly unavailable: string | null;
  /** Set where it was a build that failed: other sources may succeed. */
  readonly inputs?: string;
  /** JSR_URL at that time. */
  readonly jsrUrl: string | null;
  /** Ms since 1970. */
  readonly at: number;
};

export type WebBuildOptions = {
  /** The app; web/ unless a test says otherwise. */
  readonly folder?: string;
  readonly clock?: Clock;
  /** Gets a line about what takes long; the log by default. */
  readonly say?: (words: string) => void;
};

/** Longest wait for JSR's answer. */
const PROBE_MS_MAX = 1_500;
/** For looking whether Deno's cache holds everything, which takes a second at most. */
const CACHE_LOOK_MS_MAX = 30_000;
/** For so long an answer is not asked for again, unless FRESH=jsr asks for it. */
const ANSWER_KEPT_MS = 24 * 3_600_000;
/**
 * For installing and building together, which takes 15 s on two cores and took more than 90 s on a machine with a load of
 * 17. There is a limit at all because `deno install` has none of its own and would wait for ever.
 */
export const JSR_BUILD_MS_MAX = 300_000;
/** Takes 1 s on two cores. */
export const NPM_BUILD_MS_MAX = 120_000;
/** From then on people are told what takes so long, and again each time as much has gone by. */
const SAID_AFTER_MS = 10_000;

const logged = (words: string) => log("info", words);
const REPOSITORY = fileURLToPath(new URL("..", import.meta.url));
const SERVER_MODULE = "_fresh/server.js";
const STAMP = "_fresh/built_from.json";
const OF_JSR = `Fresh ${FRESH_VERSION} from JSR`;
const CANNOT = `Cannot build web/ with Fresh ${FRESH_VERSION} from JSR`;

/**
 * Builds the app in `folder` (web/), or finds it built. Throws where neither Fresh can build it, or the chosen one
 * cannot.
 */
export async function buildWeb(
  choice: FreshChoice,
  { folder = join(REPOSITORY, "web"), clock = systemClock, say = logged }: WebBuildOptions = {},
): Promise<WebBuild> {
  const state = join(folder, "node_modules");
  await Deno.mkdir(state, { recursive: true });
  using lock = await Deno.open(join(state, ".web_build.lock"), { create: true, write: true });
  await lock.lock(true); // Two services may start at once; the second finds what the first has built.
  const web = new Web({ folder, inputs: hashInputs(folder), clock, say });
  const { fresh, words } = await chooseAndBuild(web, choice);
  return { fresh, words, serverModulePath: web.serverModulePath };
}

/** The build that lies in `folder` (web/), whatever its sources are now. Throws where there is none. */
export async function foundBuild(folder = join(REPOSITORY, "web")): Promise<WebBuild> {
  try {
    const { fresh }: Stamp = JSON.parse(await Deno.readTextFile(join(folder, STAMP)));
    const words = fresh === "jsr" ? OF_JSR : "built with fresh-npm";
    return { fresh, words, serverModulePath: join(folder, SERVER_MODULE) };
  } catch (error) {
    const words = `Cannot serve ${folder}: it holds no whole build. Build it anew, as \`deno task web\` does`;
    throw new Error(`${words}.`, { cause: error });
  }
}

async function chooseAndBuild(web: Web, choice: FreshChoice): Promise<Pick<WebBuild, "fresh" | "words">> {
  const built = await web.current();
  const ofJsr = { fresh: "jsr" as const, words: OF_JSR };
  if (choice === "npm") return await onNpm(web, built, "FRESH=npm");
  if (built?.fresh === "jsr") return ofJsr;

  if (choice === "probe") {
    const known = await web.knownAnswer();
    const answer = known ?? { unavailable: await whyJsrUnavailable(web.folder) };
    if (known === null) await web.keepAnswer(answer);
    if (answer.unavailable !== null) {
      const since = known === null ? "" : `, as of ${new Date(known.at).toISOString().slice(0, 16)}Z`;
      return await onNpm(web, built, `${answer.unavailable}${since}`);
    }
  }
  const problem = await web.buildFromJsr();
  if (problem === null) {
    await web.keepAnswer({ unavailable: null });
    return ofJsr;
  }
  if (choice === "jsr") throw new Error(`${CANNOT}: ${problem}. FRESH=npm does without JSR.`);
  const unavailable = `Fresh from JSR cannot be built (${problem})`;
  await web.keepAnswer({ unavailable, inputs: web.inputs });
  return await onNpm(web, null, unavailable);
}

async function onNpm(
  web: Web,
  built: Stamp | null,
  why: string,
): Promise<Pick<WebBuild, "fresh" | "words">> {
  if (built?.fresh !== "npm") await web.buildFromNpm();
  return { fresh: "npm", words: `${why}: same app on fresh-npm` };
}

class Web {
  readonly folder: string;
  readonly inputs: string;
  readonly serverModulePath: string;
  readonly #stampPath: string;
  readonly #answerPath: string;
  /** Holds the hash of a lock that a build wrote because there was none. */
  readonly #ownLockPath: string;
  readonly #clock: Clock;
  readonly #say: (line: string) => void;

  constructor({ folder, inputs, clock, say }: {
    folder: string;
    inputs: string;
    clock: Clock;
    say: (line: string) => void;
  }) {
    this.folder = folder;
    this.inputs = inputs;
    this.serverModulePath = join(folder, SERVER_MODULE);
    this.#stampPath = join(folder, STAMP);
    this.#answerPath = join(folder, "node_modules/.fresh_from_jsr.json");
    this.#ownLockPath = join(folder, "node_modules/.own_deno_lock");
    this.#clock = clock;
    this.#say = say;
  }

  /** The stamp of what lies there, if it was built from today's sources. */
  async current(): Promise<Stamp | null> {
    try {
      const stamp: Stamp = JSON.parse(await Deno.readTextFile(this.#stampPath));
      const now = await this.#stampOf(stamp.fresh);
      const sameLock = stamp.fresh === "npm" || stamp.lock === now.lock;
      return stamp.inputs === now.inputs && stamp.output === now.output && sameLock ? stamp : null;
    } catch {
      return null; // Never built, or cut off in between.
    }
  }

  /**
   * Installs and builds as a Fresh engineer would by hand; what went wrong, in words, or null. A lock that somebody put
   * there is frozen. One that an earlier build wrote only says what that was made of: the next may need something else.
   */
  async buildFromJsr(): Promise<string | null> {
    const end = performance.now() + JSR_BUILD_MS_MAX;
    const before = await this.#lockHash();
    const own = await Deno.readTextFile(this.#ownLockPath).catch(() => null);
    const frozen = before !== null && before !== own;
    for (const args of [["install", ...frozen ? ["--frozen"] : []], ["task", "build"]]) {
      const run = await this.#run(args, {
        cwd: this.folder,
        limitMs: end - performance.now(),
        what: `building the page with Fresh ${FRESH_VERSION} from JSR (deno ${args.join(" ")})`,
      });
      if (run.timedOut) return `deno ${args.join(" ")} took longer than ${JSR_BUILD_MS_MAX / 1000} s`;
      if (!run.ok) return problemIn(run.stderr || run.stdout) || `deno ${args.join(" ")} failed`;
    }
    const after = await this.#lockHash();
    // Only the installing heeds --frozen: what the build itself fetched shows in the lock.
    if (frozen && after !== before) return "the build needs what web/deno.lock does not hold";
    if (!frozen && after !== null) await Deno.writeTextFile(this.#ownLockPath, after);
    return await this.#stamp("jsr").then(() => null, () => "the build left no _fresh/server.js");
  }

  #lockHash(): Promise<string | null> {
    return hashFile(join(this.folder, LOCK)).catch(() => null);
  }

  async buildFromNpm(): Promise<void> {
    const run = await this.#run(
      ["run", "--quiet", "-A", join(REPOSITORY, "fresh-npm/build.ts"), this.folder],
      {
        cwd: REPOSITORY,
        limitMs: NPM_BUILD_MS_MAX,
        what: "building the page with fresh-npm",
      },
    );
    if (!run.ok) {
      const problem = run.timedOut
        ? `it took longer than ${NPM_BUILD_MS_MAX / 1000} s`
        : run.stderr || run.stdout;
      throw new Error(`Cannot build web/ with fresh-npm: ${problem}`);
    }
    if (run.stderr !== "") this.#say(run.stderr);
    await this.#stamp("npm");
  }

  /**
   * Runs a step of a build. The build's id, which names static files that browsers keep for a year, is said by us: Fresh
   * itself would take the commit, which is none in a ZIP, and the same one for styles that were changed since.
   */
  async #run(
    args: readonly string[],
    { cwd, limitMs, what }: { cwd: string; limitMs: number; what: string },
  ): Promise<LimitedRun> {
    await Deno.remove(this.#stampPath).catch(() => {});
    const finished = new AbortController();
    void this.#sayMeanwhile(what, finished.signal);
    try {
      const env = { DENO_DEPLOY_BUILD_ID: this.inputs.slice(0, BUILD_ID_LENGTH) };
      return await runLimited(Deno.execPath(), args, { cwd, limitMs, env });
    } finally {
      finished.abort();
    }
  }

  /** The kept answer, while it is young and still about today's question. */
  async knownAnswer(): Promise<Answer | null> {
    try {
      const answer: Answer = JSON.parse(await Deno.readTextFile(this.#answerPath));
      const age = this.#clock.now() - answer.at;
      const isSame = answer.jsrUrl === jsrUrl() && (answer.inputs ?? this.inputs) === this.inputs;
      return isSame && age >= 0 && age < ANSWER_KEPT_MS ? answer : null;
    } catch {
      return null; // Never asked, or cut off in between.
    }
  }

  async keepAnswer(answer: Pick<Answer, "unavailable" | "inputs">): Promise<void> {
    const kept: Answer = { ...answer, jsrUrl: jsrUrl(), at: this.#clock.now() };
    // A folder that cannot be written costs the next start another look, and no start.
    await Deno.writeTextFile(this.#answerPath, JSON.stringify(kept)).catch(() => {});
  }

  async #sayMeanwhile(what: string, finished: AbortSignal): Promise<void> {
    const began = this.#clock.monotonic();
    for (;;) {
      await this.#clock.wait(SAID_AFTER_MS, finished);
      if (finished.aborted) return;
      const seconds = Math.round((this.#clock.monotonic() - began) / 1000);
      this.#say(`still ${what}, for ${seconds} s now`);
    }
  }

  async #stamp(fresh: Stamp["fresh"]): Promise<void> {
    await Deno.writeTextFile(this.#stampPath, JSON.stringify(await this.#stampOf(fresh)));
  }

  async #stampOf(fresh: Stamp["fresh"]): Promise<Stamp> {
    return { fresh, inputs: this.inputs, output: this.#hashOutput(), lock: await this.#lockHash() };
  }

  #hashOutput(): string {
    Deno.statSync(this.serverModulePath); // Throws where the build left none.
    const folder = join(this.folder, "_fresh");
    return hashFiles(filesIn(folder).filter((path) => path !== this.#stampPath), () => folder);
  }
}

/** Long enough that no two builds share it. */
const BUILD_ID_LENGTH = 16;

/** Deno's own switch for another registry. */
const jsrUrl = () => Deno.env.get("JSR_URL") ?? null;

/**
 * Why Fresh from JSR cannot be had, in words; null where it can: JSR answers, or Deno's cache holds everything that
 * the app in `folder` needs. A cache that holds a part is of no use: `deno install` would ask for the rest until its
 * time is over.
 */
export async function whyJsrUnavailable(
  folder: string,
  { limitMs = PROBE_MS_MAX }: { limitMs?: number } = {},
): Promise<string | null> {
  const unreachable = await whyJsrUnreachable({ limitMs });
  if (unreachable === null) return null;
  const entries = [...Deno.readDirSync(folder)].map(({ name }) => name).filter((name) =>
    name.endsWith(".ts")
  );
  const look = [
    "install",
    "--cached-only",
    "--node-modules-dir=none",
    "--no-lock",
    "--entrypoint",
    ...entries,
  ];
  const offline = await runLimited(Deno.execPath(), look, { cwd: folder, limitMs: CACHE_LOOK_MS_MAX });
  return offline.ok ? null : `JSR not reachable (${unreachable})`;
}

/**
 * Why JSR's address cannot be reached, in words; null where it can. Deno itself is asked, because it knows JSR's address
 * and heeds JSR_URL: with an empty cache, so that it has to go there, and for an export that Fresh does not have, so
 * that only the package's list of versions and the version's list of files are fetched. That the export is unknown is
 * the good answer.
 */
async function whyJsrUnreachable({ limitMs }: { limitMs: number }): Promise<string | null> {
  const specifier = `jsr:@fresh/core@${FRESH_VERSION}/is-jsr-there`;
  const emptyCache = await Deno.makeTempDir({ prefix: "jsr_probe_" });
  try {
    const args = ["info", "--json", "--no-config", "--no-lock", specifier];
    const run = await runLimited(Deno.execPath(), args, {
      cwd: Deno.cwd(),
      limitMs,
      env: { DENO_DIR: emptyCache },
    });
    if (run.timedOut) return `no answer within ${limitMs / 1000} s`;
    const error = firstError(run.stdout) ?? run.stderr;
    if (error.startsWith("Unknown export")) return null;
    return error.startsWith("Could not find version")
      ? `it has no Fresh ${FRESH_VERSION}`
      : "refused or no connection";
  } finally {
    // A process that was cut off may write there once more; the system's temporary folder takes care of that.
    await Deno.remove(emptyCache, { recursive: true }).catch(() => {});
  }
}

function firstError(json: string): string | undefined {
  try {
    return JSON.parse(json).modules[0].error;
  } catch {
    return undefined;
  }
}

/** Written by Deno where there is none, so no input of the hash: the stamp has one of its own for it. */
const LOCK = "deno.lock";

/** One hash of everything that a build depends on. */
function hashInputs(folder: string): string {
  const shared = ["package.json", "deno.json", "deno.lock"].map((name) => join(REPOSITORY, name));
  const folders = [folder, join(REPOSITORY, "fresh-npm"), join(REPOSITORY, "contract")];
  const sources = folders.flatMap(filesIn).filter((path) =>
    path !== join(folder, LOCK) && !/\.test\.tsx?$/.test(path)
  );
  return hashFiles([...shared, ...sources], (path) => path.startsWith(folder) ? folder : REPOSITORY);
}

function filesIn(folder: string): string[] {
  const entries = [...Deno.readDirSync(folder)].sort((a, b) => a.name < b.name ? -1 : 1);
  return entries.flatMap(({ name, isDirectory, isFile }) => {
    if (["node_modules", "_fresh", "fixtures"].includes(name)) return [];
    if (isDirectory) return filesIn(join(folder, name));
    return isFile ? [join(folder, name)] : []; // An editor's lock may be a link that leads nowhere.
  });
}

/** Names count relative to `from`, so that two checkouts of the same sources have the same build id. */
function hashFiles(paths: readonly string[], from: (path: string) => string): string {
  const hash = createHash("sha256").update(Deno.version.deno);
  for (const path of paths) {
    hash.update(`\n${relative(from(path), path)}\n`).update(Deno.readFileSync(path));
  }
  return hash.digest("hex");
}

async function hashFile(path: string): Promise<string> {
  return createHash("sha256").update(await Deno.readFile(path)).digest("hex");
}
