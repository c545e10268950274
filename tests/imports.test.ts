import { describe, expect, test } from "vitest";
import { type Arrow, arrowsOf, onCircles, rowOf, SOURCES, textOf } from "./support/arrows.ts";

/**
 * Who may import whom. A path belongs to the longest row that it begins with; a row may import itself and what stands
 * beside it: rows, or single files. Types, dynamic imports and Workers count like any other import.
 */
const LOG = ["runtime", "contract", "topic", "topic/open_topic.ts"];
const BELOW_SUBJECTS = [...LOG, "processor/record", "processor/facts", "processor/loop"];
const SUBJECT = [...BELOW_SUBJECTS, "processor/sanitise", "processor/dead_letters"];
const CORE = ["contract", "processor/record", "processor/sanitise", "processor/facts/facts.ts"];
const DOORS = ["dataset/mod.ts", "offers/mod.ts", "dead_letters/mod.ts", "sanitise/mod.ts", "config.ts"];
const TOOL = ["tools/command.ts", ...BELOW_SUBJECTS, ...DOORS.map((door) => `processor/${door}`)];

const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  "runtime": [],
  "contract": ["runtime"],
  "topic": ["runtime", "contract"],
  "topic/kafka": ["runtime", "contract", "topic"],
  "topic/sqlite": ["runtime", "contract", "topic"],
  "topic/open_topic.ts": ["topic", "topic/kafka", "topic/sqlite"],

  "ingest": LOG,

  "processor/config.ts": LOG,
  "processor/sanitise": ["runtime/remember.ts"],
  "processor/record": [...LOG, "processor/sanitise"],
  "processor/facts": [...LOG, "processor/record"],
  "processor/loop": LOG,
  "processor/dead_letters": BELOW_SUBJECTS,
  "processor/dataset/core": CORE,
  "processor/dataset": [...SUBJECT, "processor/dataset/core"],
  "processor/offers/core": CORE,
  "processor/offers": [...SUBJECT, "processor/offers/core"],
  "processor/status": BELOW_SUBJECTS,
  "processor": [
    ...SUBJECT,
    "processor/config.ts",
    "processor/dataset",
    "processor/dataset/core",
    "processor/offers",
    "processor/offers/core",
    "processor/status",
  ],

  "tools/command.ts": [...LOG, "processor/config.ts"],
  ...Object.fromEntries(toolsOf(SOURCES).map((tool) => [tool, TOOL])),
  // It empties what nobody else may: the log's file, and ingest's spool.
  "tools/erase": [
    ...TOOL,
    "topic/sqlite/scrub.ts",
    "ingest/config.ts",
    "ingest/spool/drainer.ts",
    "ingest/spool/spool.ts",
  ],

  "fresh-npm": [],
  "web": ["contract"],
  "serve_web": ["runtime", "contract"],
  "demo": ["runtime", "contract", "ingest/config.ts", "processor/config.ts", "serve_web"],
  "bench": [
    ...SUBJECT,
    "topic/sqlite",
    "ingest",
    "processor",
    "processor/config.ts",
    "processor/dataset",
    "processor/offers",
    "demo",
  ],
};

/** A package, and the only row that knows it. */
const ONLY_HERE: Readonly<Record<string, string>> = { kafkajs: "topic/kafka" };

