import { page } from "fresh";
import BeAUser from "../islands/BeAUser.tsx";
import BreakSomething from "../islands/BreakSomething.tsx";
import TraceList from "../islands/TraceList.tsx";
import { follow, toldByIngest } from "../core/trace.ts";
import { mayShowRaw } from "../server/door.ts";
import { recentSteps } from "../server/events.ts";
import { offersOf } from "../server/offers.ts";
import { recentEvents } from "../server/recent.ts";
import { framed } from "../server/services.ts";
import { define, settings } from "../utils.ts";

/** Rows in the page itself; the rest comes with the event source. */
const ROWS_IN_PAGE = 30;

export const handler = define.handlers({
  async GET(ctx) {
    const config = settings();
    const { ingestUrl, withSecret } = config;
    const asked = Promise.all([
      recentSteps({ processor: config, withRaw: mayShowRaw(ctx) }),
      recentEvents(config),
    ]);
    const [told, recent] = await framed(ctx.state, "Live", asked);
    // While the processor is away ingest alone tells, and says less.
    const steps = told.length > 0 ? told : toldByIngest(recent, { known: new Map(), all: true });
    const rows = [...follow(new Map(), steps).values()].reverse().slice(0, ROWS_IN_PAGE);
    const people = rows.flatMap((row) => row.kind === "offer" ? row.distinctId ?? [] : []);
    const { byId: offers } = await offersOf(people, config);
    return page({ list: { rows, ingestUrl, withSecret, offers }, breaks: config.demoControl !== null });
  },
  /** A form sent without script: the buttons do nothing then, and what was typed is in no address and kept nowhere. */
  async POST(ctx) {
    await ctx.req.body?.cancel();
    return new Response(null, { status: 303, headers: { location: "/#needs-script" } });
  },
});

export default define.page<typeof handler>(function Live({ data }) {
  return (
    <div class="live">
      <section class="panel" aria-labelledby="be-a-user">
        <div>
          <h1 id="be-a-user">Be a user</h1>
          <p class="note">
            Each click is a real event. Watch that very one travel, get sanitised and land in a file.
          </p>
        </div>
        <BeAUser />
        <noscript>
          <p class="note warn" id="needs-script">
            The buttons need script, because posthog-js is one. <a href="/dataset">Dataset</a> and{" "}
            <a href="/mail">Mail</a> do not.
          </p>
        </noscript>
      </section>
      <div class="feed">
        {data.breaks && <BreakSomething />}
        <section class="feed" aria-labelledby="what-happened">
          <h2 id="what-happened">
            What happened to it <span class="quiet">latest arrival first</span>
          </h2>
          <TraceList {...data.list} />
        </section>
      </div>
    </div>
  );
});
