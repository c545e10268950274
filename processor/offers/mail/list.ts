import PostalMime from "postal-mime";
import { join } from "node:path";
import type { MailListing } from "../../../contract/processor_api.ts";
import { mailDir, mailFileName, mailNamesIn } from "./files.ts";

/** Mails shown at most, the newest. */
const MAILS_LISTED_MAX = 200;

/** The mails that the `.eml` mailer wrote, newest first. */
export async function listMails(dataDir: string, kind: MailListing["mailer"]): Promise<MailListing> {
  const dir = mailDir(dataDir);
  const newest = mailNamesIn(dir)
    .map((name) => ({ name, at: Deno.statSync(join(dir, name)).mtime?.getTime() ?? 0 }))
    .sort((a, b) => b.at - a.at)
    .slice(0, MAILS_LISTED_MAX);
  const mails = await Promise.all(newest.map(async ({ name, at }) => {
    const mail = await PostalMime.parse(Deno.readFileSync(join(dir, name)));
    return {
      messageId: name.replace(/\.eml$/, ""),
      to: mail.to?.map((to) => to.address).join(", ") ?? "",
      subject: mail.subject ?? "",
      sentAt: new Date(at).toISOString(),
    };
  }));
  return { mailer: kind, mails };
}

/** The bytes of one mail, or null; `messageId` with or without its angle brackets. */
export function readMail(dataDir: string, messageId: string): Uint8Array | null {
  const name = mailFileName(messageId);
  // Only a name that the directory itself lists is opened.
  return mailNamesIn(mailDir(dataDir)).includes(name)
    ? Deno.readFileSync(join(mailDir(dataDir), name))
    : null;
}
