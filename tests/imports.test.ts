import { dirname, join, normalize, relative, resolve } from "node:path";
import { describe, expect, test } from "vitest";

/**
 * The house's one rule about arrows: runtime ← contract ← core ← loops ← adapters (port types only) ← main; services
 * import contract and topic; tools import the processor's pieces, and nothing imports tools.
 */
const ROOT = resolve(import.meta.dirname!, "..");

type Arrow = { readonly from: string; readonly to: string; readonly typeOnly: boolean };

function sources(dir: string): string[] {
  return [...Deno.readDirSync(join(ROOT, dir))].flatMap((entry) => {
    const path = join(dir, entry.name);
    if (entry.isDirectory) {
      return ["fixtures", "contract_suite", "_fresh", "node_modules"].includes(entry.name)
        ? []
        : sources(path);
    }
    return /\.tsx?$/.test(entry.name) && !/\.(test|d)\.tsx?$/.test(entry.name) ? [path] : [];
  });
}

const FOLDERS = [
  "runtime",
  "contract",
  "topic",
  "ingest",
  "processor",
  "tools",
  "web",
  "fresh-npm",
  "serve_web",
  "demo",
];

const arrows: Arrow[] = FOLDERS.flatMap(sources).flatMap((from) => {
  const text = Deno.readTextFileSync(join(ROOT, from));
  const imports = text.matchAll(
    /^(import|export)\s+(type\s+)?[^;"']*?from\s+["']([^"']+)["']|\bimport\(["']([^"']+)["']\)/gm,
  );
  return [...imports].map((match) => ({
    from,
    to: place(from, (match[3] ?? match[4])!),
    typeOnly: match[2] !== undefined,
  }));
});

/** A path below the root, or a package's name. */
function place(from: string, specifier: string): string {
  return specifier.startsWith(".")
    ? relative(ROOT, normalize(join(ROOT, dirname(from), specifier)))
    : specifier;
}

const isIn = (folder: string) => (path: string) => path.startsWith(`${folder}/`);
const isLocal = (path: string) => FOLDERS.some((folder) => isIn(folder)(path)) || isIn("tests")(path);

function forbidden(from: (path: string) => boolean, mayImport: (arrow: Arrow) => boolean): string[] {
  return arrows.filter((arrow) => from(arrow.from) && isLocal(arrow.to) && !mayImport(arrow))
    .map(({ from, to }) => `${from} → ${to}`);
}

const within = (...folders: string[]) => ({ to }: Arrow) => folders.some((folder) => isIn(folder)(to));
/** What decides and does no I/O; the kinds of facts lie beside their topic. */
const isCore = (path: string) =>
  /^processor\/(?:\w+\/core|record|sanitise)\//.test(path) || path === "processor/facts/facts.ts";
const isAdapter = (path: string) => /^processor\/\w+\/(?:files|sqlite|mail)\//.test(path);
const isProcessorLoop = (path: string) => isIn("processor")(path) && !isCore(path) && !isAdapter(path);

describe("arrows between folders", () => {
  test("there are sources to look at, and the reader of imports finds their arrows", () => {
    expect(arrows.length).toBeGreaterThan(100);
  });

  test("runtime imports nothing of ours", () => {
    expect(forbidden(isIn("runtime"), within("runtime"))).toEqual([]);
  });

  test("contract imports runtime at most", () => {
    expect(forbidden(isIn("contract"), within("runtime", "contract"))).toEqual([]);
  });

  test("topic imports contract and runtime at most", () => {
    expect(forbidden(isIn("topic"), within("runtime", "contract", "topic"))).toEqual([]);
  });

  test("ingest imports contract, topic and runtime at most", () => {
    expect(forbidden(isIn("ingest"), within("runtime", "contract", "topic", "ingest"))).toEqual([]);
  });

  test("the processor imports contract, topic and runtime at most", () => {
    expect(forbidden(isIn("processor"), within("runtime", "contract", "topic", "processor"))).toEqual([]);
  });

  test("core imports core and contract at most, no package but zod, and no clock or chance", () => {
    const allowed = (arrow: Arrow) => within("contract", "runtime")(arrow) || isCore(arrow.to);
    expect(forbidden(isCore, allowed)).toEqual([]);
    const pure = ["zod", "node:buffer", "node:crypto"];
    const packages = arrows.filter(({ from, to }) => isCore(from) && !isLocal(to) && !pure.includes(to));
    expect(packages.map(({ from, to }) => `${from} → ${to}`)).toEqual([]);
    const impure = /Math\.random|randomUUID|randomBytes|Date\.now\(|new Date\(\)|\bDeno\./;
    const withClockOrChance = sources("processor").filter(isCore).filter((path) =>
      impure.test(Deno.readTextFileSync(join(ROOT, path)))
    );
    expect(withClockOrChance).toEqual([]);
  });

  test("adapters import no loop, but for types", () => {
    const allowed = (arrow: Arrow) => !isProcessorLoop(arrow.to) || arrow.typeOnly;
    expect(forbidden(isAdapter, allowed)).toEqual([]);
  });

  test("nothing imports tools but tools", () => {
    expect(forbidden((path) => !isIn("tools")(path), (arrow) => !isIn("tools")(arrow.to))).toEqual([]);
  });

  test("web imports itself and, of contract, only files that import nothing", () => {
    const bare = (path: string) => !arrows.some(({ from }) => from === path);
    expect(forbidden(isIn("web"), ({ to }) => isIn("web")(to) || (isIn("contract")(to) && bare(to)))).toEqual(
      [],
    );
  });

  test("one file imports kafkajs", () => {
    expect(new Set(arrows.filter(({ to }) => to === "kafkajs").map(({ from }) => from)).size)
      .toBeLessThanOrEqual(1);
    expect(arrows.filter(({ from, to }) => to === "kafkajs" && from !== "topic/kafka/log.ts")).toEqual([]);
  });
});
