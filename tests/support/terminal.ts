import { resolve } from "node:path";
import type { TextStream } from "./run_command.ts";

/** A program on a terminal of its own, made by util-linux's `script`. */
export type Terminal = {
  /** What it has shown so far; a terminal turns each "\n" into "\r\n". */
  text(): string;
  type(keys: string): Promise<void>;
  readonly end: Promise<{ readonly code: number; readonly text: string }>;
};

const ROOT = resolve(import.meta.dirname!, "../..");

/** Why there is none to be had, in words; null where there is one. */
export async function whyNoTerminal(): Promise<string | null> {
  try {
    const { stdout } = await new Deno.Command("script", { args: ["--version"], stderr: "null" }).output();
    const isKnown = new TextDecoder().decode(stdout).includes("util-linux");
    return isKnown ? null : "skipped: `script` is not util-linux's";
  } catch {
    return "skipped: there is no `script` on this machine";
  }
}

/** Starts one of the project's programs on a terminal. */
export function openTerminal(
  path: string,
  { args, env, after }: {
    readonly args: readonly string[];
    readonly env: Record<string, string>;
    /** What the shell does on the same terminal once the program has ended; $code is how. Default: it ends with it. */
    readonly after?: string;
  },
): Terminal {
  const words = [Deno.execPath(), "run", "-A", "--quiet", resolve(ROOT, path), ...args];
  const quoted = words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
  const kept = ["PATH", "HOME", "DENO_DIR", "TMPDIR"].flatMap((name) => {
    const value = Deno.env.get(name);
    return value === undefined ? [] : [[name, value] as const];
  });
  const child = new Deno.Command("script", {
    args: [
      "--quiet",
      "--return",
      "--flush",
      "--command",
      after === undefined ? `exec ${quoted}` : `${quoted}; code=$?; ${after}`,
      "/dev/null",
    ],
    cwd: ROOT,
    clearEnv: true,
    env: { ...Object.fromEntries(kept), TERM: "xterm", NO_COLOR: "1", SHELL: "/bin/sh", ...env },
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const keys = child.stdin.getWriter();
  let shown = "";
  const reading = (async () => {
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream() as TextStream)) shown += text;
  })();
  return {
    text: () => shown,
    type: (text) => keys.write(new TextEncoder().encode(text)),
    end: (async () => {
      const { code } = await child.status;
      await reading;
      await keys.close().catch(() => {});
      return { code, text: shown };
    })(),
  };
}