/** Arrows from before the rooms. Each one that is mended is taken off this list; when it is empty, it goes. */
const STILL_OPEN: readonly string[] = [
  "demo/main.ts → serve_web/main.ts",
  "demo/plan.ts → serve_web/main.ts",
  "processor/dataset/opening.ts → processor/dataset/partition.ts",
  "processor/dataset/writing.ts → processor/dataset/partition.ts",
  "processor/loop/loop.ts → processor/config.ts",
  "processor/loop/worker_handle.ts → processor/config.ts",
  "processor/loop/worker_handle.ts → processor/worker_main.ts",
  "processor/offers/chunk_facts.ts → processor/config.ts",
  "processor/offers/core/discount_email.ts → processor/offers/mailer.ts",
  "processor/offers/send_attempt.ts → processor/config.ts",
  "processor/offers/sender.ts → processor/config.ts",
  "processor/offers/sqlite/status.ts → processor/config.ts",
  "processor/status/api.ts → processor/dead_letters/api.ts",
  "processor/status/api.ts → processor/dead_letters/service.ts",
  "tools/dataset/export/export.ts → processor/dataset/core/path.ts",
  "tools/dataset/export/export.ts → processor/dataset/files/manifest.ts",
  "tools/dataset/export/export.ts → processor/dataset/files/reader.ts",
  "tools/dataset/line_check.ts → processor/dataset/core/line.ts",
  "tools/dataset/line_check.ts → processor/dataset/core/path.ts",
  "tools/dataset/main.ts → processor/dataset/files/reader.ts",
  "tools/dataset/stats.ts → processor/dataset/files/dataset.ts",
  "tools/dataset/stats.ts → processor/dataset/files/reader.ts",
  "tools/dataset/verify.ts → processor/dataset/core/path.ts",
  "tools/dataset/verify.ts → processor/dataset/core/state_error.ts",
  "tools/dataset/verify.ts → processor/dataset/files/reader.ts",
  "tools/dead_letters.ts → processor/dataset/files/locks.ts",
  "tools/dead_letters.ts → processor/dead_letters/list.ts",
  "tools/dead_letters.ts → processor/dead_letters/records.ts",
  "tools/dead_letters.ts → processor/dead_letters/redrive.ts",
  "tools/dead_letters.ts → processor/dead_letters/service.ts",
  "tools/erase/letters.ts → processor/dead_letters/records.ts",
  "tools/erase/loops.ts → processor/dataset/files/manifest.ts",
  "tools/erase/loops.ts → processor/dataset/owner.ts",
  "tools/erase/loops.ts → processor/main.ts",
  "tools/erase/main.ts → processor/dataset/files/locks.ts",
  "tools/erase/main.ts → processor/offers/barrier.ts",
  "tools/erase/main.ts → processor/offers/sqlite/open_reader.ts",
  "tools/erase/main.ts → processor/offers/sqlite/status_reader.ts",
  "tools/erase/person.ts → processor/offers/core/mailbox.ts",
  "tools/erase/sweep.ts → processor/offers/mail/maildir.ts",
  "tools/offers.ts → processor/offers/sqlite/status_reader.ts",
  "tools/replay/build.ts → processor/dataset/chunk.ts",
  "tools/replay/build.ts → processor/dataset/core/decision.ts",
  "tools/replay/build.ts → processor/dataset/core/dedup_window.ts",
  "tools/replay/build.ts → processor/dataset/core/path.ts",
  "tools/replay/build.ts → processor/dataset/opening.ts",
  "tools/replay/build.ts → processor/dataset/store.ts",
  "tools/replay/changes.ts → processor/dataset/core/path.ts",
  "tools/replay/changes.ts → processor/dataset/files/reader.ts",
  "tools/replay/check.ts → processor/dataset/core/path.ts",
  "tools/replay/check.ts → processor/dataset/files/dataset.ts",
  "tools/replay/check.ts → processor/dataset/files/manifest.ts",
  "tools/replay/check.ts → processor/dataset/files/reader.ts",
  "tools/replay/check.ts → processor/dataset/store.ts",
  "tools/replay/check.ts → processor/dead_letters/positions.ts",
  "tools/replay/in_place.ts → processor/dataset/files/dataset.ts",
  "tools/replay/in_place.ts → processor/dataset/files/locks.ts",
  "tools/replay/in_place.ts → processor/dataset/files/manifest.ts",
  "tools/replay/in_place.ts → processor/dataset/owner.ts",
  "tools/replay/in_place.ts → processor/dataset/store.ts",
  "tools/replay/letters.ts → processor/dead_letters/positions.ts",
  "tools/replay/live.ts → processor/dataset/core/path.ts",
  "tools/replay/live.ts → processor/dataset/core/state_error.ts",
  "tools/replay/live.ts → processor/dataset/files/manifest.ts",
  "tools/replay/live.ts → processor/dataset/store.ts",
  "tools/replay/main.ts → processor/dataset/files/locks.ts",
  "tools/replay/rebuild.ts → processor/dataset/core/state_error.ts",
  "tools/replay/rebuild.ts → processor/dataset/files/manifest.ts",
  "tools/replay/rebuild.ts → processor/dataset/files/partition.ts",
  "tools/replay/rebuild.ts → processor/dataset/store.ts",
  "tools/replay/rebuild.ts → processor/dead_letters/positions.ts",
  "tools/replay/swap.ts → processor/dataset/core/state_error.ts",
  "tools/replay/swap.ts → processor/dataset/files/locks.ts",
  "tools/replay/swap.ts → processor/dataset/files/manifest.ts",
  "tools/replay/to.ts → processor/dataset/files/dataset.ts",
  "tools/replay/tree.ts → processor/dataset/files/manifest.ts",
  "tools/replay/tree.ts → processor/dataset/store.ts",
  "tools/suppress.ts → processor/offers/core/mailbox.ts",
];

/** A file at the top of tools, or a folder, is a command; no command imports another. */
function toolsOf(paths: readonly string[]): string[] {
  const tools = paths.flatMap((path) => /^tools\/[^/]+/.exec(path)?.[0] ?? []);
  return [...new Set(tools)].filter((tool) => tool !== "tools/command.ts");
}

const ROWS = Object.keys(MAY_IMPORT);
const isOurs = ({ to }: Arrow) => /\.tsx?$/.test(to);
const isMain = (path: string) => /(^|\/)(worker_)?main\.tsx?$/.test(path);
const isCore = (path: string) => /^processor\/(\w+\/core|sanitise)\//.test(path);
const asLine = ({ from, to }: Arrow) => `${from} → ${to}`;

