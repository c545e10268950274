import { download } from "../../../server/dataset.ts";
import { define, settings } from "../../../utils.ts";

/** One file of the dataset, as its manifest has it. */
export const handler = define.handlers({
  GET: (ctx) => download(`/api/dataset/download${ctx.url.search}`, { ...settings(), method: ctx.req.method }),
});
