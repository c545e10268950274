import { expect, test } from "vitest";
import { openCommand, startBlock } from "./screen.ts";

const BLOCK = { seconds: "3.2", page: "http://localhost:8000", dataDir: "/data", colours: false };

test("the start is one aligned block: page, data folder, next step, keys", () => {
  expect(startBlock({ ...BLOCK, keys: true, breaks: true })).toEqual([
    "",
    "  Pipeline  ready in 3.2 s",
    "",
    "  ➜  Page:  http://localhost:8000",
    "  ➜  Data:  /data",
    "  ➜  Next:  click a button on the page, press b, and watch nothing get lost",
    "  ➜  Keys:  o open the page · b break something · q quit",
    "",
  ]);
});

test("keys that do nothing are not named", () => {
  expect(startBlock({ ...BLOCK, keys: true, breaks: false }).join("\n")).not.toMatch(/break|press b/);
  expect(startBlock({ ...BLOCK, keys: false, breaks: true }).join("\n")).toMatch(/Keys: {2}Ctrl-C stops/);
});

test("a folder's name is shown and not carried out", () => {
  expect(startBlock({ ...BLOCK, dataDir: "/a\x1b[2Jb", keys: true, breaks: true }).join("\n")).toContain(
    "/a\\x1b[2Jb",
  );
});

test.each([["darwin", "open"], ["linux", "xdg-open"], ["windows", "cmd"]] as const)(
  "on %s a page is opened by %s",
  (os, program) => expect(openCommand(os, "http://localhost:8000")[0]).toBe(program),
);
