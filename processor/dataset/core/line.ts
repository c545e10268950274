import { escapeLine } from "../../sanitise/mod.ts";

/** One line of the dataset: the seed's five fields in the seed's order, nothing else. */
export type DatasetLine = {
  /** ISO 8601, UTC, with milliseconds. */
  readonly timestamp: string;
  readonly event: string;
  readonly failure_reason: string | null;
  readonly input_prompt: string;
  readonly distinct_id: string;
};

/** The line's text with its line feed; one line also for programs that end lines at U+2028, U+2029 or U+0085. */
export function formatLine(
  { timestamp, event, failure_reason, input_prompt, distinct_id }: DatasetLine,
): string {
  return escapeLine(JSON.stringify({ timestamp, event, failure_reason, input_prompt, distinct_id })) + "\n";
}
