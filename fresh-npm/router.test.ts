import { expect, test } from "vitest";
import { toPattern } from "./file_routes.ts";
import { Router } from "./router.ts";

const match = (router: Router<string>, method: string, path: string) =>
  router.match(method, new URL(path, "http://app.test"));

test("an exact path wins over an earlier pattern, patterns match in the order they were added", () => {
  const router = new Router<string>();
  router.add("GET", "/a/:id", "first");
  router.add("GET", "/a/*", "second");
  router.add("GET", "/a/b", "exact");
  expect(match(router, "GET", "/a/b")).toEqual({ pattern: "/a/b", params: {}, item: "exact" });
  expect(match(router, "GET", "/a/c")).toEqual({ pattern: "/a/:id", params: { id: "c" }, item: "first" });
  expect(match(router, "GET", "/a/c/d").item).toBe("second");
});

test("HEAD falls back to GET, no other method does", () => {
  const router = new Router<string>();
  router.add("GET", "/a", "get");
  expect(match(router, "HEAD", "/a").item).toBe("get");
  expect(match(router, "POST", "/a")).toEqual({ pattern: "/a", params: {}, item: undefined });
});

test("an exact path answers with and without a slash at its end, a pattern only as it is written", () => {
  const router = new Router<string>();
  for (const path of ["/", "/a", "/b/", "/a/:id", "/rest/:path*", "/all/*"]) router.add("GET", path, path);
  const pattern = (path: string) => match(router, "GET", path).pattern;
  expect(["/", "/a", "/a/", "/b", "/b/"].map(pattern)).toEqual(["/", "/a", "/a", "/b/", "/b/"]);
  expect(["/a/1/", "/rest/x/", "/none/"].map(pattern)).toEqual([null, null, null]);
  expect(match(router, "GET", "/all/x/")).toEqual({ pattern: "/all/*", params: { 0: "x/" }, item: "/all/*" });
});

test("parameters are decoded but for what separates, and one that cannot be decoded is an error", () => {
  const router = new Router<string>();
  router.add("GET", "/a/:id", "a");
  const id = (path: string) => match(router, "GET", path).params.id;
  expect(id("/a/caf%C3%A9%20x")).toBe("café x");
  expect(id("/a/a%2Fb%40c")).toBe("a%2Fb%40c");
  expect(() => id("/a/%E0%A4%A")).toThrow(URIError);
  expect(match(router, "POST", "/a/%E0%A4%A").item).toBeUndefined();
});

test.each([
  ["index", "/"],
  ["notes/index", "/notes"],
  ["notes/[id]", "/notes/:id"],
  ["[a]/[b].json", "/:a/:b.json"],
  ["files/[...path]", "/files/:path*"],
  ["(group)/page", "/page"],
])("routes/%s answers %s", (file, pattern) => {
  expect(toPattern(file)).toBe(pattern);
});
