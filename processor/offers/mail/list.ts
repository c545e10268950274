import { join } from "node:path";
import { ifThere, readIfThere } from "../../../runtime/durable_file.ts";
import type { MailListing } from "../../../contract/processor_api.ts";
import { mailDir, mailFileName, mailNamesIn } from "./files.ts";

/** Which page of the mails; `search`: what recipient, subject or text must hold, in any case; null: all. */
export type MailQuery = {
  readonly search: string | null;
  /** Of a page's `older`; null: the newest. */
  readonly before: string | null;
  readonly limit: number;
};

/** Mails that one search looks at: at half a millisecond each it answers well within a page's two seconds. */
const LOOKED_AT_MAX = 500;
const TURN = 50;
/** Parsed mails that are kept, and how much of each one's text, in UTF-16 units. */
const PARSED_MAX = 1_000;
const TEXT_MAX = 10_000;

type File = { readonly name: string; readonly at: number; readonly key: string };
type Parsed = { readonly mail: Omit<MailListing["mails"][number], "rank">; readonly searched: string };

/**
 * Lists the mails that the `.eml` mailer wrote, newest first, page by page. A page asks again and again, so a mail is parsed
 * once while it is among the last that were looked at; what is gone from the disk is gone from memory at the next look.
 */
export function openMailList(
  dataDir: string,
  kind: MailListing["mailer"],
): (query: MailQuery) => Promise<MailListing> {
  const dir = mailDir(dataDir);
  let parsed = new Map<string, Parsed>();
  const read = async (file: File): Promise<Parsed | null> => {
    const known = parsed.get(file.key) ?? await parse(dir, file);
    parsed.delete(file.key);
    if (known !== null) parsed.set(file.key, known);
    return known;
  };
  return async ({ search, before, limit }) => {
    const files = newestFirst(dir);
    const there = new Set(files.map(({ key }) => key));
    parsed = new Map([...parsed].filter(([key]) => there.has(key)).slice(-PARSED_MAX));
    const wanted = search === null ? null : folded(search);
    const mails: MailListing["mails"] = [];
    let last: File | null = null;
    let lookedAt = 0;
    const rest = before === null ? files : files.filter((file) => isBelow(file, before));
    const newer = files.length - rest.length;
    for (const file of rest) {
      if (mails.length === limit || (wanted !== null && lookedAt === LOOKED_AT_MAX)) break;
      last = file;
      const rank = newer + lookedAt++;
      // Others are answered in between.
      if (lookedAt % TURN === 0) await new Promise((resolve) => setTimeout(resolve));
      const found = await read(file);
      if (found !== null && (wanted === null || found.searched.includes(wanted))) {
        mails.push({ ...found.mail, rank });
      }
    }
    const older = last === null || last === rest.at(-1) ? null : cursorOf(last);
    return { mailer: kind, mails, total: files.length, lookedAt, older };
  };
}

function newestFirst(dir: string): File[] {
  return mailNamesIn(dir)
    // An erasure may take one between two looks.
    .flatMap((name) => {
      const found = ifThere(() => Deno.statSync(join(dir, name)));
      if (found === null) return [];
      const at = found.mtime?.getTime() ?? 0;
      return [{ name, at, key: `${name} ${found.ino} ${found.size} ${at}` }];
    })
    .sort((a, b) => b.at - a.at || (a.name < b.name ? 1 : -1));
}

/** The file that a page ends with need not be there any more when the next one is asked for. */
function cursorOf({ at, name }: File): string {
  return `${at}/${messageIdOf(name)}`;
}

function isBelow({ at, name }: File, cursor: string): boolean {
  const slash = cursor.indexOf("/");
  const time = Number(cursor.slice(0, slash));
  return at < time || (at === time && messageIdOf(name) < cursor.slice(slash + 1));
}

function messageIdOf(name: string): string {
  return name.replace(/\.eml$/, "");
}

async function parse(dir: string, { name, at }: File): Promise<Parsed | null> {
  const bytes = readIfThere(join(dir, name));
  if (bytes === null) return null;
  const { default: PostalMime } = await import("postal-mime");
  const mail = await PostalMime.parse(bytes);
  const to = mail.to?.map((to) => to.address).join(", ") ?? "";
  const subject = mail.subject ?? "";
  const text = (mail.text ?? mail.html?.replace(/<[^>]*>/g, " ") ?? "").slice(0, TEXT_MAX);
  return {
    mail: { messageId: messageIdOf(name), to, subject, sentAt: new Date(at).toISOString() },
    searched: [to, subject, text].map(folded).join("\n"),
  };
}

/** Lines of a mail are broken anywhere. */
function folded(text: string): string {
  return text.trim().replace(/\s+/g, " ").toLowerCase();
}

/** The bytes of one mail, or null; `messageId` with or without its angle brackets. */
export function readMail(dataDir: string, messageId: string): Uint8Array | null {
  const name = mailFileName(messageId);
  // Only a name that the directory itself lists is opened.
  return mailNamesIn(mailDir(dataDir)).includes(name)
    ? Deno.readFileSync(join(mailDir(dataDir), name))
    : null;
}
