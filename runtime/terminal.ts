/** What a person at a terminal is shown: colours where there is one, and times as "3 min ago". */

/** How a text is set off. */
export type Style = "bold" | "dim" | "red" | "green" | "yellow" | "cyan";

/** Select Graphic Rendition (ECMA-48, 8.3.117). */
const CODES: Readonly<Record<Style, number>> = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 };

/**
 * Whether colours go to a stream: to a terminal that is not `dumb`, or anywhere with `FORCE_COLOR` (but `0`); never with
 * `NO_COLOR` (no-color.org).
 */
export function showsColours(
  stream: { isTerminal(): boolean },
  setting: (name: string) => string | undefined = environment,
): boolean {
  if ((setting("NO_COLOR") ?? "") !== "") return false;
  const forced = setting("FORCE_COLOR");
  if (forced !== undefined && forced !== "") return forced !== "0" && forced !== "false";
  return stream.isTerminal() && setting("TERM") !== "dumb";
}

/** The text set off; it must hold no control characters of its own. */
export function painted(text: string, style: Style): string {
  return text === "" ? "" : `\x1b[${CODES[style]}m${text}\x1b[0m`;
}

/** A command without the right to read the environment has Deno's own answer for NO_COLOR, and nothing else. */
function environment(name: string): string | undefined {
  if (name === "NO_COLOR") return Deno.noColor ? "1" : undefined;
  const { state } = Deno.permissions.querySync({ name: "env", variable: name });
  return state === "granted" ? Deno.env.get(name) : undefined;
}

const UNITS = [["s", 1], ["min", 60], ["h", 3_600], ["days", 86_400]] as const;
/** Beyond it the day itself says more. */
const DAYS_MAX = 30;

/** `3 min ago`, `in 2 h`, and beyond 30 days the day; milliseconds since 1970. */
export function fromNow(at: number, now: number): string {
  const seconds = Math.floor(Math.abs(now - at) / 1_000);
  if (!Number.isFinite(seconds)) return "";
  if (seconds >= (DAYS_MAX + 1) * 86_400) return new Date(at).toISOString().slice(0, 10);
  if (seconds === 0) return "now";
  const span = spanText(seconds);
  return at <= now ? `${span} ago` : `in ${span}`;
}

/** `0 s`, `59 s`, `3 min`, `23 h`, `1 day`, `12 days`: whole units, rounded down. */
export function spanText(seconds: number): string {
  const [unit, size] = UNITS.findLast(([, size]) => seconds >= size) ?? UNITS[0];
  const count = Math.floor(seconds / size);
  return `${count} ${unit === "days" && count === 1 ? "day" : unit}`;
}
