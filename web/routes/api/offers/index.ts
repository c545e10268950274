import type { OfferView } from "../../../../contract/processor_api.ts";
import { askProcessor } from "../../../server/upstream.ts";
import { define, settings } from "../../../utils.ts";

/** `?distinct_id=…`: that person's offer as a list of one, or of none: somebody new is no error. */
export const handler = define.handlers({
  GET: async (ctx) => {
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
