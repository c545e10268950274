/**
 * What lies along a path: at each step its `_app`, its layout, its error page and its middlewares, from the root down.
 * A route is given those that were registered before it.
 */
import type { AnyPage, Context } from "./context.ts";
import { HttpError } from "./error.ts";
import type { Middleware, PageResponse, RouteHandler } from "./handlers.ts";

/** A page with or without handlers; handlers without a page answer by themselves. */
export type Route<State> = {
  readonly handler?: RouteHandler<unknown, State>;
  readonly component?: AnyPage<State>;
};

/** What lies at one path and is inherited by the paths below it: middlewares, layout, app wrapper and error page. */
export class PathTree<State> {
  readonly middlewares: Middleware<State>[] = [];
  readonly #children = new Map<string, PathTree<State>>();
  app: AnyPage<State> | null = null;
  layout: AnyPage<State> | null = null;
  errorPage: Route<State> | null = null;

  constructor(readonly parent: PathTree<State> | null = null) {}

  /** The node at a path, made where it is missing; `*` and `/` are this one. */
  at(path: string): PathTree<State> {
    return path.split("/").reduce<PathTree<State>>((node, step) => node.#child(step), this);
  }

  #child(step: string): PathTree<State> {
    if (step === "" || step === "*") return this;
    const child = this.#children.get(step) ?? new PathTree(this);
    this.#children.set(step, child);
    return child;
  }

  /** The middlewares of a request that ends here, outermost first. */
  chain(): Middleware<State>[] {
    return [...this.parent?.chain() ?? [], this.#surround(), ...this.middlewares];
  }

  /** Puts this step's `_app` and layout around what follows, and its error page in place of what it throws. */
  #surround(): Middleware<State> {
    const { app, layout, errorPage } = this;
    return async (ctx) => {
      const outside = ctx.surroundings;
      ctx.surroundings = {
        app: app ?? outside.app,
        layouts: layout ? [...outside.layouts, layout] : outside.layouts,
      };
      try {
        return await ctx.next();
      } catch (error) {
        if (!errorPage) throw error;
        if (!(error instanceof HttpError) || error.status >= 500) console.error(error);
        ctx.error = error;
        return await renderRoute(ctx, errorPage, error instanceof HttpError ? error.status : 500);
      } finally {
        ctx.surroundings = outside;
      }
    };
  }
}

/** Runs middlewares in order, each around the next; `last` lies inside them all. */
export function runChain<State>(
  ctx: Context<State>,
  chain: readonly Middleware<State>[],
  last: () => Promise<Response>,
): Promise<Response> {
  const next = chain.reduceRight<() => Promise<Response>>((inner, middleware) => async () => {
    ctx.next = inner;
    const response = await middleware(ctx);
    if (!(response instanceof Response)) {
      throw new TypeError(
        `Cannot answer ${ctx.req.method} ${ctx.url.pathname}: a handler returned no Response.`,
      );
    }
    return response;
  }, last);
  return next();
}

/** Runs the route's handler, then renders its page. A method without handler is passed on, and so ends in 404. */
export async function renderRoute<State>(
  ctx: Context<State>,
  route: Route<State>,
  status = 200,
): Promise<Response> {
  const result = await handle(ctx, route);
  if (result instanceof Response) return result;
  const element = route.component
    ? await ctx.element(route.component, { data: result.data, Component: () => null })
    : null;
  if (element instanceof Response) return element;
  return ctx.render(element, { status: result.status ?? status, headers: result.headers });
}

async function handle<State>(
  ctx: Context<State>,
  { handler, component }: Route<State>,
): Promise<Response | PageResponse<unknown>> {
  if (typeof handler === "function") return await handler(ctx);
  const method = ctx.req.method as keyof typeof handler;
  const byMethod = handler?.[method] ?? (method === "HEAD" ? handler?.GET : undefined);
  if (byMethod) return await byMethod(ctx);
  const pageAlone = component && (!handler || method === "GET" || method === "HEAD");
  return pageAlone ? { data: undefined } : await ctx.next();
}
