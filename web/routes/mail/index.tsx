import { page } from "fresh";
import type { MailListing } from "../../../contract/processor_api.ts";
import { Unavailable } from "../../components/Unavailable.tsx";
import MailList from "../../islands/MailList.tsx";
import { services } from "../../server/services.ts";
import { ask } from "../../server/upstream.ts";
import { define, settings } from "../../utils.ts";

export const handler = define.handlers({
  async GET(ctx) {
    const config = settings();
    const [listing, found] = await Promise.all([
      ask<MailListing>(`${config.processorUrl}/api/mails`),
      services(config),
    ]);
    ctx.state.title = "Mail";
    ctx.state.services = found;
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
