import * as z from "zod";

/** What a manifest on a disk and a commit on object storage both say, in the same shape. */

export const count = z.int().min(0);
export const letters = z.array(
  z.object({ offset: count, step: z.enum(["parse", "sanitise", "erase"]), reason: z.string() }),
);
export const recordMark = z.object({ offset: count, timestamp: z.int(), sha256: z.string() });
export const minutes = z.array(z.tuple([z.int(), count]));
export const adoptedCounts = z.array(z.object({ count, from: count }));
export const outcomes = z.object({
  from: count,
  to: count,
  lines: count,
  duplicates: count,
  deadLetters: count,
  others: count,
  taken: count.optional(),
});
export const received = z.object({ from: count, to: count, minutes });
