import { pathSegment } from "../../../server/path.ts";
import { passThrough } from "../../../server/upstream.ts";
import { define, settings } from "../../../utils.ts";

/** One mail's source. */
export const handler = define.handlers({
  GET: (ctx) => passThrough(`/api/mails/${encodeURIComponent(pathSegment(ctx.url, 2))}`, settings()),
});
