import { page } from "fresh";
import type { OfferView } from "../../../contract/processor_api.ts";
import { Empty, Unavailable } from "../../components/Empty.tsx";
import OfferLive from "../../islands/OfferLive.tsx";
import { pathSegment } from "../../server/path.ts";
import { framed } from "../../server/services.ts";
import { askProcessor } from "../../server/upstream.ts";
import { define, settings } from "../../utils.ts";

export const handler = define.handlers({
  async GET(ctx) {
    const id = pathSegment(ctx.url, 1);
    const asked = askProcessor<OfferView>(`/api/offers/${encodeURIComponent(id)}`, { processor: settings() });
    const answer = await framed(ctx.state, "Offer", asked);
    if (answer.ok) return page({ id, offer: answer.value, away: false });
    const away = answer.status !== 404;
    return page({ id, offer: null, away }, { status: away ? 503 : 404 });
  },
});

export default define.page<typeof handler>(function Offer({ data: { id, offer, away }, state }) {
  return (
    <div class="page narrow">
      <p class="crumb">
        <a href="/offers" aria-current="false">Offers</a>
      </p>
      <h1>
        Offer <span class="quiet">of</span> <code class="mono break" dir="auto">{id}</code>
      </h1>
      {offer
        ? <OfferLive id={id} initial={offer} />
        : away
        ? <Unavailable what="Offers are kept in the log" seenAt={state.services?.seen.processor} />
        : (
          <Empty title="Nobody of this id has used anything yet.">
            The first use brings a count, the fifth one an offer. Become a user on the{" "}
            <a href="/" aria-current="false">live page</a>.
          </Empty>
        )}
    </div>
  );
});
