/** What every handler, middleware and page gets: one Context per request. */
import { type AnyComponent, type ComponentType, h, isValidElement } from "preact";
import { jsxTemplate } from "preact/jsx-runtime";
import { type Element, PageRender } from "./render.ts";

/** What a page, layout or `_app` gets as props. */
export type PageProps<Data = unknown, State = unknown> =
  & Pick<Context<State>, "url" | "req" | "route" | "params" | "info" | "state" | "error">
  & {
    data: Data;
    /** What lies inside: the page for a layout, the layouts for `_app`. */
    Component: ComponentType;
  };

// Pages, layouts and `_app` differ in their data only, which whoever registers them knows.
// deno-lint-ignore no-explicit-any
export type AnyPage<State> = AnyComponent<PageProps<any, State>>;

/** What stands around a page: set while its path is walked down. */
type Surroundings<State> = { app: AnyPage<State> | null; layouts: readonly AnyPage<State>[] };

/** Fresh's own name for where a rendered response carries its nonce; middlewares that write a policy read it there. */
export const NONCE = Symbol.for("__freshNonce");

/** Fresh's `Context`: one request on its way through middlewares, handler and page. */
export class Context<State> {
  /** The request's URL, without doubled slashes in its path. */
  readonly url: URL;
  /** The pattern that matched, e.g. `/offers/:id`; null where none did. */
  readonly route: string | null;
  readonly params: Record<string, string>;
  /** Shared by all middlewares and the page of this request. */
  readonly state: State = {} as State;
  /** What was thrown, on an error page; else null. */
  error: unknown = null;
  /** Calls what comes after this middleware. */
  next: () => Promise<Response>;
  surroundings: Surroundings<State> = { app: null, layouts: [] };

  constructor(
    readonly req: Request,
    readonly info: Deno.ServeHandlerInfo,
    { url, route, params, next }: {
      url: URL;
      route: string | null;
      params: Record<string, string>;
      next: () => Promise<Response>;
    },
  ) {
    this.url = url;
    this.route = route;
    this.params = params;
    this.next = next;
  }

  /** Sends the browser elsewhere; doubled slashes of a path are made one, so that no path leads to another host. */
  redirect(pathOrUrl: string, status = 302): Response {
    const [, path = "", rest = ""] = /^([^?#]*)(.*)$/s.exec(pathOrUrl) ?? [];
    const location = path.startsWith("/") ? path.replaceAll(/[/\\]+/g, "/") + rest : pathOrUrl;
    return new Response(null, { status, headers: { location } });
  }

  text(content: string, init?: ResponseInit): Response {
    return new Response(content, init);
  }

  /** Renders the page inside its layouts and `_app` as a whole document. */
  async render(page: Element | null, init: ResponseInit = {}): Promise<Response> {
    if (page !== null && !isValidElement(page)) {
      throw new TypeError("Cannot render the page: ctx.render() takes a JSX element.");
    }
    let inner: Element | null = page;
    for (const layout of this.surroundings.layouts.toReversed()) {
      const child = inner;
      const outer = await this.element(layout, { data: undefined, Component: () => child });
      if (outer instanceof Response) return outer;
      inner = outer;
    }
    const render = new PageRender(crypto.randomUUID().replaceAll("-", ""), this.url);
    // The page comes first: what it writes into the state is there when `_app` is rendered.
    const body = jsxTemplate([render.part(inner)]) as Element;
    if (!this.surroundings.app) throw new Error("Cannot render the page: there is no routes/_app.tsx.");
    const document = await this.element(this.surroundings.app, { data: undefined, Component: () => body });
    if (document instanceof Response) return document;
    const headers = new Headers(init.headers);
    headers.set("Content-Type", "text/html; charset=utf-8");
    const response = new Response(render.document(document), { ...init, headers });
    Object.defineProperty(response, NONCE, { value: render.nonce });
    return response;
  }

  /** The element of a page, layout or `_app`; async ones run here, and may answer by themselves. */
  async element(
    component: AnyPage<State>,
    { data, Component }: { data: unknown; Component: ComponentType },
  ): Promise<Element | null | Response> {
    const { url, req, route, params, info, state, error } = this;
    const props = { url, req, route, params, info, state, error, data, Component };
    if (component.constructor.name !== "AsyncFunction") return h(component, props);
    return await (component as unknown as (props: unknown) => Promise<Element | null | Response>)(props);
  }
}
