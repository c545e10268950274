import { page } from "fresh";
import { Unavailable } from "../../components/Empty.tsx";
import MailList from "../../islands/MailList.tsx";
import { listMails, mailQuery } from "../../server/mail.ts";
import { framed } from "../../server/services.ts";
import { readBounded } from "../../server/upstream.ts";
import { define, settings, type State } from "../../utils.ts";

const FORM_BYTES_MAX = 4 * 1024;

export const handler = define.handlers({
  GET: (ctx) =>
    mailPage(ctx.state, new URLSearchParams({ before: ctx.url.searchParams.get("before") ?? "" })),
  /** A search from a page without script, and its further pages: what is looked for stands in no address. */
  async POST(ctx) {
    const body = await readBounded(ctx.req.body, { bytesMax: FORM_BYTES_MAX });
    return await mailPage(ctx.state, new URLSearchParams(body ? new TextDecoder().decode(body) : ""));
  },
});

async function mailPage(state: State, form: URLSearchParams) {
  const query = mailQuery(form);
  const listing = await framed(state, "Mail", listMails(query, settings()));
  return page({ listing: listing.ok ? listing.value : null, query });
}

export default define.page<typeof handler>(function MailPage({ data: { listing, query }, state }) {
  return (
    <div class="page">
      <h1>Mail</h1>
      {listing
        ? <MailList initial={listing} query={query} />
        : <Unavailable what="Mails are on disk and safe" seenAt={state.services?.seen.processor} />}
    </div>
  );
});
