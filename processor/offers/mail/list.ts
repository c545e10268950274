import PostalMime from "postal-mime";
import { join } from "node:path";
import { ifThere, readIfThere } from "../../../runtime/durable_file.ts";
import type { MailListing } from "../../../contract/processor_api.ts";
import { mailDir, mailFileName, mailNamesIn } from "./files.ts";

/** Mails shown at most, the newest. */
const MAILS_LISTED_MAX = 200;

/**
 * Lists the mails that the `.eml` mailer wrote, newest first: the last 200. A page asks again and again, so a mail is parsed
 * once while it is among them.
 */
export function openMailList(dataDir: string, kind: MailListing["mailer"]): () => Promise<MailListing> {
  let parsed = new Map<string, MailListing["mails"][number]>();
  return async () => {
    const dir = mailDir(dataDir);
    const newest = mailNamesIn(dir)
      // An erasure may take one between two looks.
      .flatMap((name) => {
        const found = ifThere(() => Deno.statSync(join(dir, name)));
        if (found === null) return [];
        const at = found.mtime?.getTime() ?? 0;
        return [{ name, at, key: `${name} ${found.ino} ${found.size} ${at}` }];
      })
      .sort((a, b) => b.at - a.at)
      .slice(0, MAILS_LISTED_MAX);
    const listed = new Map<string, MailListing["mails"][number]>();
    for (const { name, at, key } of newest) {
      const mail = parsed.get(key) ?? await readListed(dir, { name, at });
      if (mail) listed.set(key, mail);
    }
    parsed = listed;
    return { mailer: kind, mails: [...listed.values()] };
  };
}

async function readListed(dir: string, { name, at }: { readonly name: string; readonly at: number }) {
  const bytes = readIfThere(join(dir, name));
  if (bytes === null) return null;
  const mail = await PostalMime.parse(bytes);
  return {
    messageId: name.replace(/\.eml$/, ""),
    to: mail.to?.map((to) => to.address).join(", ") ?? "",
    subject: mail.subject ?? "",
    sentAt: new Date(at).toISOString(),
  };
}

/** The bytes of one mail, or null; `messageId` with or without its angle brackets. */
export function readMail(dataDir: string, messageId: string): Uint8Array | null {
  const name = mailFileName(messageId);
  // Only a name that the directory itself lists is opened.
  return mailNamesIn(mailDir(dataDir)).includes(name)
    ? Deno.readFileSync(join(mailDir(dataDir), name))
    : null;
}
