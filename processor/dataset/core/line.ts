import { PERSON_PREFIX } from "../../record/erasure.ts";
import { remembering } from "../../../runtime/remember.ts";
import { escapeLine, sanitise } from "../../sanitise/mod.ts";

/** One line of the dataset: the seed's five fields in the seed's order, nothing else. */
export type DatasetLine = {
  /** ISO 8601, UTC, with milliseconds. */
  readonly timestamp: string;
  readonly event: string;
  readonly failureReason: string | null;
  readonly inputPrompt: string;
  readonly distinctId: string;
};

/** The line's text with its line feed; one line also for programs that end lines at U+2028, U+2029 or U+0085. */
export function formatLine(line: DatasetLine): string {
  const json = JSON.stringify({
    timestamp: line.timestamp,
    event: line.event,
    failure_reason: line.failureReason,
    input_prompt: line.inputPrompt,
    distinct_id: line.distinctId,
  });
  return escapeLine(json) + "\n";
}

/** Remembered distinct_ids: at 100 bytes each a few megabytes. */
const LINE_IDS_MAX = 20_000;

/**
 * What stands in a line for a distinct_id: itself where sanitising leaves it unchanged to the byte, else `person-` and
 * its subject, so that the lines of one person stay together and an address is nowhere. A distinct_id that cannot be
 * sanitised gets the pseudonym too. Remembers the newest; what it answers depends on its argument alone.
 */
export function createLineIds(subject: (distinctId: string) => string): (distinctId: string) => string {
  return remembering(
    (distinctId) => isPlain(distinctId) ? distinctId : `${PERSON_PREFIX}${subject(distinctId)}`,
    { entriesMax: LINE_IDS_MAX },
  );
}

function isPlain(distinctId: string): boolean {
  try {
    return sanitise(distinctId).text === distinctId;
  } catch {
    return false;
  }
}
