import { offersOf } from "../../../server/offers.ts";
import { passThrough } from "../../../server/upstream.ts";
import { define, settings } from "../../../utils.ts";

/** The processor takes a second for it where the log is slow. */
const LIST_MS_MAX = 5_000;

/** A page of everybody; with `?distinct_id=…`, several times for several people: their offers. Somebody new is no error: null. */
export const handler = define.handlers({
  GET: async (ctx) => {
    if (!ctx.url.searchParams.has("distinct_id")) {
      return await passThrough(`/api/offers${ctx.url.search}`, settings(), { limitMs: LIST_MS_MAX });
    }
    const answer = await offersOf(ctx.url.searchParams.getAll("distinct_id"), settings());
    return Response.json(answer, { headers: { "cache-control": "no-store" } });
  },
});
