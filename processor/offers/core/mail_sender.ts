import { readAddress } from "./mailbox.ts";

/** Who the mails are from. */
export type MailSender = {
  /** What stands before the address; empty: nothing. */
  readonly name: string;
  /** One address, in ASCII. */
  readonly address: string;
  /** The address's domain, in lower-case ASCII (an IDN as punycode). */
  readonly domain: string;
};

const NAME_CHARACTERS_MAX = 128;
/** A name in quotes, with backslashes before what needs one, or a plain one without what separates addresses. */
const NAMED = /^(?:"((?:[^"\\]|\\.)*)"|([^"<>@,;:\\]*))\s*<([^<>]*)>$/u;

/**
 * Reads `offers@shop.example` or `Shop <offers@shop.example>` (RFC 5322); null where it is not one address with a
 * domain of at least two labels: a sender that nobody can answer or refuse to makes mails bounce into nothing.
 */
export function readMailSender(text: string): MailSender | null {
  if (/\p{C}/u.test(text)) return null;
  const named = NAMED.exec(text.trim());
  const name = (named?.[1]?.replace(/\\(.)/gu, "$1") ?? named?.[2] ?? "").trim();
  const written = (named ? named[3]! : text).trim();
  const address = readAddress(written)?.deliverable ?? "";
  const domain = address.slice(address.lastIndexOf("@") + 1);
  // Beyond ASCII only the domain has a form that every server takes.
  const isPlain = /^[!-~]+$/.test(address) && /\.[a-z][a-z0-9-]*$/.test(domain);
  return isPlain && name.length <= NAME_CHARACTERS_MAX ? { name, address, domain } : null;
}
