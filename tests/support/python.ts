import { hash } from "node:crypto";
import { join, resolve } from "node:path";

/**
 * Programs of others from Python's package index, exact versions, in a virtual environment that is made once per list and
 * Python and kept in node_modules/.cache.
 */

const CACHE = resolve(import.meta.dirname!, "../../node_modules/.cache");
const MAKING_MS_MAX = 300_000;

export type Python = {
  /** The directory with its programs; `python3` is one of them. */
  readonly bin: string;
};

/** The environment with the packages of a requirements file, or why it cannot be had here. */
export async function pythonWith(requirements: string): Promise<Python | { readonly absence: string }> {
  const version = await run("python3", ["-c", "import sys; print(sys.version)"]);
  if (!version.success) return { absence: `there is no python3: ${version.said}` };
  const digest = hash("sha256", `${version.said}\0${Deno.readTextFileSync(requirements)}`, "hex").slice(
    0,
    16,
  );
  const home = join(CACHE, `readers-${digest}`);
  const isMade = () => run(join(home, "bin", "python3"), ["-c", "open(__import__('sys').prefix + '/made')"]);
  if (!(await isMade()).success) {
    // An environment knows its own path, so it is made in place; the last thing made is what says that it is whole.
    Deno.mkdirSync(CACHE, { recursive: true });
    const pip = [
      "install",
      "--quiet",
      "--disable-pip-version-check",
      "--no-compile",
      "--only-binary",
      ":all:",
      "-r",
    ];
    for (
      const [program, args] of [
        ["python3", ["-m", "venv", "--clear", home]],
        [join(home, "bin", "pip"), [...pip, requirements]],
      ] as const
    ) {
      const made = await run(program, args);
      if (!made.success) return { absence: `its packages cannot be had: ${made.said}` };
    }
    Deno.writeTextFileSync(join(home, "made"), "");
  }
  return { bin: join(home, "bin") };
}

/** Its exit, and the last line that it said. */
async function run(program: string, args: readonly string[]): Promise<{ success: boolean; said: string }> {
  try {
    const { success, stdout, stderr } = await new Deno.Command(program, {
      args: [...args],
      stdout: "piped",
      stderr: "piped",
      signal: AbortSignal.timeout(MAKING_MS_MAX),
    }).output();
    const text = new TextDecoder().decode(success ? stdout : stderr);
    return { success, said: text.trim().split("\n").at(-1)! };
  } catch (error) {
    return { success: false, said: (error as Error).message };
  }
}
