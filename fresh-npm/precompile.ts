/**
 * JSX as Fresh's server has it: Deno's own transform turns elements into ready HTML (`"jsx": "precompile"`). It shows:
 * texts beside elements in an array are escaped twice unless they stand in a Fragment, `aria-disabled={false}` is left
 * out, a `key` is an attribute. The browser's part is built without it, as with Fresh.
 */
import { execFile } from "node:child_process";
import { cpSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { promisify } from "node:util";

/** What Fresh's scaffold writes into deno.json, for an app that has none. */
const SCAFFOLD = {
  compilerOptions: {
    jsx: "precompile",
    jsxImportSource: "preact",
    // Elements that Fresh, and so this folder, may change while they are rendered; the others are HTML by then.
    jsxPrecompileSkipElements: [
      ...["a", "img", "source", "body", "html", "head", "title", "meta", "script", "link", "style", "base"],
      ...["noscript", "template"],
    ],
  },
};

const CONFIG = "deno.json";
const SKIPPED = /^(node_modules|_fresh)$|\.test\.[jt]sx$/;

/**
 * JavaScript of every .tsx and .jsx below `root`, by absolute path, with the compiler options of the app's own
 * deno.json. Empty, with a warning, where this Deno has no `deno transpile`: the build then takes plain JSX.
 */
export async function precompile(root: string): Promise<ReadonlyMap<string, string>> {
  const files = globSync("**/*.{tsx,jsx}", { cwd: root, exclude: (path) => SKIPPED.test(basename(path)) });
  if (files.length === 0) return new Map();
  const work = mkdtempSync(join(tmpdir(), "fresh_npm_jsx_"));
  try {
    const from = saysHowJsxIsCompiled(root)
      ? root
      : copyWithScaffold(root, { files, to: join(work, "from") });
    const options = ["--config", CONFIG, "--no-lock", "--source-map", "none", "--outdir", join(work, "out")];
    await promisify(execFile)(Deno.execPath(), ["transpile", ...options, ...files], {
      cwd: from,
      env: { ...process.env, NO_COLOR: "1" },
    });
    return new Map(files.map((file) => [
      join(root, file),
      readFileSync(join(work, "out", file.replace(/\.[jt]sx$/, ".js")), "utf8"),
    ]));
  } catch (error) {
    console.warn(
      `JSX stays plain, so pages can differ from Fresh's, which precompiles it: ${problemOf(error)}. ` +
        "Deno 2.9 has the `deno transpile` that this takes.",
    );
    return new Map();
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function saysHowJsxIsCompiled(root: string): boolean {
  try {
    return readFileSync(join(root, CONFIG), "utf8").includes('"jsx"');
  } catch {
    return false; // No deno.json.
  }
}

/** Deno heeds a deno.json for what lies below it only, and the app's own folder is not ours to write to. */
function copyWithScaffold(root: string, { files, to }: { files: string[]; to: string }): string {
  for (const file of files) cpSync(join(root, file), join(to, file));
  writeFileSync(join(to, CONFIG), JSON.stringify(SCAFFOLD));
  return to;
}

function problemOf(error: unknown): string {
  const lines = (error as { stderr?: string }).stderr?.split("\n") ?? [];
  return lines.find((line) => line.startsWith("error")) ?? String(error);
}
