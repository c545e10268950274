/**
 * Text that came from outside, on its way to a terminal or a log: ids, reasons, addresses, file names and what servers
 * say may hold control characters, which a terminal obeys, and signs that turn the order of letters round. They are shown
 * as escapes, `\x1b` or `\u202e`, and nothing is carried out.
 */

/** C0, DEL and C1 (ECMA-48), what separates lines, and Unicode's embeddings, overrides and isolates of direction (UAX 9). */
// deno-lint-ignore no-control-regex
const UNPRINTABLE = /[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/g;

/** One line: line breaks and tabs are shown as escapes too. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, escaped);
}

/** As {@link printable}, but for line breaks, which our own texts of several lines have. */
export function printableLines(text: string): string {
  return text.replace(UNPRINTABLE, (character) => character === "\n" ? character : escaped(character));
}

/** Lines of JSON with the same meaning: JSON itself escapes C0 alone. */
export function printableJson(json: string): string {
  return json.replace(UNPRINTABLE, (character) => character === "\n" ? "\n" : `\\u${hex(character, 4)}`);
}

/** Prints a line of a log to standard error. */
export function logError(line: string): void {
  console.error(printable(line));
}

function escaped(character: string): string {
  return character > "\xff" ? `\\u${hex(character, 4)}` : `\\x${hex(character, 2)}`;
}

function hex(character: string, digits: number): string {
  return character.charCodeAt(0).toString(16).padStart(digits, "0");
}
