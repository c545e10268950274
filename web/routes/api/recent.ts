import { recentEvents } from "../../server/recent.ts";
import { define, settings } from "../../utils.ts";

/** What ingest says is durable where, and what PostHog's stand-in has given up; always 200. */
export const handler = define.handlers({
  GET: async () =>
    Response.json(await recentEvents(settings()), { headers: { "cache-control": "no-store" } }),
});
