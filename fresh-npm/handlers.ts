/** What routes and middlewares are, as types, and the helpers that infer them. */
import type { AnyComponent } from "preact";
import type { Context, PageProps } from "./context.ts";
import type { Method } from "./router.ts";

export type Middleware<State> = (ctx: Context<State>) => Response | Promise<Response>;

/** What a handler returns to have its page rendered. */
export type PageResponse<Data> = { data: Data; status?: number; headers?: HeadersInit };

export type HandlerFn<Data, State> = (
  ctx: Context<State>,
) => Response | PageResponse<Data> | Promise<Response | PageResponse<Data>>;
export type HandlerByMethod<Data, State> = { [M in Method]?: HandlerFn<Data, State> };
export type RouteHandler<Data, State> = HandlerFn<Data, State> | HandlerByMethod<Data, State>;

/** Renders the route's page with this data; status 200 unless said otherwise. */
export function page<Data>(data: Data, options?: Omit<PageResponse<Data>, "data">): PageResponse<Data> {
  return { ...options, data };
}

/** Fresh's `createDefine`: functions that return what they get and only tell the compiler its type, that of `State` in it. */
export function createDefine<State>() {
  return {
    handlers: <Data, Handlers extends RouteHandler<Data, State> = RouteHandler<Data, State>>(
      handlers: Handlers,
    ) => handlers,
    page: <
      // deno-lint-ignore no-explicit-any
      Handler extends RouteHandler<any, State> = never,
      Data = Handler extends HandlerFn<infer D, State> ? D
        : Handler extends HandlerByMethod<infer D, State> ? D
        : never,
    >(page: AnyComponent<PageProps<Data, State>>) => page,
    layout: (layout: AnyComponent<PageProps<unknown, State>>) => layout,
    middleware: <M extends Middleware<State> | Middleware<State>[]>(middleware: M) => middleware,
  };
}
