import { remembering } from "../../runtime/remember.ts";
import type { KeyedHashes } from "../../contract/keyed_hash.ts";
import { readRecipient } from "./core/mailbox.ts";

/** The hashes that deciding needs, behind a small cache: a person's events come close together. */
export type PersonHashes = {
  subject(distinctId: string): string;
  personSubject(personId: string): string;
  /** Of an address as it was written; null where no mail could be sent to it. */
  mailboxOf(email: string): string | null;
};

/** About 3 MB each. */
const REMEMBERED = { entriesMax: 20_000 };

/** Keyed hashes that are remembered for the newest 20,000 texts of each kind. */
export function createPersonHashes(hashes: KeyedHashes): PersonHashes {
  return {
    subject: remembering(hashes.subject, REMEMBERED),
    personSubject: remembering(hashes.personSubject, REMEMBERED),
    mailboxOf: remembering((email) => {
      const address = readRecipient(email);
      return address === null ? null : hashes.mailbox(address.normalised);
    }, REMEMBERED),
  };
}
