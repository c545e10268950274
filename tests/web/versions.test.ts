import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { FRESH_VERSION } from "../../serve_web/build.ts";

/**
 * web/ is its own root, so its packages are named three times: in package.json for fresh-npm, in web/deno.json for Fresh
 * from JSR, and in web/package.json, without which Fresh's own modules get another copy of preact than web's: then the
 * page is empty, with status 200 and no error anywhere.
 */
const ROOT = resolve(import.meta.dirname!, "../..");
const read = (path: string) => JSON.parse(Deno.readTextFileSync(join(ROOT, path)));
const rootPackages: Record<string, string> = (({ dependencies, devDependencies }) => ({
  ...dependencies,
  ...devDependencies,
}))(read("package.json"));
const webPackages: Record<string, string> = read("web/package.json").dependencies;
const { imports, lock }: { imports: Record<string, string>; lock?: unknown } = read("web/deno.json");

test("web/package.json lists every package that files of web/ import, as web/deno.json does", () => {
  const npm = Object.entries(imports).filter(([, to]) => to.startsWith("npm:")).map(([name, to]) =>
    [name, to.slice("npm:".length + name.length + 1)] as const
  );
  const { vite, ...used } = Object.fromEntries(npm);
  expect(used).toEqual(webPackages);
  expect(vite, "vite builds, and is imported by no file that is served").toBeDefined();
});

test("what web/ names is what the root has installed", () => {
  const named = { ...webPackages, vite: imports.vite!.slice("npm:vite@".length) };
  for (const [name, range] of Object.entries(named)) {
    expect(range.replace(/^\^/, ""), name).toBe(rootPackages[name]);
  }
});

test("Vite is of the one major that Fresh builds with", () => {
  expect(rootPackages.vite).toMatch(/^7\./);
});

test("the Fresh that is probed for is the one that web/ names", () => {
  expect(imports.fresh).toBe(`jsr:@fresh/core@${FRESH_VERSION}`);
});

test("web/ locks what it gets from JSR, beside its deno.json", () => {
  expect(lock).toBeUndefined();
});
