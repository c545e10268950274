import { dirname, join, normalize, relative, resolve } from "node:path";

/** The imports of our sources, read from their text. */
export type Arrow = {
  readonly from: string;
  /** A path below the root, or a package's name. */
  readonly to: string;
  /** `later`: only when that line runs; `worker`: a module that is named by its URL. */
  readonly kind: "value" | "type" | "later" | "worker";
};

const ROOT = resolve(import.meta.dirname!, "../..");
const NO_SOURCES = [
  "tests",
  "docs",
  "data",
  "fixtures",
  "testdata",
  "contract_suite",
  "_fresh",
  "node_modules",
];

/** Every source below the root: no tests, and nothing that only tests use. */
export const SOURCES: readonly string[] = [...Deno.readDirSync(ROOT)]
  .filter(({ name, isDirectory }) => isDirectory && !NO_SOURCES.includes(name) && !name.startsWith("."))
  .flatMap(({ name }) => sourcesIn(name));

function sourcesIn(folder: string): string[] {
  return [...Deno.readDirSync(join(ROOT, folder))].flatMap(({ name, isDirectory }) => {
    if (isDirectory) return NO_SOURCES.includes(name) ? [] : sourcesIn(`${folder}/${name}`);
    return /\.tsx?$/.test(name) && !/\.(test|d)\.tsx?$/.test(name) ? [`${folder}/${name}`] : [];
  });
}

export const textOf = (path: string) => Deno.readTextFileSync(join(ROOT, path));

/** `import … from "x"`, `export … from "x"`, `import "x"`, `import("x")`, `new URL("x.ts", import.meta.url)`. */
const IMPORTS =
  /^(?:import|export)\s+(?:(type\s)?([^;"']*?)\sfrom\s+)?["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']|new URL\(\s*["']([^"']+\.tsx?)["'],\s*import\.meta\.url/gm;

export function arrowsOf(from: string, text: string = textOf(from)): Arrow[] {
  return [...text.matchAll(IMPORTS)].map(([, type, names, named, dynamic, url]) => {
    const specifier = (named ?? dynamic ?? url)!;
    const isOurs = url !== undefined || specifier.startsWith(".");
    const to = isOurs ? relative(ROOT, normalize(join(ROOT, dirname(from), specifier))) : specifier;
    if (url !== undefined) return { from, to, kind: "worker" };
    if (dynamic !== undefined) return { from, to, kind: "later" };
    return { from, to, kind: type !== undefined || areTypes(names) ? "type" : "value" };
  });
}

/** `{ type A, type B }` */
function areTypes(names: string | undefined): boolean {
  const each = /^\{([^}]*)\}$/.exec(names?.trim() ?? "")?.[1]?.split(",").map((name) => name.trim());
  return each?.filter(Boolean).every((name) => name.startsWith("type ")) ?? false;
}

/** The longest of `rows` that is the path or a folder above it; `""` where there is none. */
export function rowOf(path: string, rows: readonly string[]): string {
  const found = rows.filter((row) => path === row || path.startsWith(`${row}/`));
  return found.sort((a, b) => b.length - a.length)[0] ?? "";
}

/** Every point from which one comes back to it. */
export function onCircles(arrows: readonly { readonly from: string; readonly to: string }[]): string[] {
  const next = Map.groupBy(arrows, ({ from }) => from);
  const comesBack = (start: string) => {
    const seen = new Set<string>();
    const open = [start];
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      for (const { to } of next.get(at) ?? []) {
        if (to === start) return true;
        if (!seen.has(to)) open.push(to);
        seen.add(to);
      }
    }
    return false;
  };
  return [...next.keys()].filter(comesBack).sort();
}
