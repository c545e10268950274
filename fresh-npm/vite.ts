/**
 * `@fresh/plugin-vite`: builds a Fresh app into `_fresh/`: `client/` for the browser and `server.js`, whose default
 * export is `{ fetch }`. The browser's part is built first, because the server's names its files.
 */
import { createHash } from "node:crypto";
import { existsSync, globSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Plugin, Rollup, ViteBuilder } from "vite";
import { precompile } from "./precompile.ts";
import type { ClientEntry } from "./render.ts";
import type { StaticFile } from "./static_files.ts";

const CLIENT = "fresh:client";
const SERVER = "fresh:server";
const HERE = fileURLToPath(new URL(".", import.meta.url));
const MODULES: Readonly<Record<string, string>> = { "fresh": "mod.ts", "fresh/runtime": "runtime.ts" };
/** One copy of each for the app and for this folder, whatever else is installed beside the app. */
const SHARED = /^(preact|preact-render-to-string|@preact\/signals|devalue)(\/|$)/;
const TESTS = "!**/*.test.{ts,tsx}";

type IslandFiles = Record<string, ClientEntry>;

/** The Vite plugin that builds islands for the browser and everything else for the server, as Fresh's own does. */
export function fresh(): Plugin {
  let root = "";
  let client: ClientEntry = { script: "", preloads: [], styles: [] };
  let islandFiles: IslandFiles = {};
  let precompiled: ReadonlyMap<string, string> = new Map();
  return {
    name: "fresh-npm",
    enforce: "pre",
    config(config) {
      root = config.root ?? process.cwd();
      return configFor(root);
    },
    async buildApp(builder) {
      rmSync(join(root, "_fresh"), { recursive: true, force: true });
      ({ client, islandFiles } = clientFiles(await build(builder, "client"), root));
      precompiled = await precompile(root);
      await build(builder, "ssr");
    },
    resolveId(id) {
      if (id === CLIENT || id === SERVER) return `\0${id}`;
      if (Object.hasOwn(MODULES, id)) return join(HERE, MODULES[id]!);
      if (SHARED.test(id)) return this.resolve(id, join(HERE, "mod.ts"), { skipSelf: true });
    },
    load(id) {
      if (this.environment.name === "ssr" && precompiled.has(id)) return precompiled.get(id);
      if (id === `\0${CLIENT}`) return clientEntry(root);
      if (id === `\0${SERVER}`) {
        return serverEntry({ client, islandFiles, files: listFiles(join(root, "_fresh/client")) });
      }
    },
  };
}

function configFor(root: string) {
  const islands = islandSources(root).map((
    path,
  ) => [`island-${path.replace(/^.*\/|\.tsx?$/g, "")}`, join(root, path)]);
  return {
    appType: "custom" as const,
    publicDir: "static",
    esbuild: { jsx: "automatic" as const, jsxImportSource: "preact" },
    define: { __FRESH_BUILD_ID__: JSON.stringify(buildId(join(root, "static"))) },
    builder: {},
    environments: {
      client: {
        build: {
          outDir: "_fresh/client",
          modulePreload: { polyfill: false },
          rollupOptions: {
            input: { client: CLIENT, ...Object.fromEntries(islands) },
            preserveEntrySignatures: "exports-only" as const,
          },
        },
      },
      ssr: {
        resolve: { noExternal: true as const },
        build: {
          ssr: true,
          outDir: "_fresh",
          emptyOutDir: false,
          copyPublicDir: false,
          rollupOptions: {
            input: { server: SERVER },
            output: { entryFileNames: "[name].js", chunkFileNames: "server/[name]-[hash].js" },
          },
        },
      },
    },
  };
}

function islandSources(root: string): string[] {
  return globSync("islands/**/*.{ts,tsx}", { cwd: root }).filter((path) => !/\.test\.tsx?$/.test(path))
    .sort();
}

function clientEntry(root: string): string {
  const own = existsSync(join(root, "client.ts")) ? `import "/client.ts";\n` : "";
  return `${own}export { boot } from ${JSON.stringify(join(HERE, "client.ts"))};`;
}

