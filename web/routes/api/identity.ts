import { proofsOf } from "../../server/identity.ts";
import { define, settings } from "../../utils.ts";

/** In the demo web is the application's own server too; a real one answers this for the user of its session only. */
export const handler = define.handlers({
  POST: (ctx) => proofsOf(ctx.req, settings()),
});
