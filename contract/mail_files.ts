import { join } from "node:path";

/** Where a DATA_DIR keeps the mails that were sent: `mail/new/<Message-ID>.eml`, and in `mail/tmp` those on their way. */

export function mailDir(dataDir: string): string {
  return join(dataDir, "mail", "new");
}

export function mailTmpDir(dataDir: string): string {
  return join(dataDir, "mail", "tmp");
}

/** @param messageId With or without its angle brackets. */
export function mailFileName(messageId: string): string {
  return `${messageId.replace(/^<|>$/g, "").replace(/[^A-Za-z0-9@._-]/g, "_")}.eml`;
}
