import { join, resolve } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

/** Somebody took a package out of package.json and left deno.lock alone: seen without asking a registry. */
const ROOT = resolve(import.meta.dirname!, "..");
const { tasks } = JSON.parse(Deno.readTextFileSync(join(ROOT, "deno.json"))) as {
  tasks: Record<string, string>;
};
const LOCK = JSON.stringify({
  version: "5",
  specifiers: { "npm:zod@4.6.7": "4.6.7" },
  npm: { "zod@4.6.7": { integrity: `sha512-${"A".repeat(86)}==` } },
  workspace: { packageJson: { dependencies: ["npm:zod@4.6.7"] } },
});

let folder: string;
beforeEach(async () => {
  folder = await Deno.makeTempDir({ prefix: "supply-chain-" });
  await Deno.copyFile(join(ROOT, "deno.json"), join(folder, "deno.json"));
  await Deno.writeTextFile(join(folder, "package.json"), `{"type":"module"}`);
  await Deno.writeTextFile(join(folder, "deno.lock"), LOCK);
  await Deno.writeTextFile(join(folder, "program.ts"), "console.log(1);");
});
afterEach(() => Deno.remove(folder, { recursive: true }));

async function deno(args: readonly string[]): Promise<{ code: number; words: string }> {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: folder,
    env: { NO_COLOR: "1", NPM_CONFIG_REGISTRY: "http://127.0.0.1:1/", DENO_DIR: join(folder, "deno-dir") },
  }).output();
  return { code, words: new TextDecoder().decode(stderr) };
}

test("a lock that package.json has left behind ends every task with a message, and is not rewritten", async () => {
  const installs = Object.entries(tasks).filter(([, line]) => line.startsWith("deno install"));
  expect(installs.map(([name]) => name).sort()).toEqual(["demo", "ok", "test", "test:unit"]);
  const commands = [...new Set(installs.map(([, line]) => line.split(" && ")[0]!))];
  // The other tasks install nothing by name: `deno run` fetches what is missing.
  for (const command of [...commands, "deno run -A program.ts"]) {
    const { code, words } = await deno(command.split(" ").slice(1));
    expect([command, code]).toEqual([command, 1]);
    expect(words, command).toContain("The lockfile is out of date. Run `deno install --frozen=false`");
  }
  expect(await Deno.readTextFile(join(folder, "deno.lock"))).toBe(LOCK);
});
