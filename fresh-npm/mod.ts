/** `fresh`: the part of Fresh 2's public interface that web/ uses, on npm packages only. See fresh-npm/README.md. */
export { App } from "./app.ts";
export { HttpError } from "./error.ts";
export { createDefine, page } from "./handlers.ts";
export { staticFiles } from "./static_files.ts";
