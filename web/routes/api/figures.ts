import { passThrough } from "../../server/upstream.ts";
import { define, settings } from "../../utils.ts";

/** The processor's figures. */
export const handler = define.handlers({
  GET: () => passThrough("/api/figures", settings()),
});
