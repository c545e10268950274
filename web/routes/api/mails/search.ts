import type { MailListing } from "../../../../contract/processor_api.ts";
import { SEARCH_MS_MAX } from "../../../server/mail.ts";
import { answered, askProcessor, problem, readBounded, tooLarge } from "../../../server/upstream.ts";
import { define, settings } from "../../../utils.ts";

const BODY_BYTES_MAX = 8 * 1024;

/** Mails by what they say; the processor checks what is asked. It changes nothing, so that any page may ask. */
export const handler = define.handlers({
  POST: async (ctx) => {
    const body = await readBounded(ctx.req.body, { bytesMax: BODY_BYTES_MAX });
    if (body === null) return tooLarge(BODY_BYTES_MAX);
    try {
      const order: unknown = JSON.parse(new TextDecoder().decode(body));
      return answered(
        await askProcessor<MailListing>("/api/mails/search", {
          processor: settings(),
          order,
          limitMs: SEARCH_MS_MAX,
        }),
      );
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      return problem(400, "bad_request", "The body is no JSON.");
    }
  },
});
