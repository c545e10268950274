/** The list of mails: how a page of it is asked for, what it says it has, and what of it was read in this browser. Pure. */
import type { MailListing, MailSearch } from "../../contract/processor_api.ts";
import { count, plural } from "./format.ts";

/** Which page of the mails; `search`: words of recipient, subject or text, "" for all; `before`: of a page's `older`. */
export type MailQuery = { readonly search: string; readonly before: string | null };

const MAILS_SHOWN = 50;

/** How the processor, and web, are asked for a page: what is searched for stands in no address, since it may be one. */
export function mailQuestion({ search, before }: MailQuery): { path: string; order?: MailSearch } {
  if (search.trim() !== "") {
    const order = { search, limit: MAILS_SHOWN, ...(before === null ? {} : { before }) };
    return { path: "/api/mails/search", order };
  }
  const from = before === null ? "" : `&${new URLSearchParams({ before })}`;
  return { path: `/api/mails?limit=${MAILS_SHOWN}${from}` };
}

/** What a page has, and of how many. */
export function foundText(
  { mails, total, lookedAt, older }: MailListing,
  { search, before }: MailQuery,
): string {
  const all = `${count(total)} ${plural(total, "mail")}`;
  const found = count(mails.length);
  if (search.trim() === "") {
    return before === null && older === null ? `${all}, newest first` : `${found} of ${all}, newest first`;
  }
  const where = lookedAt === total ? all : `the ${count(lookedAt)} of ${all} that were looked at`;
  return `${found} found in ${where}${older === null ? "" : "; older ones are still to be looked at"}`;
}

/** So many are remembered; nobody can tell of older mails whether they were read. */
export const READ_MAX = 1_000;

/** What somebody else may have written there is passed over. */
export function readIdsIn(json: string | null): readonly string[] {
  try {
    const ids: unknown = JSON.parse(json ?? "[]");
    return Array.isArray(ids) ? ids.filter((id) => typeof id === "string") : [];
  } catch {
    return [];
  }
}

/** `ids` come to the end; beyond {@link READ_MAX} the first ones go. */
export function keptRead(before: readonly string[], ids: readonly string[]): readonly string[] {
  const now = new Set(ids);
  return [...before.filter((id) => !now.has(id)), ...now].slice(-READ_MAX);
}

/** Null where nobody can tell: `read` is null before the browser was asked. `rank`: how many newer mails there are. */
export function isUnread(
  { messageId, rank }: { readonly messageId: string; readonly rank: number },
  read: ReadonlySet<string> | null,
): boolean | null {
  if (read === null) return null;
  return read.has(messageId) ? false : rank < READ_MAX || null;
}
