import { page } from "fresh";
import type { MailListing } from "../../../contract/processor_api.ts";
import { Unavailable } from "../../components/Empty.tsx";
import MailList from "../../islands/MailList.tsx";
import { framed } from "../../server/services.ts";
import { askProcessor } from "../../server/upstream.ts";
import { define, settings } from "../../utils.ts";

export const handler = define.handlers({
  async GET(ctx) {
    const asked = askProcessor<MailListing>("/api/mails", { processor: settings() });
    const listing = await framed(ctx.state, "Mail", asked);
    return page({ listing: listing.ok ? listing.value : null });
  },
});

export default define.page<typeof handler>(function MailPage({ data: { listing } }) {
  return (
    <div class="page">
      <h1>Mail</h1>
      {listing ? <MailList initial={listing} /> : <Unavailable what="Mails are on disk and safe" />}
    </div>
  );
});
