import { readLetter } from "../../../server/dead_letters.ts";
import { mayShowRaw } from "../../../server/door.ts";
import { pathSegment } from "../../../server/path.ts";
import { answered } from "../../../server/upstream.ts";
import { define, settings } from "../../../utils.ts";

/** One dead letter; with its record only for a loopback name. */
export const handler = define.handlers({
  GET: async (ctx) => {
    const withRaw = mayShowRaw(ctx);
    return answered(await readLetter(pathSegment(ctx.url, 2), { ...settings(), withRaw }));
  },
});
