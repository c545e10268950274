import { remembering } from "../../runtime/remember.ts";
import { orNull } from "../../contract/envelope.ts";
import { sanitise } from "../sanitise/mod.ts";
import { PERSON_PREFIX } from "./erasure.ts";

/** Remembered distinct_ids: at 100 bytes each a few megabytes. */
const LINE_IDS_MAX = 20_000;

/**
 * What stands in a line for a distinct_id: itself where sanitising leaves it unchanged to the byte, else `person-` and
 * its subject, so that the lines of one person stay together and an address is nowhere. A distinct_id that cannot be
 * sanitised gets the pseudonym too. Remembers the newest; what it answers depends on its argument alone.
 */
export function createLineIds(subject: (distinctId: string) => string): (distinctId: string) => string {
  return remembering(
    (distinctId) =>
      orNull(() => sanitise(distinctId).text) === distinctId
        ? distinctId
        : `${PERSON_PREFIX}${subject(distinctId)}`,
    { entriesMax: LINE_IDS_MAX },
  );
}
