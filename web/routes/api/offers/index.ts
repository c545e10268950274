import { offersOf } from "../../../server/offers.ts";
import { define, settings } from "../../../utils.ts";

/** `?distinct_id=…`, several times for several people: their offers. Somebody new is no error: null. */
export const handler = define.handlers({
  GET: async (ctx) => {
    const answer = await offersOf(ctx.url.searchParams.getAll("distinct_id"), settings());
    return Response.json(answer, { headers: { "cache-control": "no-store" } });
  },
});
