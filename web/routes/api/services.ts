import { services } from "../../server/services.ts";
import { define, settings } from "../../utils.ts";

/** How each service is; always 200, because one that is away is an answer too. */
export const handler = define.handlers({
  GET: async () => Response.json(await services(settings()), { headers: { "cache-control": "no-store" } }),
});
