import { escapeLine } from "../../sanitise/mod.ts";

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