function serverEntry(
  found: { client: ClientEntry; islandFiles: IslandFiles; files: Record<string, StaticFile> },
): string {
  return `
    import { createServer } from ${JSON.stringify(join(HERE, "server.ts"))};
    import { app } from "/main.ts";
    const routes = import.meta.glob(["/routes/**/*.{ts,tsx}", "${TESTS}"], { eager: true });
    const islands = import.meta.glob(["/islands/**/*.{ts,tsx}", "${TESTS}"], { eager: true });
    const clientFolder = new URL("./client/", import.meta.url);
    export default createServer(app, { routes, islands, clientFolder, ...${JSON.stringify(found)} });`;
}

async function build(builder: ViteBuilder, environment: "client" | "ssr"): Promise<Rollup.OutputChunk[]> {
  const output = await builder.build(builder.environments[environment]!) as Rollup.RollupOutput;
  return output.output.filter((item) => item.type === "chunk");
}

/** URLs of what the browser needs for the entry and for each island. */
function clientFiles(
  chunks: Rollup.OutputChunk[],
  root: string,
): { client: ClientEntry; islandFiles: IslandFiles } {
  const needs = (entry: Rollup.OutputChunk) => {
    const all = withImports(entry, chunks);
    const styles = all.flatMap((chunk) => [...chunk.viteMetadata?.importedCss ?? []]);
    return {
      script: `/${entry.fileName}`,
      preloads: all.slice(1).map((chunk) => `/${chunk.fileName}`),
      styles: [...new Set(styles)].map((file) => `/${file}`),
    };
  };
  const islandFiles: IslandFiles = {};
  for (const path of islandSources(root)) {
    const chunk = chunks.find((chunk) => chunk.isEntry && chunk.facadeModuleId === join(root, path));
    if (!chunk) throw new Error(`Cannot build the island ${path}: the bundle holds no entry for it.`);
    islandFiles[`/${path}`] = needs(chunk);
  }
  const entry = chunks.find((chunk) => chunk.isEntry && chunk.facadeModuleId === `\0${CLIENT}`)!;
  return { client: needs(entry), islandFiles };
}

function withImports(entry: Rollup.OutputChunk, chunks: Rollup.OutputChunk[]): Rollup.OutputChunk[] {
  const seen = new Set([entry]);
  for (const chunk of seen) {
    for (const name of chunk.imports) {
      const imported = chunks.find((candidate) => candidate.fileName === name);
      if (imported) seen.add(imported);
    }
  }
  return [...seen];
}

/**
 * What the environment says, as with Fresh; else it depends on the static files alone, so that the same sources give the
 * same build. Never empty: Fresh without Git's history has an empty one, and then old static files stay for a year.
 */
function buildId(folder: string): string {
  return process.env.DENO_DEPLOY_BUILD_ID || shortHash(JSON.stringify(listFiles(folder)));
}

/** Every file of a folder, by URL path. */
function listFiles(folder: string): Record<string, StaticFile> {
  const files = globSync("**/*", { cwd: folder, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = files.map((entry) =>
    join(entry.parentPath, entry.name).slice(folder.length).replaceAll("\\", "/")
  );
  return Object.fromEntries(
    paths.sort().map((path) => [path, {
      hash: shortHash(readFileSync(join(folder, path))),
      type: typeOf(path),
      immutable: /^\/assets\/.+-[\w-]{8}\.\w+$/.test(path),
    }]),
  );
}

const shortHash = (bytes: string | Uint8Array) =>
  createHash("sha256").update(bytes).digest("hex").slice(0, 16);

const TYPES: Readonly<Record<string, string>> = {
  css: "text/css; charset=utf-8",
  html: "text/html; charset=utf-8",
  ico: "image/x-icon",
  jpg: "image/jpeg",
  js: "text/javascript; charset=utf-8",
  json: "application/json",
  map: "application/json",
  png: "image/png",
  svg: "image/svg+xml",
  txt: "text/plain; charset=utf-8",
  webmanifest: "application/manifest+json",
  woff2: "font/woff2",
};

const typeOf = (path: string) => TYPES[path.slice(path.lastIndexOf(".") + 1)] ?? "application/octet-stream";
