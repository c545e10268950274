import { countDigits } from "../checks.ts";
import { isKey } from "../credentials.ts";
import { type CountedText, words } from "../counted_text.ts";
import { isDrawn, isSurprising } from "./drawn.ts";
import { isFilled } from "./values.ts";

export type TableReport = { readonly password: Found; readonly key: Found };
type Found = (start: number, end: number) => void;

/** Words of which a column's title has one. */
const TITLE = words(
  /passw|pwd|passcode|passphrase|secret|token|api.?key|kennwort|contrase|senha|mot de passe/i,
);
/** A text without any of these has no such title. */
export const TITLE_CUES: readonly string[] = [
  ..."passw pwd passcode passphrase secret token api kennwort contrase senha".split(" "),
  "mot de passe",
];
/** A whole title. */
const PASSWORD_TITLE =
  /^(?:[\w -]{0,20}[ _-])?(?:password|passwort|passwd|pwd|pass ?code|pass ?phrase|kennwort|contraseña|contrasena|senha|mot de passe)(?: \(\w{1,12}\))?$/i;
const KEY_TITLE =
  /^(?:[\w -]{0,20}[ _-])?(?:secret|secret[ _-]?key|api[ _-]?key|apikey|token|access[ _-]?key)$/i;
/** A column that says whose the password is: words in the other one are passwords too. */
const OWNER_TITLE =
  /^(?:[\w -]{0,20}[ _-])?(?:user|user[ _-]?name|login|account|e-?mail|host|server|benutzer|usuario|usuário|utilisateur|identifiant)$/i;
const TITLE_CELL = /^[\p{L}\w .()-]{1,30}$/u;
const RULE = /^[\s|+:=-]*-[\s|+:=-]*$/;

/** Longest line, and most lines, of a table that are looked at. */
const LINE_MAX = 1000;
const LINES_MAX = 500;

type Cell = { readonly text: string; readonly start: number };

/** Columns of tables whose title names a credential: in Markdown, in CSV with commas, semicolons or tabs. */
export function findTableSecrets(text: CountedText, report: TableReport): void {
  for (let title = text.next(TITLE, 0); title !== null;) {
    const head = lineAt(text, title.start);
    const end = head === null ? text.indexOf("\n", title.end) : readTable(text, head, report);
    title = end < 0 ? null : text.next(TITLE, Math.max(title.end, end));
  }
}

type Line = { readonly start: number; readonly end: number; readonly text: string };

function lineAt(text: CountedText, at: number): Line | null {
  const before = text.slice(at - LINE_MAX / 2, at);
  const start = at - (before.length - before.lastIndexOf("\n") - 1);
  return lineFrom(text, start);
}

function lineFrom(text: CountedText, start: number): Line | null {
  const ahead = text.slice(start, start + LINE_MAX);
  const end = ahead.indexOf("\n");
  if (end < 0 && ahead.length === LINE_MAX) return null;
  const line = (end < 0 ? ahead : ahead.slice(0, end)).replace(/\r$/, "");
  return { start, end: start + (end < 0 ? ahead.length : end + 1), text: line };
}

/** Gives where the table ends; the head's end where it is none. */
function readTable(text: CountedText, head: Line, report: TableReport): number {
  const sign = ["|", "\t", ";", ","].find((sign) => head.text.includes(sign));
  if (sign === undefined) return head.end;
  if (sign !== "|" && (/\d/.test(head.text) || !isFirst(text, head))) return head.end;
  let line = lineFrom(text, head.end);
  if (sign === "|") {
    if (line === null || !RULE.test(line.text)) return head.end;
    line = lineFrom(text, line.end);
  }
  const titles = cellsOf(head, sign).map(({ text }) => text);
  const columns = titles.map((title) =>
    PASSWORD_TITLE.test(title) ? "password" : KEY_TITLE.test(title) ? "key" : null
  );
  if (
    titles.length < 2 || !titles.every((title) => TITLE_CELL.test(title)) ||
    columns.every((kind) => kind === null)
  ) {
    return head.end;
  }
  const owned = titles.some((title) => OWNER_TITLE.test(title));
  let end = head.end;
  for (let row = 0; row < LINES_MAX && line !== null && line.text !== ""; row++) {
    const cells = cellsOf(line, sign);
    if (cells.length !== titles.length) break;
    cells.forEach((cell, column) => {
      const kind = columns[column];
      if (kind && isSecret(cell.text, kind, owned)) report[kind](cell.start, cell.start + cell.text.length);
    });
    end = line.end;
    line = line.end < text.length ? lineFrom(text, line.end) : null;
  }
  return end;
}

/** The first line of the text, of a paragraph or of a block of code. */
function isFirst(text: CountedText, { start }: Line): boolean {
  return start === 0 || /(?:\n\r?\n|[:`]\r?\n|```\w{1,12}\r?\n)$/.test(text.slice(start - 17, start));
}

/** A sign within quotes parts nothing; outer bars are no signs. */
function cellsOf(line: Line, sign: string): Cell[] {
  const cells: Cell[] = [];
  const text = sign === "|" ? line.text.replace(/\|\s*$/, "") : line.text;
  let from = sign === "|" && /^\s*\|/.test(text) ? text.indexOf("|") + 1 : 0;
  for (let at = from, quoted = false; at <= text.length; at++) {
    if (text[at] === '"' && sign !== "|") quoted = !quoted;
    if (at < text.length && (quoted || text[at] !== sign)) continue;
    cells.push(cellIn(text.slice(from, at), line.start + from));
    from = at + 1;
  }
  return cells;
}

/** Without white space, quotes and Markdown's signs around it. */
function cellIn(written: string, start: number): Cell {
  const before = /^[\s"'`*]*/.exec(written)![0].length;
  return { text: written.slice(before).replace(/[\s"'`*]+$/, ""), start: start + before };
}

function isSecret(value: string, kind: "password" | "key", owned: boolean): boolean {
  if (!isFilled(value) || /\s|\0|^[-–—]+$/.test(value) || value.length > 256) return false;
  if (kind === "key") return isKey(value, true) || isDrawn(value);
  if (
    /^(?:yes|no|required|optional|string|text|none|n\/a|varchar|hash(?:ed)?|encrypted|hidden|admin|test)\b/i
      .test(value)
  ) {
    return false;
  }
  const letters = /^\p{L}+$/u.test(value);
  return value.length >= 4 &&
    (letters ? owned || isSurprising(value) : countDigits(value) > 0 || /[!@#$%^&*?~+=]/.test(value));
}
