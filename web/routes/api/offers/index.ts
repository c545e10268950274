import type { OfferView } from "../../../../contract/processor_api.ts";
import { askProcessor, passThrough } from "../../../server/upstream.ts";
import { define, settings } from "../../../utils.ts";

/** The processor takes a second for it where the log is slow. */
const LIST_MS_MAX = 5_000;

/** A page of everybody; with `?distinct_id=…`: that person's offer as a list of one, or of none: somebody new is no error. */
export const handler = define.handlers({
  GET: async (ctx) => {
    if (!ctx.url.searchParams.has("distinct_id")) {
      return await passThrough(`/api/offers${ctx.url.search}`, settings(), { limitMs: LIST_MS_MAX });
    }
    const id = ctx.url.searchParams.get("distinct_id") ?? "";
    const answer = await askProcessor<OfferView>(`/api/offers/${encodeURIComponent(id)}`, {
      processor: settings(),
    });
    return Response.json({
      offers: answer.ok ? [answer.value] : [],
      known: answer.ok || answer.status === 404,
    }, { headers: { "cache-control": "no-store" } });
  },
});