function isAllowed(arrow: Arrow, all: readonly Arrow[]): boolean {
  const { from, to } = arrow;
  const [row, other] = [rowOf(from, ROWS), rowOf(to, ROWS)];
  if (!isOurs(arrow)) return (ONLY_HERE[to] ?? row) === row;
  // web's own main is what its build begins with; a main starts its Workers.
  if (isMain(to)) return isMain(from) && arrow.kind === "worker";
  if (other === "") return row === "bench" && to.startsWith("tests/support/");
  if (row === "web" && other === "contract") return !all.some((next) => next.from === to);
  return row === other || MAY_IMPORT[row]!.includes(other) || MAY_IMPORT[row]!.includes(to);
}

const ARROWS = SOURCES.flatMap((from) => arrowsOf(from));
const closed = ARROWS.filter((arrow) => !STILL_OPEN.includes(asLine(arrow)));

describe("who may import whom", () => {
  test("every source has a row, and every row a source", () => {
    expect(SOURCES.filter((path) => rowOf(path, ROWS) === "")).toEqual([]);
    expect(ROWS.filter((row) => !SOURCES.some((path) => rowOf(path, ROWS) === row))).toEqual([]);
  });

  test("no arrow but the table's", () => {
    expect(closed.filter((arrow) => !isAllowed(arrow, ARROWS)).map(asLine)).toEqual([]);
  });

  test("what is still open is there, and forbidden or part of a circle", () => {
    const circle = onCircles(ARROWS);
    const open = ARROWS.filter((arrow) =>
      !isAllowed(arrow, ARROWS) || (circle.includes(arrow.from) && circle.includes(arrow.to))
    );
    expect(STILL_OPEN.filter((line) => !open.map(asLine).includes(line))).toEqual([]);
  });

  test("no circles: of files, of rows", () => {
    const ours = closed.filter(isOurs);
    expect(onCircles(ours)).toEqual([]);
    const rows = ours.map(({ from, to }) => ({ from: rowOf(from, ROWS), to: rowOf(to, ROWS) }));
    expect(onCircles(rows.filter(({ from, to }) => from !== to))).toEqual([]);
  });

  test("what decides has no clock, no chance, no Deno and no promise", () => {
    const impure =
      /\bDeno\.|\basync (function|\()|\bawait |\bPromise[<.(]|Math\.random|random(UUID|Bytes)|Date\.now\(|new Date\(\)/;
    const code = (path: string) => textOf(path).replace(/\/\*[^]*?\*\/|\/\/.*$/gm, "");
    expect(SOURCES.filter(isCore).filter((path) => impure.test(code(path)))).toEqual([]);
  });

  test("no folder holds more than 20 sources", () => {
    const folders = Map.groupBy(SOURCES, (path) => path.slice(0, path.lastIndexOf("/")));
    expect([...folders].filter(([, files]) => files.length > 20).map(([folder]) => folder)).toEqual([]);
  });
});

describe("the rules catch", () => {
  test.each([
    ["runtime/clock.ts", 'import { x } from "../contract/names.ts";'],
    ["topic/kafka/log.ts", 'import type { X } from "../sqlite/log.ts";'],
    ["ingest/app.ts", 'const { x } = await import("kafkajs");'],
    ["processor/sanitise/mod.ts", 'import { systemClock } from "../../runtime/clock.ts";'],
    ["processor/dataset/writer.ts", 'export { x } from "../offers/core/offer.ts";'],
    ["processor/dataset/core/line.ts", 'import type { TopicLog } from "../../../topic/topic.ts";'],
    ["processor/offers/core/offer.ts", 'import type { X } from "../store.ts";'],
    ["processor/loop/loop.ts", 'new Worker(new URL("../worker_main.ts", import.meta.url).href);'],
    ["processor/main.ts", 'import { lag } from "../tools/lag.ts";'],
    ["tools/lag.ts", 'import { offersCommand } from "./offers.ts";'],
    ["tools/erase/main.ts", 'import {\n  type A,\n  b,\n} from "../../processor/dataset/writer.ts";'],
    ["demo/plan.ts", 'import { startIngest } from "../ingest/main.ts";'],
    ["web/client.ts", 'import { readEnvelope } from "../contract/envelope.ts";'],
    ["ingest/app.ts", 'import "../tests/support/until.ts";'],
  ])("in %s: %s", (from, text) => {
    const [arrow] = arrowsOf(from, text);
    expect(isAllowed(arrow!, ARROWS)).toBe(false);
  });

  test("a circle, and who stands on it", () => {
    const arrows = [["a", "b"], ["b", "c"], ["c", "b"], ["c", "d"]].map(([from, to]) => ({
      from: from!,
      to: to!,
    }));
    expect(onCircles(arrows)).toEqual(["b", "c"]);
  });
});
