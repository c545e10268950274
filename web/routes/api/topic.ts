import { topicNow } from "../../server/topic.ts";
import { define, settings } from "../../utils.ts";

/** What the topic's page shows; always 200, because a service that is away is an answer too. */
export const handler = define.handlers({
  GET: async () => Response.json(await topicNow(settings()), { headers: { "cache-control": "no-store" } }),
});
