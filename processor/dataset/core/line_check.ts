import * as z from "zod";
import { orNull } from "../../../contract/envelope.ts";
import { encodeEventName } from "./path.ts";
import { formatLine } from "./line.ts";
import { parseEventTime } from "../../record/event_time.ts";

/** What a line of the dataset can have wrong; the words that `dataset verify` prints. */
export type LineFault =
  | "is not well-formed UTF-8"
  | "ends a line inside a line (U+0085, U+2028 or U+2029 unescaped)"
  | "is no JSON object"
  | "has other keys or types than a line has"
  | "has its keys in another order"
  | "has a timestamp that is no UTC time with milliseconds"
  | "lies under another date than its own"
  | "lies under another event than its own"
  | "holds a lone surrogate"
  | "holds a control character in prompt or reason"
  | "is written in another way than the pipeline writes it";

/** Exactly the seed's five fields. */
const lineSchema = z.strictObject({
  timestamp: z.string(),
  event: z.string().min(1),
  failure_reason: z.string().nullable(),
  input_prompt: z.string(),
  distinct_id: z.string().min(1),
});

/** A line as it is written. */
export type StoredLine = z.infer<typeof lineSchema>;

const KEYS = Object.keys(lineSchema.shape).join();
const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
/** Of the C1 controls U+0085 alone is kept. */
// deno-lint-ignore no-control-regex
const CONTROLS = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u0084\u0086-\u009f]/;
/** Line ends of Python's `splitlines` that JSON may hold unescaped. */
const LINE_ENDS = /[\u0085\u2028\u2029]/;

/**
 * What is wrong with a line, given without its line feed; null where nothing is. `event` is the name of its directory
 * behind `event=`, `date` that behind `date=`.
 */
export function lineFault(
  bytes: Uint8Array,
  { event, date }: { readonly event: string; readonly date: string },
): LineFault | null {
  const text = orNull(() => decoder.decode(bytes));
  if (text === null) return "is not well-formed UTF-8";
  if (LINE_ENDS.test(text)) return "ends a line inside a line (U+0085, U+2028 or U+2029 unescaped)";
  const parsed = orNull((): unknown => JSON.parse(text));
  if (parsed === null || typeof parsed !== "object" || Array.isArray(parsed)) return "is no JSON object";
  const { success, data: line } = lineSchema.safeParse(parsed);
  if (!success) return "has other keys or types than a line has";
  if (Object.keys(parsed).join() !== KEYS) return "has its keys in another order";
  if (!isTimestamp(line.timestamp)) return "has a timestamp that is no UTC time with milliseconds";
  if (line.timestamp.slice(0, 10) !== date) return "lies under another date than its own";
  const texts = [line.event, line.failure_reason ?? "", line.input_prompt, line.distinct_id];
  if (!texts.every((one) => one.isWellFormed())) return "holds a lone surrogate";
  if (encodeEventName(line.event) !== event) return "lies under another event than its own";
  if (CONTROLS.test(line.input_prompt) || CONTROLS.test(line.failure_reason ?? "")) {
    return "holds a control character in prompt or reason";
  }
  return formatLine(line) === `${text}\n` ? null : "is written in another way than the pipeline writes it";
}

/** A line's fields. Throws `SyntaxError` or `ZodError` where it is none; says less than {@link lineFault}, faster. */
export function parseLine(bytes: Uint8Array): StoredLine {
  return lineSchema.parse(JSON.parse(decoder.decode(bytes)));
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function isTimestamp(text: string): boolean {
  return TIMESTAMP.test(text) && parseEventTime(text) !== null;
}
