/** Builds a Fresh app on npm packages: `deno run -A fresh-npm/build.ts [APP_FOLDER]`, by default web/. */
import { fileURLToPath } from "node:url";
import { createBuilder } from "vite";
import { fresh } from "./vite.ts";

/** Builds the app in this directory into its `_fresh/`, which is replaced; rejects where Vite cannot build it. */
export async function buildApp(root: string): Promise<void> {
  const builder = await createBuilder({ root, configFile: false, logLevel: "warn", plugins: [fresh()] });
  await builder.buildApp();
}

if (import.meta.main) await buildApp(Deno.args[0] ?? fileURLToPath(new URL("../web", import.meta.url)));
