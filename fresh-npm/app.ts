/** Fresh's App: middlewares and routes in the order they are added, and the handler that serves them. */
import { Context } from "./context.ts";
import { HttpError } from "./error.ts";
import { addFileRoutes, type RouteModules } from "./file_routes.ts";
import type { Middleware } from "./handlers.ts";
import { PathTree, renderRoute, runChain } from "./path_tree.ts";
import { type Method, Router } from "./router.ts";

type Step<State> = (tree: PathTree<State>, router: Router<Middleware<State>[]>) => void;

/** Where a request comes from, for tests and callers that do not say. */
const NOWHERE: Deno.ServeHandlerInfo = {
  remoteAddr: { transport: "tcp", hostname: "127.0.0.1", port: 0 },
  completed: Promise.resolve(),
};

/** Fresh's `App`: collects middlewares and routes, and serves them by `handler()` or `listen()`. */
export class App<State> {
  readonly #steps: Step<State>[] = [];
  #fileRoutes: RouteModules<State> = {};

  /** Adds middlewares, to all paths. */
  use(...middlewares: Middleware<State>[]): this {
    return this.#add((tree) => tree.middlewares.push(...middlewares));
  }

  get(path: string, ...handlers: Middleware<State>[]): this {
    return this.#route("GET", path, handlers);
  }
  post(path: string, ...handlers: Middleware<State>[]): this {
    return this.#route("POST", path, handlers);
  }
  all(path: string, ...handlers: Middleware<State>[]): this {
    return this.#route("ALL", path, handlers);
  }

  /** Puts the routes of `routes/` here. */
  fsRoutes(): this {
    return this.#add((tree, router) => {
      for (const { pattern, directory, route } of addFileRoutes(tree, this.#fileRoutes)) {
        router.add("ALL", pattern, [...tree.at(directory).chain(), (ctx) => renderRoute(ctx, route)]);
      }
    });
  }

  /** Called by the built server, before `handler()`. */
  setFileRoutes(modules: RouteModules<State>): void {
    this.#fileRoutes = modules;
  }

  /**
   * The function that answers requests; what is added later is not part of it. The built server calls this once, so a
   * subclass that overrides it stands in front of the router; nothing else does.
   */
  handler(): (request: Request, info?: Deno.ServeHandlerInfo) => Promise<Response> {
    const tree = new PathTree<State>();
    const router = new Router<Middleware<State>[]>();
    for (const step of this.#steps) step(tree, router);
    const unmatched = tree.chain();
    return (request, info = NOWHERE) => answer(request, { info, router, unmatched });
  }

  #route(method: Method | "ALL", path: string, handlers: Middleware<State>[]): this {
    return this.#add((tree, router) => router.add(method, path, [...tree.at(path).chain(), ...handlers]));
  }

  #add(step: Step<State>): this {
    this.#steps.push(step);
    return this;
  }
}

async function answer<State>(
  req: Request,
  { info, router, unmatched }: {
    info: Deno.ServeHandlerInfo;
    router: Router<Middleware<State>[]>;
    unmatched: Middleware<State>[];
  },
): Promise<Response> {
  const url = new URL(req.url);
  url.pathname = url.pathname.replaceAll(/\/+/g, "/");
  // Outside the try, as in Fresh: a parameter that cannot be decoded rejects, no middleware sees it, and the server
  // that called answers a bare 500.
  const { pattern, params, item } = router.match(req.method, url);
  // Throws before there is a promise, as Fresh's does: `ctx.next().catch(…)` does not catch it, `await` in a try does.
  const last = () => {
    throw new HttpError(pattern !== null && !item ? 405 : 404);
  };
  const ctx = new Context<State>(req, info, { url, route: pattern, params, next: last });
  try {
    const response = await runChain(ctx, item ?? unmatched, last);
    return req.method === "HEAD" ? new Response(null, response) : response;
  } catch (error) {
    return plainError(error);
  }
}

const WORDS: Readonly<Record<number, string>> = { 404: "Not Found", 405: "Method Not Allowed" };

function plainError(error: unknown): Response {
  if (!(error instanceof HttpError) || error.status >= 500) console.error(error);
  if (!(error instanceof HttpError)) return new Response("Internal Server Error", { status: 500 });
  return new Response(error.message || WORDS[error.status] || `Error ${error.status}`, {
    status: error.status,
  });
}
