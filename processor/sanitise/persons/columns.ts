import { countDigits } from "../checks.ts";
import { type CountedText, words } from "../counted_text.ts";
import { readTables } from "../secrets/tables.ts";
import { KINDS, type PersonEntity } from "./kinds.ts";

type ColumnEntity = PersonEntity | "PHONE_NUMBER" | "US_PASSPORT" | "US_DRIVER_LICENSE" | "US_BANK_NUMBER";

/** Columns by their whole title, and what their cells look like; rows to be argued about. */
const COLUMNS: readonly { readonly entity: ColumnEntity; readonly title: RegExp; readonly cell: RegExp }[] = [
  {
    entity: "PHONE_NUMBER",
    title:
      /^(?:[\w -]{0,20}[ _-])?(?:tele)?(?:phone|mobile|cell|tel|fax|whatsapp)(?:[ _-]?(?:no|nr|number|num))?$/i,
    cell: /^(?:\+|\(\+?)?\d[\d ().\/-]{5,20}$/,
  },
  {
    entity: "US_PASSPORT",
    title: /^(?:[\w -]{0,20}[ _-])?passport(?:[ _-]?(?:no|number|num|id))?$/i,
    cell: /^[A-Z]{0,2}\d{6,9}[A-Z]?$/,
  },
  {
    entity: "US_DRIVER_LICENSE",
    title:
      /^(?:[\w -]{0,20}[ _-])?(?:driv(?:er|ing)s?[ _-]?licen[sc]e|dl|licen[sc]e[ _-]no)(?:[ _-]?(?:no|number|num))?$/i,
    cell: /^(?=[A-Z\d-]*\d{3})[A-Z]{0,3}[\d-]{6,14}[A-Z]{0,2}$/,
  },
  {
    entity: "US_BANK_NUMBER",
    title:
      /^(?:[\w -]{0,20}[ _-])?(?:(?:account|acct)[ _-]?(?:no|number|num)|(?:bank|checking|savings)[ _-]?(?:account|acct))$/i,
    cell: /^\d{8,17}$/,
  },
];
const TITLE = words(
  /phone|mobile|cell|\btel\b|_tel\b|fax|whatsapp|passport|licen[sc]e|(?<=[,;|\t _])dl\b|account|acct|nhs|steuer|pesel|cpf|cnpj|aadhaar|bsn|tfn|medicare|\bsin\b|secu|nir\b|rrn|resident|id_card/i,
);

/** A text without any of these has no such title. */
export const COLUMN_CUES: readonly string[] =
  ("phone mobile cell tel fax whatsapp passport licen dl account acct nhs steuer pesel cpf cnpj aadhaar bsn tfn medicare " +
    "sin secu nir rrn resident id_card").split(" ");

/**
 * Numbers by the title of their column, in Markdown's tables and CSV: the title stands far from most of its cells. Numbers
 * that states give need their check digits right here too.
 */
export function findNumberColumns(
  text: CountedText,
  found: (entity: ColumnEntity, start: number, end: number) => void,
): void {
  readTables(text, TITLE, (titles) =>
    titles.map((title) => {
      const row = COLUMNS.find((row) => row.title.test(title));
      const named = ` ${title.toLowerCase().replaceAll(/[ _-]+/g, " ")} `;
      const kinds = row === undefined ? KINDS.filter(({ word }) => word.test(named)) : [];
      if (row === undefined && kinds.length === 0) return null;
      return ({ text, start }) => {
        if (text.length > 30 || countDigits(text) < 6) return;
        const entity = row === undefined
          ? kinds.find(({ isValid }) => isValid(text.replaceAll(/[^\dX]/g, "")))?.entity
          : row.cell.test(text)
          ? row.entity
          : undefined;
        if (entity !== undefined) found(entity, start, start + text.length);
      };
    }));
}
