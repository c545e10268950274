/** `fresh`: the part of Fresh 2's public interface that web/ uses, on npm packages only. See README.md. */
export { App } from "./app.ts";
export type { Context, PageProps } from "./context.ts";
export { HttpError } from "./error.ts";
export {
  createDefine,
  type Define,
  type HandlerByMethod,
  type HandlerFn,
  type Middleware,
  page,
  type PageResponse,
  type RouteHandler,
} from "./handlers.ts";
export { staticFiles } from "./static_files.ts";
