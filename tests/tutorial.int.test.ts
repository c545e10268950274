import { join, resolve } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { spawnProgram, type TextStream } from "./support/run_command.ts";
import { until } from "./support/until.ts";

/**
 * docs/tutorial.md from its first command to its last, pasted in a folder of its own beside the demo that it starts. What
 * needs DuckDB or pandas is pasted by tools/dataset/readers.int.test.ts.
 */

const ROOT = resolve(import.meta.dirname!, "..");
const PAGE = Deno.readTextFileSync(join(ROOT, "docs/tutorial.md"));
const STEP_MS_MAX = 60_000;
const ANYTHING = "…";

vi.setConfig({ testTimeout: 90_000 });

type Step = { readonly language: string; readonly text: string; readonly prints: string | null };

/** What is pasted, each with what the page says that it prints. */
const STEPS: readonly Step[] = [
  ...PAGE.matchAll(/^```(sh|python)\n([^]*?)^```\n(?:\n```text\n([^]*?)^```\n)?/gm),
].map(([, language, text, prints]) => ({ language: language!, text: text!, prints: prints ?? null }));
const [START, ...ALL] = STEPS;
const PASTED = ALL.filter(({ text }) => !/^duckdb |pandas/.test(text));

/** Programs that the page pastes into, and that this machine may lack. */
const lacking = ["bash", "curl", "python3"].find((program) => {
  try {
    return !new Deno.Command(program, { args: ["--version"], stdout: "null", stderr: "null" }).outputSync()
      .success;
  } catch {
    return true;
  }
});

let folder: string;
let demo: Deno.ChildProcess;
let said = "";
/** The page's ports by what the demo was given instead. */
let ports: Readonly<Record<string, string>>;

beforeAll(async () => {
  if (lacking !== undefined) return;
  folder = await Deno.makeTempDir({ prefix: "tutorial-" });
  const { tasks } = JSON.parse(Deno.readTextFileSync(join(ROOT, "deno.json")));
  const here = Object.entries<string>(tasks).map(([name, line]) =>
    [name, line.replace(/(?<= )(?=\w+\/[\w/]+\.ts)/, `--config ${ROOT}/deno.json ${ROOT}/`)] as const
  );
  Deno.writeTextFileSync(join(folder, "deno.json"), JSON.stringify({ tasks: Object.fromEntries(here) }));
  const [, ...args] = START!.text.trim().replace(/^deno task /, "").split(" ");
  const free = () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    return String(listener.addr.port);
  };
  ports = { 8000: free(), 8010: free() };
  demo = spawnProgram("demo/main.ts", {
    args,
    env: {
      DATA_DIR: join(folder, "data"),
      INGEST_PORT: "0",
      PROCESSOR_PORT: "0",
      WEB_PORT: ports["8000"]!,
      POSTHOG_STAND_IN_PORT: ports["8010"]!,
      FRESH: "npm",
    },
  });
  for (const stream of [demo.stdout, demo.stderr]) {
    void stream.pipeThrough(new TextDecoderStream() as TextStream).pipeTo(
      new WritableStream({ write: (text) => void (said += text) }),
    );
  }
  await until("the demo is ready", () => /Ready in /.test(said), { limitMs: 120_000 });
}, 150_000);
afterAll(async () => {
  if (lacking !== undefined) return;
  demo.kill("SIGINT");
  await demo.status;
  await Deno.remove(folder, { recursive: true });
});

beforeEach((test) => {
  if (lacking !== undefined) test.skip(`${lacking} is not installed`);
});

test("the tutorial begins with the demo and ends with a fine-tuning file", () => {
  expect(START!.text).toMatch(/^deno task demo\b/);
  expect(PASTED.length).toBeGreaterThan(8);
  expect(PASTED.at(-1)!.language).toBe("python");
});

test.each(PASTED)("$language $text", async ({ language, text, prints }) => {
  await handled();
  const here = Object.entries(ports).reduce(
    (pasted, [port, own]) => pasted.replaceAll(`localhost:${port}`, `localhost:${own}`),
    text,
  );
  const { code, stdout, stderr } = await paste(here, language === "sh" ? ["bash", "-e"] : ["python3", "-"]);
  expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
  if (prints !== null) expect(squeezed(stdout)).toMatch(patternOf(prints));
  else expect(stdout).toMatch(/\S/);
});

/** A person looks a moment later; a test waits until everything that was sent has been handled. */
async function handled(): Promise<void> {
  await until("everything was handled", async () => {
    const response = await fetch(`http://localhost:${ports["8000"]}/api/proof`);
    return (await response.json()).agree === true;
  }, { limitMs: STEP_MS_MAX });
}

const squeezed = (text: string) => text.trim().replace(/ +/g, " ");

/** What the page says is printed, `…` being anything within a line. */
function patternOf(prints: string): RegExp {
  const parts = squeezed(prints).split(ANYTHING).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`);
}

async function paste(text: string, [program, ...args]: readonly string[]) {
  const child = new Deno.Command(program!, {
    args,
    cwd: folder,
    env: { NO_COLOR: "1", DENO_NO_PROMPT: "1", DATA_DIR: "", DATASET_DIR: "", PYTHONUTF8: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.timeout(STEP_MS_MAX),
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  const decoded = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: decoded(stdout), stderr: decoded(stderr) };
}
