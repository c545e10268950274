/** Runs a command that may never come to an end. */

export type LimitedRun = {
  readonly ok: boolean;
  readonly timedOut: boolean;
  readonly stdout: string;
  readonly stderr: string;
};

/**
 * Ends the command after `limitMs`, or when this process exits before, and does not wait for what it may have left
 * running.
 */
export async function runLimited(
  command: string,
  args: readonly string[],
  { cwd, limitMs, env }: { cwd: string; limitMs: number; env?: Readonly<Record<string, string>> },
): Promise<LimitedRun> {
  const child = new Deno.Command(command, {
    args: [...args],
    cwd,
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const finished = child.output();
  const timer = Promise.withResolvers<null>();
  const timeout = setTimeout(() => timer.resolve(null), Math.max(0, limitMs));
  const exiting = () => child.kill("SIGTERM");
  globalThis.addEventListener("unload", exiting);
  try {
    const output = await Promise.race([finished, timer.promise]);
    if (output) {
      const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
      return {
        ok: output.success,
        timedOut: false,
        stdout: text(output.stdout),
        stderr: text(output.stderr),
      };
    }
    end(child, finished);
    return { ok: false, timedOut: true, stdout: "", stderr: "" };
  } finally {
    globalThis.removeEventListener("unload", exiting);
    clearTimeout(timeout);
  }
}

/** SIGTERM first, because `deno task` passes that on to what it runs. */
function end(child: Deno.ChildProcess, finished: Promise<unknown>): void {
  child.kill("SIGTERM");
  const killing = setTimeout(() => child.kill("SIGKILL"), 2_000);
  Deno.unrefTimer(killing);
  finished.catch(() => {}).finally(() => clearTimeout(killing));
}

/** The first line that says what went wrong, without the kind of error in front. */
export function problemIn(text: string): string {
  const lines = text.split("\n").map((line) => line.trim()).filter((line) => line !== "");
  const line = lines.find((line) => /^(error|[A-Z]\w*Error): ./.test(line)) ?? lines.at(-1) ?? "";
  return line.replace(/^\w+: /, "").replace(/\.$/, "").slice(0, 200);
}
