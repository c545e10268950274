import type { KeyedHashes } from "../../contract/keyed_hash.ts";
import { readAddress } from "./core/mailbox.ts";

/** The hashes that deciding needs, behind a small cache: a person's events come close together. */
export type PersonHashes = {
  subject(distinctId: string): string;
  personSubject(personId: string): string;
  /** Of an address as it was written; null where no mail could be sent to it. */
  mailboxOf(email: string): string | null;
};

/** About 3 MB each. */
const REMEMBERED_MAX = 20_000;

/**
 * Keyed hashes of persons and mailboxes, remembered for the ids seen last; `mailboxOf` is null for what is no address.
 */
export function createPersonHashes(hashes: KeyedHashes): PersonHashes {
  return {
    subject: remembered(hashes.subject),
    personSubject: remembered(hashes.personSubject),
    mailboxOf: remembered((email) => {
      const address = readAddress(email);
      return address === null ? null : hashes.mailbox(address.normalised);
    }),
  };
}

/** Forgets everything when it is full: cheaper than knowing which is the oldest. */
function remembered<T>(compute: (text: string) => T): (text: string) => T {
  const known = new Map<string, T>();
  return (text) => {
    const found = known.get(text);
    if (found !== undefined) return found;
    if (known.size >= REMEMBERED_MAX) known.clear();
    const made = compute(text);
    known.set(text, made);
    return made;
  };
}
