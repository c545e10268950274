import { HttpError } from "fresh";
import { letterAt } from "../../../server/dead_letters.ts";
import { pathSegment } from "../../../server/path.ts";
import { define, settings } from "../../../utils.ts";

/** Leads from a position of the raw topic (`3:41`) to the letter of what lies there; while nobody can tell, to the list. */
export const handler = define.handlers({
  async GET(ctx) {
    const answer = await letterAt(pathSegment(ctx.url, 2), settings());
    if (!answer.ok && (answer.status === 404 || answer.status === 400)) throw new HttpError(404);
    const location = answer.ok ? `/dead-letters/${encodeURIComponent(answer.value.id)}` : "/dead-letters";
    return new Response(null, { status: 303, headers: { location, "cache-control": "no-store" } });
  },
});
