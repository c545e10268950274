import * as z from "zod";

/** What `POST /api/switches` of the stand-in takes; what is left out stays as it is. */
export type SwitchOrder = z.infer<typeof order>;

const share = z.number().min(0).max(1).optional();
const order = z.strictObject({
  /** Ms from now; 0 ends a pause. */
  pauseMs: z.int().min(0).max(60_000).optional(),
  duplicate: share,
  reorder: share,
  drop: share,
});

/** The order in a body; null where it is none. */
export function readSwitches(body: Uint8Array): SwitchOrder | null {
  try {
    const given = order.safeParse(JSON.parse(new TextDecoder().decode(body)));
    if (!given.success) return null;
    // A share that is undefined must not overwrite one.
    return JSON.parse(JSON.stringify(given.data));
  } catch {
    return null;
  }
}
