import { join } from "node:path";
import { mailDir, mailFileName, mailTmpDir } from "../../../contract/mail_files.ts";
import { ifThere, isThere, removeIfThere, syncDirectorySync } from "../../../runtime/durable_file.ts";

/** The `.eml` files of a DATA_DIR: in `new` those that were sent, in `tmp` those on their way. */

export { mailDir, mailFileName, mailTmpDir };

/** Names of the `.eml` files in a directory; none where it is missing. */
export function mailNamesIn(directory: string): string[] {
  const entries = ifThere(() => [...Deno.readDirSync(directory)]) ?? [];
  return entries.filter(({ isFile, name }) => isFile && name.endsWith(".eml")).map(({ name }) => name);
}

/** Every `.eml` file, also of mails on their way; `messageId` without angle brackets, as the name has it. */
export function mailFiles(dataDir: string): { readonly messageId: string; readonly path: string }[] {
  return [mailTmpDir(dataDir), mailDir(dataDir)].flatMap((directory) =>
    mailNamesIn(directory).map((name) => ({
      messageId: name.replace(/\.eml$/, ""),
      path: join(directory, name),
    }))
  );
}

/**
 * Deletes the files of these messages; their names are gone durably. One that is on its way is taken before its rename,
 * which then fails, or behind it: never neither.
 */
export function removeMails(dataDir: string, messageIds: readonly string[]): void {
  for (const directory of [mailTmpDir(dataDir), mailDir(dataDir)]) {
    if (!isThere(directory)) continue;
    for (const messageId of messageIds) removeIfThere(join(directory, mailFileName(messageId)));
    syncDirectorySync(directory);
  }
}
