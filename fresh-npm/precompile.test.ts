import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { precompile } from "./precompile.ts";

let root = "";
beforeEach(async () => {
  root = await Deno.makeTempDir({ prefix: "fresh_npm_" });
  await Deno.writeTextFile(`${root}/page.tsx`, 'export default () => <p><a href="/">home</a></p>;');
});
afterEach(async () => {
  vi.restoreAllMocks();
  await Deno.remove(root, { recursive: true });
});

const page = async () => (await precompile(root)).get(`${root}/page.tsx`);

test("without a deno.json of its own, an app is compiled as Fresh's scaffold: links stay elements", async () => {
  expect(await page()).toMatch(/"<p>",\s+"<\/p>"/);
  expect(await page()).toContain('_jsx("a"');
});

test("an app's deno.json says how its JSX is compiled, comments in it or not", async () => {
  const compilerOptions = { jsx: "precompile", jsxImportSource: "preact", jsxPrecompileSkipElements: ["p"] };
  await Deno.writeTextFile(
    `${root}/deno.json`,
    `{ // Links are no elements here.\n "compilerOptions": ${JSON.stringify(compilerOptions)} }`,
  );
  expect(await page()).toContain('<a href="/">home</a>');
  expect(await page()).toContain('_jsx("p"');
});

test("tests, packages and what was built are left out", async () => {
  for (const path of ["node_modules/x", "_fresh", "routes"]) {
    await Deno.mkdir(`${root}/${path}`, { recursive: true });
    await Deno.writeTextFile(`${root}/${path}/a.tsx`, "export {};");
  }
  await Deno.writeTextFile(`${root}/page.test.tsx`, "export {};");
  expect([...(await precompile(root)).keys()].sort()).toEqual([`${root}/page.tsx`, `${root}/routes/a.tsx`]);
});

test("a Deno without `deno transpile` is a warning, and JSX stays plain", async () => {
  vi.spyOn(Deno, "execPath").mockReturnValue("/bin/false");
  const warned = vi.spyOn(console, "warn").mockImplementation(() => {});
  expect(await precompile(root)).toEqual(new Map());
  expect(warned).toHaveBeenCalledExactlyOnceWith(expect.stringContaining("JSX stays plain"));
});
