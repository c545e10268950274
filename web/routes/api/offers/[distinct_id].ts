import { pathSegment } from "../../../server/path.ts";
import { passThrough } from "../../../server/upstream.ts";
import { define, settings } from "../../../utils.ts";

/** The offer of one person; 404 if nobody of this id has used anything. */
export const handler = define.handlers({
  GET: (ctx) => passThrough(`/api/offers/${encodeURIComponent(pathSegment(ctx.url, 2))}`, settings()),
});
