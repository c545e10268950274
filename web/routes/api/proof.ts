import { proofOf } from "../../server/demo.ts";
import { define, settings } from "../../utils.ts";

/** The demo's figures side by side, and in words whether they agree; 404 outside the demo. */
export const handler = define.handlers({
  GET: (ctx) => proofOf({ req: ctx.req, info: ctx.info }, settings()),
});
