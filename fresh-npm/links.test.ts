import { expect, test } from "vitest";
import { linkMarks } from "./links.ts";

const current = (href: string, at: string, props: Record<string, unknown> = {}) =>
  linkMarks({ href, ...props }, new URL(at, "http://app.test"));
const PAGE = { "data-current": "true", "aria-current": "page" };
const ABOVE = { "data-ancestor": "true", "aria-current": "true" };

test.each([
  ["/a/b", "/a/b", PAGE],
  ["/a/b/", "/a/b", PAGE],
  ["/a/b", "/a/b/", PAGE],
  ["/a/b#part", "/a/b?view=text", PAGE],
  ["/", "/", PAGE],
  ["/a", "/a/b", ABOVE],
  ["/", "/a/b", ABOVE],
  ["/a", "/ab", null],
  ["/a/b/c", "/a/b", null],
  ["b", "/a/b", null],
  ["http://app.test/a", "/a", null],
  ["#part", "/a", null],
])("a link to %s on %s", (href, at, marks) => {
  expect(current(href, at)).toEqual(marks);
});

test("a link with another query than the page's counts as one above the page", () => {
  expect(current("/a?view=text", "/a?view=text")).toEqual(PAGE);
  expect(current("/a?view=text", "/a?view=html")).toEqual(ABOVE);
  expect(current("/a?view=text", "/a")).toEqual(ABOVE);
});

test("a link that says aria-current itself is left as it is", () => {
  for (const own of ["false", "page", false, null]) {
    expect(current("/a", "/a", { "aria-current": own })).toBe(null);
  }
  expect(current("/a", "/a", { "aria-current": undefined })).toEqual(PAGE);
});
