import { mailFile } from "../../../server/mail.ts";
import { pathSegment } from "../../../server/path.ts";
import { define, settings } from "../../../utils.ts";

/** A mail as the file that it is, to be kept. */
export const handler = define.handlers({
  GET: (ctx) => mailFile(pathSegment(ctx.url, 1), settings()),
});
