import { letterQuery, listLetters } from "../../../server/dead_letters.ts";
import { answered } from "../../../server/upstream.ts";
import { define, settings } from "../../../utils.ts";

/** A page of dead letters, newest first. */
export const handler = define.handlers({
  GET: async (ctx) => answered(await listLetters(letterQuery(ctx.url), settings())),
});
