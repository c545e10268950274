/** Files of `static/` and the browser's part of the build, as they were listed when the app was built. */
import type { Context } from "./context.ts";
import type { Middleware } from "./handlers.ts";
import { BUILD_ID, BUILD_ID_PARAMETER } from "./runtime.ts";

export type StaticFile = {
  /** sha-256 of the bytes, shortened; the ETag. */
  readonly hash: string;
  readonly type: string;
  /** Its name holds a hash of its content, so it never changes. */
  readonly immutable: boolean;
};

let files: ReadonlyMap<string, StaticFile> = new Map();
let folder = new URL("file:///");

/** Tells the middleware what there is; the built server does this once. `base`: URL of the folder, ending in `/`. */
export function registerStaticFiles(listed: Readonly<Record<string, StaticFile>>, base: URL): void {
  files = new Map(Object.entries(listed));
  folder = base;
}

/** Middleware that serves static files, with ETag; what is no file goes on to the routes. */
export function staticFiles<State>(): Middleware<State> {
  return async (ctx) => {
    const path = decoded(ctx.url.pathname);
    const file = files.get(path);
    if (!file) return await ctx.next();
    if (ctx.req.method !== "GET" && ctx.req.method !== "HEAD") {
      return new Response("Method Not Allowed", { status: 405, headers: { allow: "GET, HEAD" } });
    }
    const wanted = ctx.url.searchParams.get(BUILD_ID_PARAMETER);
    if (wanted !== null && wanted !== BUILD_ID) return withoutBuildId(ctx.url);
    return await serve(ctx, { path, file, immutable: file.immutable || wanted !== null });
  };
}

async function serve<State>(
  ctx: Context<State>,
  { path, file, immutable }: { path: string; file: StaticFile; immutable: boolean },
): Promise<Response> {
  const etag = `"${file.hash}"`;
  const headers = {
    "content-type": file.type,
    etag,
    "cache-control": immutable ? "public, max-age=31536000, immutable" : "no-cache",
  };
  if (isKnown(ctx.req.headers.get("if-none-match"), etag)) {
    return new Response(null, { status: 304, headers });
  }
  if (ctx.req.method === "HEAD") return new Response(null, { headers });
  try {
    const place = new URL(`.${path.split("/").map(encodeURIComponent).join("/")}`, folder);
    return new Response(await Deno.readFile(place), { headers });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return await ctx.next(); // Another build has taken this one's place on the disk.
  }
}

/** Compared weakly: the server compresses bodies, which makes the ETag a weak one. */
function isKnown(ifNoneMatch: string | null, etag: string): boolean {
  return ifNoneMatch !== null &&
    ifNoneMatch.split(",").some((tag) => ["*", etag].includes(tag.trim().replace(/^W\//, "")));
}

/** A page of an older build asks for a file of that build; it gets today's, which must not be kept under that name. */
function withoutBuildId(url: URL): Response {
  const current = new URL(url);
  current.searchParams.delete(BUILD_ID_PARAMETER);
  return new Response(null, { status: 307, headers: { location: current.pathname + current.search } });
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}
