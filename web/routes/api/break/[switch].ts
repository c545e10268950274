import { breakBy } from "../../../server/demo.ts";
import { define, settings } from "../../../utils.ts";

/** Throws one of the demo's switches; 404 outside the demo. */
export const handler = define.handlers({
  POST: (ctx) => breakBy(ctx.params.switch!, { req: ctx.req, info: ctx.info, ...settings() }),
});
