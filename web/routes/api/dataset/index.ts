import { passThrough } from "../../../server/upstream.ts";
import { define, settings } from "../../../utils.ts";

/** The dataset's partitions, or with `file` and `lines` lines of one file. */
export const handler = define.handlers({
  GET: (ctx) => passThrough(`/api/dataset${ctx.url.search}`, settings()),
});
