import { resolve } from "node:path";
import { expect, test } from "vitest";
import { SOURCES } from "./support/arrows.ts";

const ROOT = resolve(import.meta.dirname!, "..");

/** What writes to the console itself: the log, and what people start by hand. */
const MAY: readonly string[] = [
  "runtime/log.ts",
  "runtime/printable.ts",
  "runtime/script_options.ts",
  "runtime/service.ts",
];

test("services say everything through their log, which has a level, a bound, and no secret", () => {
  const rooms = /^(ingest|processor|topic|runtime|contract|serve_web|demo\/stand_in)\//;
  const writing = SOURCES.filter((path) =>
    rooms.test(path) && !/\/fixtures\/|\/testdata\//.test(path) && !MAY.includes(path) &&
    /\bconsole\.(log|error|warn|info|debug)\b|\blogError\b/.test(Deno.readTextFileSync(resolve(ROOT, path)))
  );
  expect(writing).toEqual([]);
});
