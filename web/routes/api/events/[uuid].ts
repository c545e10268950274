import { mayShowRaw } from "../../../server/door.ts";
import { eventAnswer } from "../../../server/event_detail.ts";
import { pathSegment } from "../../../server/path.ts";
import { define, settings } from "../../../utils.ts";

/** Everything known of one event; the envelope as it came only for this machine. */
export const handler = define.handlers({
  GET: (ctx) => eventAnswer(pathSegment(ctx.url, 2), { ...settings(), withRaw: mayShowRaw(ctx) }),
});
