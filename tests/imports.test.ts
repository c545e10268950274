import { describe, expect, test } from "vitest";
import { type Arrow, arrowsOf, onCircles, rowOf, SOURCES, textOf } from "./support/arrows.ts";

/**
 * Who may import whom. A path belongs to the longest row that it begins with; a row may import itself and what stands
 * beside it: rows, or single files. Types, dynamic imports and Workers count like any other import.
 */
const LOG = ["runtime", "runtime/telemetry", "contract", "topic", "topic/open_topic.ts"];
const BELOW_SUBJECTS = [...LOG, "processor/record", "processor/facts", "processor/loop"];
const SUBJECT = [...BELOW_SUBJECTS, "processor/sanitise", "processor/dead_letters"];
const FACTS = ["processor/facts/facts.ts", "processor/facts/encode.ts"];
const CORE = ["contract", "processor/record", "processor/sanitise", ...FACTS];
const DOORS = ["dataset/mod.ts", "offers/mod.ts", "dead_letters/mod.ts", "sanitise/mod.ts", "config.ts"];
const TOOL = ["tools/command.ts", ...BELOW_SUBJECTS, ...DOORS.map((door) => `processor/${door}`)];

const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  "runtime": [],
  "runtime/telemetry": [],
  "contract": ["runtime"],
  "topic": ["runtime", "runtime/telemetry", "contract"],
  "topic/kafka": ["runtime", "contract", "topic"],
  "topic/sqlite": ["runtime", "contract", "topic"],
  "topic/open_topic.ts": ["contract", "topic", "topic/kafka", "topic/sqlite"],

  "ingest": LOG,

  "processor/config.ts": [
    ...LOG,
    "processor/dataset/objects/config.ts",
    "processor/offers/policy.ts",
    "processor/offers/core",
  ],
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

  "tools/command.ts": [...LOG, "processor/config.ts", "processor/dataset/mod.ts"],
  ...Object.fromEntries(toolsOf(SOURCES).map((tool) => [tool, TOOL])),
  // It empties what nobody else may, the log's file and ingest's spool, and does a processor's work where none runs.
  "tools/erase": [
    ...TOOL,
    "processor/loop_messages.ts",
    "processor/prepare.ts",
    "processor/start_loop.ts",
    "topic/sqlite/file.ts",
    "topic/sqlite/scrub.ts",
    "ingest/config.ts",
    "ingest/spool/drainer.ts",
    "ingest/spool/spool.ts",
  ],

  "fresh-npm": [],
  "web": ["contract", "runtime/clock.ts", "runtime/room.ts"],
  "serve_web": ["runtime", "contract"],
  "demo": [
    "runtime",
    "runtime/telemetry",
    "contract",
    "ingest/config.ts",
    "processor/config.ts",
    "serve_web",
  ],
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
const ONLY_HERE: Readonly<Record<string, string>> = {
  "@aws-sdk/client-s3": "processor/dataset",
  kafkajs: "topic/kafka",
  "@opentelemetry/api": "runtime/telemetry",
  "prom-client": "runtime/telemetry",
};

/** A file at the top of tools, or a folder, is a command; no command imports another. */
function toolsOf(paths: readonly string[]): string[] {
  const tools = paths.flatMap((path) => /^tools\/[^/]+/.exec(path)?.[0] ?? []);
  return [...new Set(tools)].filter((tool) => tool !== "tools/command.ts");
}

const ROWS = Object.keys(MAY_IMPORT);
const isOurs = ({ to }: Arrow) => /\.tsx?$/.test(to);
const isMain = (path: string) => /(^|\/)main\.tsx?$/.test(path);
const isWorker = (path: string) => /^processor\/workers\/(?!run\.ts$)/.test(path);
const isCore = (path: string) => /^processor\/(\w+\/core|sanitise)\//.test(path);
const asLine = ({ from, to }: Arrow) => `${from} → ${to}`;

function isAllowed(arrow: Arrow, all: readonly Arrow[]): boolean {
  const { from, to } = arrow;
  const [row, other] = [rowOf(from, ROWS), rowOf(to, ROWS)];
  if (!isOurs(arrow)) return (ONLY_HERE[to] ?? row) === row;
  // One file starts the processor's Workers, for its main and for who does its work.
  if (isMain(to) || isWorker(to)) return arrow.kind === "worker" && from === "processor/start_loop.ts";
  if (other === "") return row === "bench" && to.startsWith("tests/support/");
  if (row === "web" && other === "contract") return !all.some((next) => next.from === to);
  return row === other || MAY_IMPORT[row]!.includes(other) || MAY_IMPORT[row]!.includes(to);
}

const ARROWS = SOURCES.flatMap((from) => arrowsOf(from));

describe("who may import whom", () => {
  test("every source has a row, and every row a source", () => {
    expect(SOURCES.filter((path) => rowOf(path, ROWS) === "")).toEqual([]);
    expect(ROWS.filter((row) => !SOURCES.some((path) => rowOf(path, ROWS) === row))).toEqual([]);
  });

  test("no arrow but the table's", () => {
    expect(ARROWS.filter((arrow) => !isAllowed(arrow, ARROWS)).map(asLine)).toEqual([]);
  });

  test("no circles: of files, of rows", () => {
    const ours = ARROWS.filter(isOurs);
    expect(onCircles(ours)).toEqual([]);
    const rows = ours.map(({ from, to }) => ({ from: rowOf(from, ROWS), to: rowOf(to, ROWS) }));
    expect(onCircles(rows.filter(({ from, to }) => from !== to))).toEqual([]);
  });

  test("the client of a bucket is loaded later, by whoever has one: nobody outside `objects/` is led to it at once", () => {
    const atOnce = ARROWS.filter(({ kind }) => kind === "value");
    const led = new Set(["@aws-sdk/client-s3"]);
    for (let before = 0; before < led.size;) {
      before = led.size;
      for (const { from, to } of atOnce) if (led.has(to)) led.add(from);
    }
    expect(led.size).toBeGreaterThan(2);
    expect([...led].filter((path) => !/^(@|processor\/dataset\/objects\/)/.test(path))).toEqual([]);
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
    ["processor/loop/loop.ts", 'new Worker(new URL("../workers/offer_view.ts", import.meta.url).href);'],
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
