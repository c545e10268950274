/** The mails that were written as files, and which of them somebody has read in this browser. */
import { computed, signal } from "@preact/signals";
import type { MailListing } from "../../contract/processor_api.ts";
import { onMail } from "./changes.ts";
import { getJson } from "./feed.ts";
import { followRead, readMails } from "./read_mails.ts";

/** Null while the processor has not answered, and where no copy is kept (SMTP) without mails. */
export const mails = signal<MailListing | null>(null);

let started = false;

/** Looks at the mails, now and whenever one went out; later calls do nothing. */
export function startMails(): void {
  if (started) return;
  started = true;
  const look = async () => mails.value = await getJson<MailListing>("/api/mails") ?? mails.value;
  look();
  onMail(look);
  followRead();
}

/** How many of the newest have not been opened in this browser; null while nothing is known. */
export const unread = computed(() => {
  const read = readMails.value;
  if (mails.value === null || read === null) return null;
  return mails.value.mails.filter(({ messageId }) => !read.has(messageId)).length;
});

/** To whom a mail went; null where no copy says so. */
export function recipientOf(messageId: string | null): string | null {
  if (messageId === null) return null;
  return mails.value?.mails.find((mail) => bare(mail.messageId) === bare(messageId))?.to || null;
}

/** Steps and files write an id with or without its brackets. */
function bare(messageId: string): string {
  return messageId.replace(/^<|>$/g, "");
}
