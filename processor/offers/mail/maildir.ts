import { join } from "node:path";
import {
  isThere,
  makePrivateDirectory,
  PRIVATE,
  removeIfThere,
  syncDirectorySync,
  writeDurablySync,
} from "../../../runtime/durable_file.ts";
import type { DkimKey } from "../core/dkim.ts";
import type { Mailer } from "../mailer.ts";
import { mailDir, mailFileName, mailTmpDir } from "./files.ts";
import { buildMessage } from "./message.ts";

/**
 * Writes mails as `.eml` files into `$DATA_DIR/mail/new/`, after the Maildir habit of `tmp` and `new`: the file is
 * whole and on disk before the claim, and the rename is the sending. So this mailer always knows what became of a
 * message: its file is there or it is not. The file's name is the Message-ID without its angle brackets.
 */
export function createMaildirMailer(
  dataDir: string,
  { now, dkim = null }: { readonly now: () => number; readonly dkim?: DkimKey | null },
): Mailer {
  const temporaryDir = mailTmpDir(dataDir);
  const newDir = mailDir(dataDir);
  for (const directory of [temporaryDir, newDir]) makePrivateDirectory(directory);
  for (const left of Deno.readDirSync(temporaryDir)) Deno.removeSync(join(temporaryDir, left.name));
  return {
    kind: "maildir",
    async send(mail, claim) {
      const { bytes } = await buildMessage(mail, { now: now(), dkim });
      const temporary = join(temporaryDir, mailFileName(mail.messageId));
      try {
        writeDurablySync(temporary, bytes, PRIVATE);
      } catch (error) {
        return {
          is: "relay",
          serverAnswer: `Cannot write mail into "${temporaryDir}": ${(error as Error).message}`,
        };
      }
      const claimedAt = performance.now();
      if (!await claim().catch(() => false)) {
        removeIfThere(temporary);
        return { is: "void" };
      }
      // A process that was stopped in between wakes up here: somebody else may have called this attempt unknown.
      if (performance.now() - claimedAt >= CLAIM_TIMEOUT_MS) {
        removeIfThere(temporary);
        return { is: "deferred", serverAnswer: "gave up before the rename", claimed: true };
      }
      try {
        Deno.renameSync(temporary, join(newDir, mailFileName(mail.messageId)));
      } catch (error) {
        return {
          is: "deferred",
          serverAnswer: `Cannot move mail into "${newDir}": ${(error as Error).message}`,
          claimed: true,
        };
      }
      syncDirectorySync(newDir);
      return { is: "accepted", serverAnswer: "written" };
    },
    outcomeOf: (messageId) => outcomeIn(dataDir, messageId),
    close: () => Promise.resolve(),
  };
}

/** What became of a message whose server keeps what it takes in this DATA_DIR. */
export function outcomeIn(dataDir: string, messageId: string): ReturnType<Mailer["outcomeOf"]> {
  const there = isThere(join(mailDir(dataDir), mailFileName(messageId)));
  return Promise.resolve(there ? "accepted" : "not_sent");
}

const CLAIM_TIMEOUT_MS = 45_000;
