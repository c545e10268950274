import { dirname, join, relative, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { SOURCES, textOf } from "./support/arrows.ts";

/** What the pages say of each other and of the program: links that lead somewhere, variables that are read. */

const ROOT = resolve(import.meta.dirname!, "..");
const FOLDERS = [".", "docs", "docs/decisions", "fresh-npm", "deploy"];
const PAGES = FOLDERS.flatMap((folder) =>
  [...entries(join(ROOT, folder))].filter(({ name }) => name.endsWith(".md"))
    .map(({ name }) => relative(ROOT, join(ROOT, folder, name)))
);

function entries(folder: string): Iterable<Deno.DirEntry> {
  try {
    return Deno.readDirSync(folder);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

const withoutCode = (text: string) => text.replace(/^( *)```[^]*?^\1```/gm, "").replace(/`[^`\n]*`/g, "");

/** Where a page leads to: links, pictures, and their addresses in HTML. */
const linksOf = (page: string) =>
  [...withoutCode(textOf(page)).matchAll(/\]\(([^)\s]+)\)|\b(?:src|srcset|href)="([^"]+)"/g)]
    .map(([, markdown, html]) => (markdown ?? html)!);

/** A heading's anchor as GitHub makes it. */
const anchorsOf = (page: string) =>
  [...textOf(page).replace(/^( *)```[^]*?^\1```/gm, "").matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    heading!.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .replace(/ /g, "-")
  );

function isThere(path: string): boolean {
  try {
    return Deno.statSync(join(ROOT, path)) !== null;
  } catch {
    return false;
  }
}

describe("a page", () => {
  test.each(PAGES)("%s leads to files and headings that are there", (page) => {
    const dead = linksOf(page).filter((link) => {
      if (/^(https?|mailto):/.test(link)) return !URL.canParse(link);
      const [path, anchor] = link.split("#");
      const target = path === "" ? page : relative(ROOT, resolve(ROOT, dirname(page), path!));
      return !isThere(target) || (anchor !== undefined && !anchorsOf(target).includes(anchor));
    });
    expect(dead).toEqual([]);
  });

  test("of docs/ is reached from the list of all pages", () => {
    const listed = linksOf("docs/README.md").map((link) => join("docs", link.split("#")[0]!));
    expect(PAGES.filter((page) => page.startsWith("docs/") && !listed.includes(page)))
      .toEqual(["docs/README.md"]);
  });

  test("that a source names is there", () => {
    const named = SOURCES.flatMap((path) =>
      [...textOf(path).matchAll(/\bdocs\/[\w./-]+\.md\b/g)].map(([page]) => `${path}: ${page}`)
    );
    expect(named.length).toBeGreaterThan(5);
    expect(named.filter((line) => !isThere(line.split(": ")[1]!))).toEqual([]);
  });
});

describe("the README", () => {
  test("is read in half a minute: one command before its picture, at most 80 lines, five links to go on with", () => {
    const readme = textOf("README.md");
    expect(readme.trimEnd().split("\n").length).toBeLessThanOrEqual(80);
    const before = readme.slice(0, readme.indexOf("<picture>"));
    expect([...before.matchAll(/^npx .*$/gm)].map(([line]) => line)).toEqual(["npx -y deno task demo"]);
    const further = readme.slice(readme.indexOf("## Where to go on"));
    expect(further.match(/\]\(docs\/[\w]+\.md\)/g)).toHaveLength(5);
  });

  test("has a moving picture below 1 MB, and one that stands still", () => {
    const gif = Deno.readFileSync(join(ROOT, "docs/live.gif"));
    expect(gif.length).toBeLessThan(1_000_000);
    expect(new TextDecoder().decode(gif.subarray(0, 6))).toBe("GIF89a");
    const png = new DataView(Deno.readFileSync(join(ROOT, "docs/live.png")).buffer);
    const said = /<img src="docs\/live\.gif" width="(\d+)" height="(\d+)"/.exec(textOf("README.md"))!;
    const sizes = new DataView(gif.buffer);
    expect([sizes.getUint16(6, true), sizes.getUint16(8, true)]).toEqual([Number(said[1]), Number(said[2])]);
    expect([png.getUint32(16), png.getUint32(20)]).toEqual([Number(said[1]), Number(said[2])]);
  });
});

describe("docs/configuration.md", () => {
  /** What the demo tells its own services, what tests set, and what is not ours. */
  const NOT_OURS = /^(DEMO_\w+|FAULT_POINT|DENO_\w+|NODE_\w+|JSR_URL|PATH|HOME|TMPDIR|TERM|OTEL_\w+)$/;
  const READ =
    /\b(?:env|environment|Deno\.env)\s*\.(?:get|optional|text|integer|port|durations?|size|oneOf|list|flag|url)\(\s*"([A-Z][A-Z0-9_]+)"|\b(?:environment|env)\.([A-Z][A-Z0-9_]+)\b/g;
  const read = new Set(
    SOURCES.filter((path) => !path.startsWith("bench/")).flatMap((path) =>
      [...textOf(path).matchAll(READ)].map(([, quoted, plain]) => (quoted ?? plain)!)
    ).filter((name) => !NOT_OURS.test(name)),
  );
  const page = textOf("docs/configuration.md");
  const rows = page.split("\n").filter((line) => line.startsWith("| `"));

  test("names every variable that the program reads", () => {
    expect(read.size).toBeGreaterThan(40);
    expect([...read].filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
  });

  test("names no variable that nobody reads", () => {
    const named = rows.flatMap((row) =>
      [...row.split("|")[1]!.matchAll(/`([A-Z][A-Z0-9_]+)`/g)].map(([, name]) => name!)
    );
    const all = SOURCES.map(textOf).join("\n");
    expect(named.length).toBeGreaterThan(40);
    expect(named.filter((name) => !read.has(name) && !new RegExp(`\\b${name}\\b`).test(all))).toEqual([]);
  });
});

describe("docs/operations.md", () => {
  const rows = textOf("docs/operations.md").split("\n").filter((line) => /^\| (?!what broke|---)/.test(line))
    .map((line) => line.replaceAll("\\|", "¦").split("|").slice(1, -1).map((cell) => cell.trim()));
  const spans = (cell: string) => [...cell.matchAll(/`([^`]+)`/g)].map(([, text]) => text!);
  /** The program's texts as they are said: pieces joined, values as `…`. */
  const said = SOURCES.map(textOf).join("\n")
    .replace(/["`]\s*\+\s*(?:\/\/.*\n\s*)?["`]/g, "")
    .replace(/\$\{(?:[^{}]|\{[^{}]*\})*\}/g, "…");

  test("has three cells in each of its rows", () => {
    expect(rows.length).toBeGreaterThan(20);
    expect(rows.filter((cells) => cells.length !== 3)).toEqual([]);
  });

  test.each(
    rows.flatMap(([broke, ...cells]) =>
      cells.flatMap(spans).filter((text) => text.includes(" ") && !/^(deno task|skip) /.test(text))
        .map((text) => [text, broke!])
    ),
  )("quotes what the program says: %s (%s)", (text) => {
    expect(said.includes(text)).toBe(true);
  });

  test("names tasks, variables and metrics that are there", () => {
    const { tasks } = JSON.parse(textOf("deno.json"));
    const page = textOf("docs/operations.md");
    const named = [...page.matchAll(/deno task ([\w:-]+)/g)].map(([, task]) => task!);
    expect(named.filter((task) => !(task in tasks))).toEqual([]);
    const settings = [...page.matchAll(/`([A-Z][A-Z0-9]*_[A-Z0-9_]+)`|`(processor_\w+|ingest_\w+)`/g)].map((
      [, a, b],
    ) => (a ?? b)!);
    const isThere = (name: string) =>
      said.includes(name) || said.includes(name.replace(/^(processor|ingest)_|_total$/g, ""));
    expect(settings.filter((name) => !isThere(name))).toEqual([]);
  });
});
