import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

/**
 * The scripts that posthog-js loads afterwards from `/static/`: those that its own package brings, of the version that is
 * installed here whatever version a page asks for. Only names of that folder's listing are ever opened.
 */
export type ClientScripts = {
  /** The script's or source map's text by its name, such as `surveys.js`; null where the package has none of that name. */
  read(name: string): Promise<Uint8Array<ArrayBuffer> | null>;
};

/** Looks at the package's folder once; keeps what was asked for in memory, at most all of it (some 21 MB). */
export function openClientScripts(): ClientScripts {
  // Its main file lies in dist/, beside the others.
  const folder = dirname(createRequire(import.meta.url).resolve("posthog-js"));
  const names = new Set(readdirSync(folder).filter((name) => /\.js(\.map)?$/.test(name)));
  const kept = new Map<string, Uint8Array<ArrayBuffer>>();
  return {
    async read(name) {
      if (!names.has(name)) return null;
      const text = kept.get(name) ?? await Deno.readFile(join(folder, name));
      kept.set(name, text);
      return text;
    },
  };
}
