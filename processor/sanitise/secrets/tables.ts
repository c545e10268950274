import { countDigits } from "../checks.ts";
import { isKey } from "./readings.ts";
import { type CountedText, type Match, pattern, words } from "../counted_text.ts";
import { isDrawn, isSurprising } from "./drawn.ts";
import { isFilled } from "./values.ts";

export type TableReport = { readonly password: Found; readonly key: Found };
type Found = (start: number, end: number) => void;

/** Words of which a column's title has one. */
const TITLE = words(
  /pass|pwd|secret|token|api.?key|kennwort|contrase|senha|mot.de.passe|clave|haslo|hasło|mdp/i,
);
/** A text without any of these has no such title. */
export const TITLE_CUES: readonly string[] =
  "pass pwd secret token api kennwort contrase senha clave haslo mdp".split(" ");
/** A whole title. */
const PASSWORD_TITLE =
  /^(?:[\w -]{0,20}[ _-])?(?:pass|password|passwort|passwd|pwd|pass ?code|pass ?phrase|kennwort|contraseña|contrasena|senha|mot[ _]de[ _]passe|clave|mdp|hasło|haslo)(?: \(\w{1,12}\))?$/i;
const KEY_TITLE =
  /^(?:[\w -]{0,20}[ _-])?(?:secret|secret[ _-]?key|api[ _-]?key|apikey|token|access[ _-]?key)$/i;
/** A column that says whose the password is: words in the other one are passwords too. */
const OWNER_TITLE =
  /^(?:[\w -]{0,20}[ _-])?(?:user|user[ _-]?name|login|account|e-?mail|host|server|benutzer|usuario|usuário|utilisateur|identifiant|url)$/i;
const TITLE_CELL = /^[\p{L}\w .()-]{1,30}$/u;
const RULE = /^[\s|+:=-]*-[\s|+:=-]*$/;

/** Longest line, and most lines, of a table that are looked at. */
const LINE_MAX = 1000;
const LINES_MAX = 500;

export type Cell = { readonly text: string; readonly start: number };

/** What becomes of the cells below each title; null where the title names nothing. */
export type Columns = (titles: readonly string[]) => readonly (((cell: Cell) => void) | null)[];

/** Columns of tables whose title names a credential: in Markdown, in CSV with commas, semicolons or tabs. */
export function findTableSecrets(text: CountedText, report: TableReport): void {
  readTables(text, TITLE, (titles) => {
    const owned = titles.some((title) => OWNER_TITLE.test(title));
    if (!owned && titles.some((title) => /^(?:pass|clave)$/i.test(title))) return titles.map(() => null);
    return titles.map((title) => {
      const kind = kindOf(title);
      return kind && (({ text, start }) => {
        if (isSecret(text, kind, owned)) report[kind](start, start + text.length);
      });
    });
  });
  text.each(INSERT, (insert) => readInsert(text, insert, report));
}

function kindOf(title: string): "password" | "key" | null {
  return PASSWORD_TITLE.test(title) ? "password" : KEY_TITLE.test(title) ? "key" : null;
}

/** Reads the tables that have a title with one of the words. */
export function readTables(text: CountedText, title: ReturnType<typeof words>, columns: Columns): void {
  for (let at = text.next(title, 0); at !== null;) {
    const head = lineAt(text, at.start);
    const end = head === null ? text.indexOf("\n", at.end) : readTable(text, head, columns);
    at = end < 0 ? null : text.next(title, Math.max(at.end, end));
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
function readTable(text: CountedText, head: Line, columnsOf: Columns): number {
  const sign = ["|", "\t", ";", ","].find((sign) => head.text.includes(sign));
  if (sign === undefined) return head.end;
  if (sign !== "|" && (/\d/.test(head.text) || !isFirst(text, head))) return head.end;
  let line = lineFrom(text, head.end);
  if (sign === "|") {
    if (line === null || !RULE.test(line.text)) return head.end;
    line = lineFrom(text, line.end);
  }
  const titles = cellsOf(head, sign).map(({ text }) => text);
  if (titles.length < 2 || !titles.every((title) => TITLE_CELL.test(title))) return head.end;
  const columns = columnsOf(titles);
  if (columns.every((column) => column === null)) return head.end;
  let end = head.end;
  for (let row = 0; row < LINES_MAX && line !== null && line.text !== ""; row++) {
    const cells = cellsOf(line, sign);
    if (cells.length !== titles.length) break;
    cells.forEach((cell, column) => columns[column]?.(cell));
    end = line.end;
    line = line.end < text.length ? lineFrom(text, line.end) : null;
  }
  return end;
}

const INSERT = pattern(
  /into[\s]/i,
  /\binto\s{1,4}[\w.`"[\]]{1,60}\s{0,4}\(([^()\0]{1,300})\)\s{0,8}values\s{0,8}(?=\()/i,
  400,
);
const TUPLE =
  /(?<=[(,]\s{0,4})[NE]?(?:'((?:[^'\\\n\0]|''|\\.){0,200})'|[^,'()]{0,80}(?:\([^()]{0,80}\))?)\s{0,4}(?=[,)])/dg;
/** Longest row of values, and most rows, that are looked at. */
const TUPLE_MAX = 1000;

/** `INSERT INTO users (name, password) VALUES ('bob', '…')`: by the place of the column. */
function readInsert(text: CountedText, { groups, end: from }: Match, report: TableReport): void {
  const columns = groups[1]!.split(",").map((column) => column.replace(/[`"[\]\s]/g, ""));
  const values = text.slice(from, from + TUPLE_MAX);
  const row = values.slice(0, Math.max(0, values.search(/\)\s{0,4}(?:[;,\n]|$)/)) + 1);
  let column = 0;
  for (const value of row.matchAll(TUPLE)) {
    const title = columns[column++] ?? "";
    const kind = kindOf(title);
    if (kind === null || value[1] === undefined || !isSecret(value[1], kind, true)) continue;
    const [start, end] = value.indices![1]!;
    report[kind](from + start, from + end);
  }
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
