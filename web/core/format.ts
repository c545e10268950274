/** How numbers, sizes, times and ids are written on every page. Pure: the clock is an argument. */

/** `1024` as `1,024`. */
export function count(value: number): string {
  return value.toLocaleString("en-US");
}

/** Bytes in decimal units, as `3.4 kB`. */
export function bytes(value: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  let size = value;
  while (size >= 999.5 && unit < units.length - 1) {
    size /= 1000;
    unit++;
  }
  const digits = unit === 0 || size >= 99.95 ? 0 : 1;
  return `${size.toFixed(digits)} ${units[unit]}`;
}

/** How long something took, as `9 ms`, `1.2 s`, `3 min`; clocks of two machines may disagree, which is said. */
export function duration(ms: number): string {
  if (ms < -1) return "clocks differ";
  if (ms < 1) return "<1 ms";
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 3_570_000) return `${Math.round(ms / 60_000)} min`;
  return `${Math.round(ms / 3_600_000)} h`;
}

/** How long ago `at` (ISO 8601) was, as `2 s ago`; the moment just gone and a clock that is ahead are `just now`. */
export function ago(at: string, now: number): string {
  const seconds = Math.floor((now - Date.parse(at)) / 1000);
  if (Number.isNaN(seconds)) return "at an unknown time";
  if (seconds < 1) return "just now";
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} d ago`;
}

const zoneClocks = new Map<string, Intl.DateTimeFormat>();

/** Making one of these costs more than all its answers. */
function clockOf(zone: string): Intl.DateTimeFormat {
  let clock = zoneClocks.get(zone);
  if (!clock) {
    const part = "2-digit";
    clock = new Intl.DateTimeFormat("en-US", {
      ...{ timeZone: zone, timeZoneName: "shortOffset", hourCycle: "h23" },
      ...{ year: "numeric", month: part, day: part, hour: part, minute: part, second: part },
      fractionalSecondDigits: 3,
    });
    zoneClocks.set(zone, clock);
  }
  return clock;
}

type Parts = Partial<Record<Intl.DateTimeFormatPartTypes, string>>;

function partsOf(at: string, zone: string): Parts {
  return Object.fromEntries(
    clockOf(zone).formatToParts(Date.parse(at)).map(({ type, value }) => [type, value]),
  );
}

const timeOfDay = ({ hour, minute, second, fractionalSecond }: Parts) =>
  `${hour}:${minute}:${second}.${fractionalSecond}`;
const offsetIn = ({ timeZoneName = "" }: Parts) => timeZoneName.replace(/^GMT([+-]0$)?/, "UTC");

/** `at` (ISO 8601) in a time zone (its IANA name), as `2026-11-27 15:03:12.250 UTC+1`. */
export function exactTime(at: string, zone: string): string {
  if (Number.isNaN(Date.parse(at))) return at;
  const parts = partsOf(at, zone);
  return `${parts.year}-${parts.month}-${parts.day} ${timeOfDay(parts)} ${offsetIn(parts)}`;
}

/** The time of day of `at` (ISO 8601) in a time zone, as `15:03:12.250`. */
export function clockTime(at: string, zone: string): string {
  return Number.isNaN(Date.parse(at)) ? at : timeOfDay(partsOf(at, zone));
}

/** How far a time zone is from UTC at a time (ISO 8601), as `UTC+1`, `UTC-3:30` or `UTC`. */
export function utcOffset(at: string, zone: string): string {
  return offsetIn(partsOf(at, zone));
}

/** Time left until `at` (ISO 8601), as `1:43` or `2:03:00`; never below `0:00`. */
export function countdown(at: string, now: number): string {
  const left = Math.max(0, Math.ceil((Date.parse(at) - now) / 1000));
  const two = (value: number) => String(value).padStart(2, "0");
  const minutes = Math.floor(left / 60) % 60;
  const hours = Math.floor(left / 3600);
  return hours > 0 ? `${hours}:${two(minutes)}:${two(left % 60)}` : `${minutes}:${two(left % 60)}`;
}

/** A long id shortened to its two ends; the whole belongs into `title`. */
export function shortId(id: string): string {
  return id.length <= 17 ? id : `${id.slice(0, 8)}…${id.slice(-4)}`;
}

/** `3:41` as `p3 @ 41`. */
export function positionText(position: string): string {
  return `p${position.replace(":", " @ ")}`;
}

/** The last part of a dataset path, without its ending: `p00003-0000`. */
export function fileStem(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1).replace(/\.jsonl$/, "");
}

/** The dataset page, at one line of one file. */
export function lineUrl({ file, line }: { file: string; line: number }): string {
  return `/dataset?${new URLSearchParams({ file, line: String(line) })}#L${line}`;
}

/** The letter of what lies at `3:41` in the raw topic. */
export function letterUrl(position: string): string {
  return `/dead-letters/at/${encodeURIComponent(position)}`;
}

/** `one` for 1, else `many`. */
export function plural(value: number, one: string, many = `${one}s`): string {
  return value === 1 ? one : many;
}

const ISO_TIME = /(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d))/;

/** A text with each ISO 8601 time in it as a part of its own: every second part is one. */
export function splitAtTimes(text: string): readonly string[] {
  return text.split(ISO_TIME);
}

/** A text with each ISO 8601 time in it as {@link exactTime} writes it. */
export function withExactTimes(text: string, zone: string): string {
  return splitAtTimes(text).map((part, i) => i % 2 === 0 ? part : exactTime(part, zone)).join("");
}

/** A time (ISO 8601) as a word in a sentence: `2 s ago`, or where it is to come its time of day, `15:03:12`. */
export function timeInWords(at: string, { now, zone }: { now: number; zone: string }): string {
  return Date.parse(at) > now ? clockTime(at, zone).slice(0, 8) : ago(at, now);
}
