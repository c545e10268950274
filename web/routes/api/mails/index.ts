import { passThrough } from "../../../server/upstream.ts";
import { define, settings } from "../../../utils.ts";

/** The mails that were written as files, newest first. */
export const handler = define.handlers({
  GET: () => passThrough("/api/mails", settings()),
});
