import { expect, test } from "vitest";
import { addFileRoutes } from "./file_routes.ts";
import { PathTree } from "./path_tree.ts";

const page = { default: () => null };

test("literal steps come before parameters, and what takes the rest comes last", () => {
  const files = ["[...all]", "a/[id]/new", "a/[...rest]", "[x]/b", "a/[id]", "a/new"];
  const routes = addFileRoutes(new PathTree(), Object.fromEntries(files.map((file) => [file, page])));
  expect(routes.map(({ pattern }) => pattern))
    .toEqual(["/a/new", "/a/:id/new", "/a/:id", "/a/:rest*", "/:x/b", "/:all*"]);
});

test("what fresh-npm does not know is refused when the app starts, and named", () => {
  const load = (file: string, module: object) => () => addFileRoutes(new PathTree(), { [file]: module });
  expect(load("_404", page)).toThrow("routes/_404");
  expect(load("a", { ...page, config: {} })).toThrow('does not know its export "config"');
  expect(load("empty", {})).toThrow("exports nothing");
});
