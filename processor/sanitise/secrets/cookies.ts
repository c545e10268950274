import { countDigits } from "../checks.ts";
import { isKey, isSettled } from "./readings.ts";
import { type CountedText, piece, words } from "../counted_text.ts";
import { isDrawn, isSurprising } from "./drawn.ts";
import { isFilled } from "./values.ts";

type Found = (start: number, end: number) => void;

export const COOKIE_CUES: readonly string[] = ["cookie", "curl", "phpsessid", "jsessionid", "connect.sid"];

const COOKIE = words(/cookie|phpsessid|jsessionid|connect\.sid|(?<=\s)-b(?= ?["'\w])/i);
/** `Cookie: `, `"cookie": "`, `document.cookie = "`, and curl's `--cookie "` and `-b "`. */
const HEADER = piece(
  /(?:cookie\\{0,3}["'`]?\]?\s{0,3}(?:(?:[:=,]|\s(?=\w+=)|\s?,\s{0,3}\\{0,3}["']value\\{0,3}["']\s?:)\s{0,3}|(?=["']))\[?\\{0,3}["'`]?|-b ?["']?)(?=[\w.%!$&*+^|~:-]{1,64}=)/i,
  110,
);
/** `cookies: [`, `cookies = {`, `setCookie(`. */
const LIST = piece(/cookies?(?:jar)?(?:\.set)?\\{0,3}["']?\s{0,3}(?:[:=]\s{0,3}(?:[[{(]|dict\()|\()/i, 28);
/** The value of a session by its cookie's name, in an address too; and what is said to be a cookie's. */
const NAMED = piece(
  /(?:(?:php|j)sessionid|phpsessid|connect\.sid)["']?\s?[=:]\s?["']?([\w%.:-]{16,200})|cookie(?: value)?(?:: | is | )([\w%.-]{20,200})(?![\w=])/i,
  230,
);
/** Longest header, and longest list, in UTF-16 units. */
const HEADER_MAX = 4096;
const LIST_MAX = 4096;
/** Names and values in a list: of HAR, of a map, of a call's arguments. */
const LISTED =
  /\\{0,3}["']name\\{0,3}["']\s{0,3}:\s{0,3}\\{0,3}["']([\w.%-]{1,64})\\{0,3}["']\s{0,3},\s{0,40}\\{0,3}["']value\\{0,3}["']\s{0,3}:\s{0,3}\\{0,3}["']([^"'\\\s\0]{4,2000})|["']?\b([\w.%-]{1,64})["']?\s{0,3}[:,=]\s{0,3}["']([^"'\\\s\0]{4,2000})(?=["'])/dg;

/** Values of cookies by their header or list. Names, flags and settings like `theme=dark` stay. */
export function findCookies(text: CountedText, found: Found): void {
  for (let cookie = text.next(COOKIE, 0); cookie !== null;) {
    const header = text.match(HEADER, cookie.start);
    const list = header === null ? text.match(LIST, cookie.start) : null;
    const named = header === null && list === null ? text.match(NAMED, cookie.start) : null;
    const value = named?.groups[1] ?? named?.groups[2];
    if (named !== null && value !== undefined && (isKey(value, true) || isDrawn(value))) {
      const start = cookie.start + named.text.lastIndexOf(value);
      found(start, start + value.length);
    }
    const end = header !== null
      ? readHeader(text, header.end, found)
      : list !== null
      ? readList(text, list.end, found)
      : cookie.end;
    cookie = text.next(COOKIE, end);
  }
}

function readHeader(text: CountedText, from: number, found: Found): number {
  const ahead = text.slice(from, from + HEADER_MAX);
  const end = ahead.search(/["'`\n\0]/);
  const header = end < 0 ? ahead : ahead.slice(0, end);
  let at = 0;
  for (const part of header.split(";")) {
    const written = at === 0 ? part.split(" ")[0]! : part;
    const pair = /^(\s{0,4}([\w.%!$&*+^|~:-]{1,64})=)([^\s,\0]{1,2000})\s{0,4}$/.exec(written);
    if (pair !== null && isOfSession(pair[2]!, pair[3]!)) {
      const start = from + at + pair[1]!.length;
      found(start, start + pair[3]!.length);
    }
    at += part.length + 1;
  }
  return from + header.length;
}

function readList(text: CountedText, from: number, found: Found): number {
  const ahead = text.slice(from, from + LIST_MAX);
  const end = ahead.search(/[\]})][^,]/);
  const list = end < 0 ? ahead : ahead.slice(0, end);
  for (const match of list.matchAll(LISTED)) {
    const group = match[2] === undefined ? 4 : 2;
    const [start, stop] = match.indices![group]!;
    if (isOfSession(match[group - 1]!, match[group]!)) found(from + start, from + stop);
  }
  return from + list.length;
}

const ATTRIBUTE =
  /^(?:path|domain|expires|max-age|samesite|secure|httponly|version|priority|comment|partitioned|size)$/i;
const SESSION =
  /sess|sid$|auth|token|jwt|csrf|xsrf|remember|login|^__(?:host|secure)|logged_in|clearance|identity|aspnet|credential|secret/i;

/** Under a session's name whatever is no word; under any other what looks drawn by lot. */
function isOfSession(name: string, value: string): boolean {
  if (ATTRIBUTE.test(name) || !isFilled(value) || isSettled(value)) return false;
  if (isKey(value, true) || isDrawn(value)) return true;
  return SESSION.test(name) && value.length >= 6 && (countDigits(value) > 0 || isSurprising(value));
}
