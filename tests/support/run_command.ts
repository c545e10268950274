import { resolve } from "node:path";

/** What a command printed and how it ended. */
export type CommandRun = { readonly code: number; readonly stdout: string; readonly stderr: string };

/** The library types of Deno and of the DOM differ in the buffers they name. */
export type TextStream = ReadableWritablePair<string, Uint8Array<ArrayBuffer>>;

const ROOT = resolve(import.meta.dirname!, "../..");

/** Environment that a child needs beside what a test gives it; nothing of the tester's own settings leaks in. */
function childEnvironment(env: Record<string, string>): Record<string, string> {
  const kept = ["PATH", "HOME", "DENO_DIR", "TMPDIR"].flatMap((name) => {
    const value = Deno.env.get(name);
    return value === undefined ? [] : [[name, value] as const];
  });
  return { ...Object.fromEntries(kept), NO_COLOR: "1", LOG_FORMAT: "text", ...env };
}

/** Runs one of the project's programs to its end. */
export async function runProgram(
  path: string,
  { args = [], env = {}, stdin }: { args?: readonly string[]; env?: Record<string, string>; stdin?: string } =
    {},
): Promise<CommandRun> {
  return await toItsEnd(
    spawnProgram(path, { args, env, stdin: stdin === undefined ? "null" : "piped" }),
    stdin,
  );
}

/** Runs a task of deno.json to its end, with the rights that its line gives it; a question for more is a refusal. */
export async function runTask(
  name: string,
  { args = [], env = {}, stdin }: { args?: readonly string[]; env?: Record<string, string>; stdin?: string } =
    {},
): Promise<CommandRun> {
  return await toItsEnd(spawnTask(name, { args, env, stdin: stdin === undefined ? "null" : "piped" }), stdin);
}

async function toItsEnd(child: Deno.ChildProcess, stdin: string | undefined): Promise<CommandRun> {
  if (stdin !== undefined) {
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(stdin));
    await writer.close();
  }
  const { code, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/** Starts one of the project's programs; its output is piped. `flags` are Deno's own, `within` is a command that runs it. */
export function spawnProgram(
  path: string,
  { args = [], flags = [], env = {}, stdin = "null", within }: {
    args?: readonly string[];
    flags?: readonly string[];
    env?: Record<string, string>;
    stdin?: "null" | "piped";
    within?: readonly string[];
  } = {},
): Deno.ChildProcess {
  return spawnDeno(["run", "-A", "--quiet", ...flags, resolve(ROOT, path), ...args], { env, stdin, within });
}

/** Starts a task of deno.json; see {@link runTask}. Signals reach what it runs; SIGKILL would leave that behind. */
export function spawnTask(
  name: string,
  { args = [], env = {}, stdin = "null" }: {
    args?: readonly string[];
    env?: Record<string, string>;
    stdin?: "null" | "piped";
  } = {},
): Deno.ChildProcess {
  return spawnDeno(["task", "--quiet", name, ...args], { env: { DENO_NO_PROMPT: "1", ...env }, stdin });
}

function spawnDeno(
  args: readonly string[],
  { env, stdin, within = [] }: {
    readonly env: Record<string, string>;
    readonly stdin: "null" | "piped";
    readonly within?: readonly string[];
  },
): Deno.ChildProcess {
  const [program, ...rest] = [...within, Deno.execPath(), ...args];
  return new Deno.Command(program!, {
    args: rest,
    cwd: ROOT,
    clearEnv: true,
    env: childEnvironment(env),
    stdin,
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Waits until a program has stopped itself at a fault point, then kills it with -9. */
export async function killAtFaultPoint(child: Deno.ChildProcess, name: string): Promise<void> {
  let seen = "";
  for await (const text of child.stderr.pipeThrough(new TextDecoderStream() as TextStream)) {
    seen += text;
    if (seen.includes(`fault point ${name}`)) break;
  }
  if (!seen.includes(`fault point ${name}`)) {
    throw new Error(`The program ended before it came to fault point ${name}:\n${seen}`);
  }
  child.kill("SIGKILL");
  await child.status;
  await child.stdout.cancel();
}
