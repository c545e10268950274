import { mayShowRaw } from "../../../server/door.ts";
import { events } from "../../../server/events.ts";
import { define, settings } from "../../../utils.ts";

/** The processor's steps as server-sent events. */
export const handler = define.handlers({
  GET: (ctx) =>
    events({
      processor: settings(),
      lastEventId: ctx.req.headers.get("last-event-id"),
      withRaw: mayShowRaw(ctx),
    }),
});
