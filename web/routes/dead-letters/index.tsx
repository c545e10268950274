import { page } from "fresh";
import type { RedriveOrder } from "../../../contract/processor_api.ts";
import { RedriveNoteView } from "../../components/RedriveNote.tsx";
import { Unavailable } from "../../components/Empty.tsx";
import { answerQuery, failureOf, failureQuery, noteOf } from "../../core/redrive_text.ts";
import DeadLetterList from "../../islands/DeadLetterList.tsx";
import { isLetterId, letterQuery, listLetters, redriveLetters } from "../../server/dead_letters.ts";
import { isOwnPage } from "../../server/same_origin.ts";
import { framed } from "../../server/services.ts";
import { readBounded } from "../../server/upstream.ts";
import { define, settings } from "../../utils.ts";

const FORM_BYTES_MAX = 4 * 1024;

export const handler = define.handlers({
  async GET(ctx) {
    const query = letterQuery(ctx.url);
    const listing = await framed(ctx.state, "Dead letters", listLetters(query, settings()));
    return page({ listing: listing.ok ? listing.value : null, query, note: noteOf(ctx.url.searchParams) });
  },
  /** The forms of this page and of a letter's: back to the list by 303, with what came of it in the address. */
  async POST(ctx) {
    const config = settings();
    if (!isOwnPage(ctx.req, config.console)) {
      return refused(403, "This form was not sent by this site's own page.");
    }
    const body = await readBounded(ctx.req.body, { bytesMax: FORM_BYTES_MAX });
    const order = body && orderOf(new URLSearchParams(new TextDecoder().decode(body)));
    if (!order) return refused(400, "This form names no letter.");
    const answer = await redriveLetters(order, config);
    const came = answer.ok ? answerQuery(answer.value) : failureQuery(failureOf(answer.status));
    const location = `/dead-letters?${new URLSearchParams(came)}#outcome`;
    return new Response(null, { status: 303, headers: { location, "cache-control": "no-store" } });
  },
});

/** `letter=0:17` or `letter=all`, with `do=dry-run` where nothing is to happen. */
function orderOf(form: URLSearchParams): RedriveOrder | null {
  const letter = form.get("letter");
  const dryRun = form.get("do") === "dry-run";
  if (letter === "all") return { all: true, dryRun };
  return letter !== null && isLetterId(letter) ? { ids: [letter], dryRun } : null;
}

function refused(status: number, message: string): Response {
  return new Response(`${message}\n`, { status, headers: { "content-type": "text/plain; charset=utf-8" } });
}

export default define.page<typeof handler>(function DeadLetters({ data: { listing, query, note } }) {
  return (
    <div class="page">
      <div>
        <h1>Dead letters</h1>
        <p class="note">
          Records that could not become a line, set aside with their reason and their bytes as they came. Once
          the cause is mended, redrive them: a copy goes into the topic again, and its line comes in exactly
          once.
        </p>
      </div>
      {note && <RedriveNoteView note={note} />}
      {listing
        ? <DeadLetterList initial={listing} query={query} />
        : <Unavailable what="Every dead letter is kept in the log" />}
    </div>
  );
});
