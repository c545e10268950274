import { passThrough } from "../../../server/upstream.ts";
import { define, settings } from "../../../utils.ts";

/** A page of the mails that were written as files, newest first. */
export const handler = define.handlers({
  GET: (ctx) => passThrough(`/api/mails${ctx.url.search}`, settings()),
});
