/** The mails that were written as files, and which of them somebody has read in this browser. */
import { computed, signal } from "@preact/signals";
import type { MailListing } from "../../contract/processor_api.ts";
import { onMail } from "./changes.ts";
import { getJson } from "./feed.ts";
import { now } from "./now.ts";

/** Null while the processor has not answered, and where no copy is kept (SMTP) without mails. */
export const mails = signal<MailListing | null>(null);

/** JSON array of message ids, written by the mail page. */
const READ = "pipeline.mail.read";

let started = false;

/** Looks at the mails, now and whenever one went out; later calls do nothing. */
export function startMails(): void {
  if (started) return;
  started = true;
  const look = async () => mails.value = await getJson<MailListing>("/api/mails") ?? mails.value;
  look();
  onMail(look);
}

/** How many have not been opened here; null while nothing is known. Looks again each second: the mail page tells nobody. */
export const unread = computed(() => {
  if (mails.value === null) return null;
  now();
  const read = readIds();
  return mails.value.mails.filter(({ messageId }) => !read.has(bare(messageId))).length;
});

/** To whom a mail went; null where no copy says so. */
export function recipientOf(messageId: string | null): string | null {
  if (messageId === null) return null;
  return mails.value?.mails.find((mail) => bare(mail.messageId) === bare(messageId))?.to || null;
}

function readIds(): ReadonlySet<string> {
  try {
    const ids = JSON.parse(localStorage.getItem(READ) ?? "[]");
    return new Set(Array.isArray(ids) ? ids.filter((id) => typeof id === "string").map(bare) : []);
  } catch {
    // No JSON, or no storage in this browser: nothing has been read.
    return new Set();
  }
}

/** Steps and files write an id with or without its brackets. */
function bare(messageId: string): string {
  return messageId.replace(/^<|>$/g, "");
}
