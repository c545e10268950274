import { type CountedText, piece, words } from "../counted_text.ts";
import { isFilled } from "./values.ts";

type Found = (start: number, end: number) => void;

/** A text without any of these holds nothing for {@link findManifestSecrets} and {@link findPasswordFiles}. */
export const APART_CUES: readonly string[] = ["kind: secret", '"kind":"secret"', ":543", ":643", "pgpass"];

const KIND = words(/kind: secret/i);
/** How far the manifest goes, before and behind the line that says its kind, in UTF-16 units. */
const MANIFEST_MAX = 4000;
const MAP = /^([ \t]{0,16})(?:data|stringData):[ \t]{0,4}\r?\n/gm;
const ENTRY =
  /([ \t]{1,24})(?:["']?)([\w.-]{1,80})["']?:[ \t]{1,4}(?:"([^"\n\0]{1,2000})"|'([^'\n\0]{1,2000})'|([^\s"'|>&*#{[\0][^\s\0]{0,2000}))[ \t]{0,4}(?:\r?\n|$)/dy;
/** Entries that say who and where, and open nothing. */
const OPEN =
  /(?:^|[_.-])(?:user(?:name)?|host(?:name)?|port|name|namespace|database|db|region|endpoint|ur[il]|email|tenant|type)$/i;

/** Values of Kubernetes' Secrets, `data:` and `stringData:`, whatever their names. */
export function findManifestSecrets(
  text: CountedText,
  report: { readonly password: Found; readonly key: Found },
): void {
  for (let kind = text.next(KIND, 0), floor = 0; kind !== null;) {
    const from = Math.max(floor, kind.start - MANIFEST_MAX);
    const to = kind.end + MANIFEST_MAX;
    const window = text.slice(from, to);
    const [first, last] = documentAround(window, kind.start - from);
    const base = from + first;
    readMaps(window.slice(first, last), (name, [start, end]) => {
      report[/pass|pwd/i.test(name) ? "password" : "key"](base + start, base + end);
    });
    floor = from + last;
    kind = text.next(KIND, Math.max(kind.end, floor));
  }
}

/** The YAML document around a place. */
function documentAround(window: string, at: number): readonly [number, number] {
  const end = window.indexOf("\n---", at);
  return [Math.max(0, window.lastIndexOf("\n---", at)), end < 0 ? window.length : end];
}

function readMaps(manifest: string, found: (name: string, place: readonly [number, number]) => void): void {
  for (const map of manifest.matchAll(MAP)) {
    ENTRY.lastIndex = map.index + map[0].length;
    for (let entry = ENTRY.exec(manifest); entry !== null; entry = ENTRY.exec(manifest)) {
      if (entry[1]!.length <= map[1]!.length) break;
      const group = entry.findLastIndex((value, index) => index > 2 && value !== undefined);
      if (!OPEN.test(entry[2]!) && isFilled(entry[group]!)) found(entry[2]!, entry.indices![group]!);
    }
  }
}

/** A line of `.pgpass`: host, port, database, user, password. */
const LINE = piece(
  /:(?:54[0-9]{2}|643[0-9]):[\w*-]{1,64}:[\w*.@-]{1,64}:((?:\\.|[^\s:\\\0]){3,100})(?=\r?\n|$)/,
  260,
);
const PORT = words(/:54\d\d:|:643\d:/);

export function findPasswordFiles(text: CountedText, found: Found): void {
  for (let port = text.next(PORT, 0); port !== null; port = text.next(PORT, port.end)) {
    const line = text.match(LINE, port.start);
    const password = line?.groups[1];
    if (line && password !== undefined && isFilled(password)) found(line.end - password.length, line.end);
  }
}
