import { page } from "fresh";
import type { OfferListing } from "../../../contract/processor_api.ts";
import { Empty, Unavailable } from "../../components/Empty.tsx";
import { offerPageQuery, offerQuestion } from "../../core/offer_funnel.ts";
import OfferList from "../../islands/OfferList.tsx";
import { framed } from "../../server/services.ts";
import { askProcessor } from "../../server/upstream.ts";
import { define, settings } from "../../utils.ts";

/** Its distinct_ids are read from the topic, for which the processor takes a second at most. */
const LIMIT_MS = 5_000;

export const handler = define.handlers({
  async GET(ctx) {
    const query = offerPageQuery(ctx.url.searchParams);
    const asked = askProcessor<OfferListing>(offerQuestion(query), {
      processor: settings(),
      limitMs: LIMIT_MS,
    });
    const listing = await framed(ctx.state, "Offers", asked);
    const at = new Date().toISOString();
    if (listing.ok) return page({ listing: listing.value, query, at, hasNoView: false });
    const hasNoView = listing.message.includes('"not_ready"');
    return page({ listing: null, query, at, hasNoView }, { status: 503 });
  },
});

export default define.page<typeof handler>(function Offers({ data, state }) {
  const { listing, query, at, hasNoView } = data;
  return (
    <div class="page">
      <div>
        <h1>Offers</h1>
        <p class="note">
          Distinct uses are counted for each person. Enough of them earn one offer, which waits, is checked
          once more, and goes out as one mail.
        </p>
      </div>
      {listing
        ? <OfferList initial={listing} query={query} at={at} />
        : hasNoView
        ? (
          <Empty title="The processor is making its view of the offers.">
            It reads the facts in the log from their beginning. Load this page again in a moment.
          </Empty>
        )
        : <Unavailable what="Offers are kept in the log" seenAt={state.services?.seen.processor} />}
    </div>
  );
});
