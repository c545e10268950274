import { mayShowRaw } from "../../../server/door.ts";
import { events } from "../../../server/events.ts";
import { define, settings } from "../../../utils.ts";

/** The processor's steps as server-sent events; `?after=ID` is what an EventSource that was opened anew cannot say by its header. */
export const handler = define.handlers({
  GET: (ctx) =>
    events({
      processor: settings(),
      lastEventId: ctx.req.headers.get("last-event-id") ?? afterOf(ctx.url),
      withRaw: mayShowRaw(ctx),
    }),
});

/** Null where it is nothing that could be an id. */
function afterOf({ searchParams }: URL): string | null {
  const after = searchParams.get("after");
  return after !== null && /^[\x21-\x7e]{1,200}$/.test(after) ? after : null;
}
