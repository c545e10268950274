/** Joins an app with what the build found for it; called by the built `_fresh/server.js` and by nothing else. */
import type { ComponentType } from "preact";
import type { App } from "./app.ts";
import type { RouteModule } from "./file_routes.ts";
import { type ClientEntry, type Island, registerIslands } from "./render.ts";
import { registerStaticFiles, type StaticFile } from "./static_files.ts";

export type Build<State> = {
  /** Modules by path from the app's root, e.g. `/routes/index.tsx`. */
  readonly routes: Readonly<Record<string, RouteModule<State>>>;
  readonly islands: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly client: ClientEntry;
  /** By path of the island's module. */
  readonly islandFiles: Readonly<Record<string, ClientEntry>>;
  readonly files: Readonly<Record<string, StaticFile>>;
  readonly clientFolder: URL;
};

/** What `Deno.serve` and `deno serve` take. */
export function createServer<State>(
  app: App<State>,
  build: Build<State>,
): { fetch: ReturnType<App<State>["handler"]> } {
  registerIslands(build.client, islandsOf(build));
  registerStaticFiles(build.files, build.clientFolder);
  app.setFileRoutes(Object.fromEntries(
    Object.entries(build.routes).map(([path, module]) => [path.replace(/^\/routes\/|\.tsx?$/g, ""), module]),
  ));
  return { fetch: app.handler() };
}

function* islandsOf<State>({ islands, islandFiles }: Build<State>): Generator<[ComponentType, Island]> {
  for (const [path, module] of Object.entries(islands)) {
    const name = path.replace(/^.*\/|\.tsx?$/g, "");
    for (const [exportName, component] of Object.entries(module)) {
      if (typeof component === "function") {
        yield [component as ComponentType, { ...islandFiles[path]!, name, exportName }];
      }
    }
  }
}
