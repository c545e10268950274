/** When an event happened, by its own words and by ingest's; the day of its line depends on it. */

/** An event's own time further ahead of its received time than this is not believed. */
export const EVENT_TIME_AHEAD_MS_MAX = 24 * 3_600_000;
/**
 * Nor one further behind it: ten years with three leap days. Each day is a file of its own, and strangers choose it: this
 * bounds how many there can be.
 */
export const EVENT_TIME_BEHIND_MS_MAX = 3_653 * 24 * 3_600_000;

/** 0001-01-01 and the last millisecond of 9999: outside of them no four digits hold the year. */
export const TIME_MIN = -62_135_596_800_000;
export const TIME_MAX = 253_402_300_799_999;

const ISO =
  /^(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,30}))?)?\s?([Zz]|[+-]\d\d(?::?\d\d)?)?)?$/;

/**
 * Milliseconds since 1970 of an ISO 8601 time; without a zone it is UTC, digits below a millisecond are cut off. Null
 * where the text is none (also 31 February, hour 24, second 60) or its UTC year is not 1 to 9999.
 */
export function parseEventTime(text: string): number | null {
  return isCanonical(text) ? parseCanonical(text) : parseWritten(text);
}

/** `time` in ISO 8601, UTC, with milliseconds: the event's own words where they are just that, since making them anew costs. */
export function isoTime(time: number, own: string | null): string {
  return own !== null && isCanonical(own) && parseCanonical(own) === time
    ? own
    : new Date(time).toISOString();
}

/** The form that browsers and PostHog write, `2025-11-30T16:38:21.968Z`, whatever its figures; 9 stands for any. */
const CANONICAL = "9999-99-99T99:99:99.999Z";

function isCanonical(text: string): boolean {
  if (text.length !== CANONICAL.length) return false;
  for (let i = 0; i < CANONICAL.length; i++) {
    const code = text.charCodeAt(i);
    const wanted = CANONICAL.charCodeAt(i);
    if (code !== wanted && !(wanted === 57 && code >= 48 && code < 57)) return false;
  }
  return true;
}

function parseCanonical(text: string): number | null {
  return timeOf({
    year: figures(text, 0, 4),
    month: figures(text, 5, 7),
    day: figures(text, 8, 10),
    hour: figures(text, 11, 13),
    minute: figures(text, 14, 16),
    second: figures(text, 17, 19),
    millisecond: figures(text, 20, 23),
    zone: 0,
  });
}

function figures(text: string, from: number, to: number): number {
  let value = 0;
  for (let i = from; i < to; i++) value = value * 10 + text.charCodeAt(i) - 48;
  return value;
}

function parseWritten(text: string): number | null {
  const match = ISO.exec(text);
  if (!match) return null;
  return timeOf({
    year: Number(match[1]),
    month: Number(match[2]),
    day: Number(match[3]),
    hour: Number(match[4] ?? 0),
    minute: Number(match[5] ?? 0),
    second: Number(match[6] ?? 0),
    millisecond: match[7] === undefined ? 0 : Number(match[7].slice(0, 3).padEnd(3, "0")),
    zone: zoneMinutes(match[8]),
  });
}

type Written = {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
  readonly millisecond: number;
  /** Minutes ahead of UTC; null: none that there is. */
  readonly zone: number | null;
};

function timeOf({ year, month, day, hour, minute, second, millisecond, zone }: Written): number | null {
  if (month < 1 || month > 12 || day < 1 || day > daysIn(year, month)) return null;
  if (hour > 23 || minute > 59 || second > 59 || zone === null) return null;
  const minutes = daysSince1970(year, month, day) * 1440 + hour * 60 + minute - zone;
  const time = minutes * 60_000 + second * 1000 + millisecond;
  return time >= TIME_MIN && time <= TIME_MAX ? time : null;
}

/**
 * The event's own time, or the received one where that is missing, unparsable, more than 24 h ahead of it or more than
 * 3,653 days (10 years) before it.
 */
export function eventTime(own: string | null, receivedAt: number): number {
  const received = receivedTime(receivedAt);
  if (own === null) return received;
  const time = parseEventTime(own);
  if (time === null) return received;
  const ahead = time - received;
  return ahead > EVENT_TIME_AHEAD_MS_MAX || -ahead > EVENT_TIME_BEHIND_MS_MAX ? received : time;
}

/** The event's own time in ISO 8601, UTC; null where {@link eventTime} does not believe it. */
export function ownTime(own: string | null, receivedAt: number): string | null {
  if (own === null) return null;
  const time = eventTime(own, receivedAt);
  return time === parseEventTime(own) ? isoTime(time, own) : null;
}

/** A record's time; 0 for what another program wrote that is none, such as nanoseconds. */
export function receivedTime(timestamp: number): number {
  return timestamp >= TIME_MIN && timestamp <= TIME_MAX ? timestamp : 0;
}

function zoneMinutes(zone: string | undefined): number | null {
  if (zone === undefined || zone === "Z" || zone === "z") return 0;
  const hours = Number(zone.slice(1, 3));
  const minutes = zone.length > 3 ? Number(zone.slice(-2)) : 0;
  if (hours > 23 || minutes > 59) return null;
  return (zone[0] === "-" ? -1 : 1) * (hours * 60 + minutes);
}

function daysIn(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

/** Howard Hinnant's days_from_civil; `Date.UTC` takes years below 100 for 1900 and later. */
function daysSince1970(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}
