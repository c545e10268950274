import { SEARCH_MS_MAX } from "../../../server/dataset.ts";
import { passThrough } from "../../../server/upstream.ts";
import { define, settings } from "../../../utils.ts";

/** Lines that hold a text, a look at a time. */
export const handler = define.handlers({
  GET: (ctx) => passThrough(`/api/dataset/search${ctx.url.search}`, settings(), { limitMs: SEARCH_MS_MAX }),
});
