import type { RedriveOrder } from "../../../../contract/processor_api.ts";
import { redriveLetters } from "../../../server/dead_letters.ts";
import { isOwnPage } from "../../../server/same_origin.ts";
import { answered, problem, readBounded, tooLarge } from "../../../server/upstream.ts";
import { define, settings } from "../../../utils.ts";

const BODY_BYTES_MAX = 64 * 1024;

/** Redrives by a JSON order, for scripts of our own pages; the processor checks what the order says. */
export const handler = define.handlers({
  POST: async (ctx) => {
    const config = settings();
    if (!isOwnPage(ctx.req, config.console)) {
      return problem(403, "forbidden", "Only this site's own pages redrive.");
    }
    if (!/^application\/json\b/i.test(ctx.req.headers.get("content-type") ?? "")) {
      return problem(415, "unsupported_media_type", "Send content-type: application/json.");
    }
    const body = await readBounded(ctx.req.body, { bytesMax: BODY_BYTES_MAX });
    if (body === null) return tooLarge(BODY_BYTES_MAX);
    try {
      const order = JSON.parse(new TextDecoder().decode(body)) as RedriveOrder;
      return answered(await redriveLetters(order, config));
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      return problem(400, "bad_request", "The body is no JSON.");
    }
  },
});
