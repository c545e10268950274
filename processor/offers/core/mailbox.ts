/**
 * One mailbox in every spelling is one: what two addresses must have in common to be the same person's inbox.
 *
 * The rule, in order: Unicode's compatibility forms become plain ones (full-width letters, `＠`, `．`), white space around
 * goes; the domain becomes ASCII (IDN to punycode, lower case, no dot at its end), `googlemail.com` is `gmail.com`; the
 * local part loses quotes that it does not need, becomes lower case, loses everything from its first `+` on (unless
 * nothing would be left), and at `gmail.com` its dots. The `+` rule holds for every domain: where a provider tells two
 * such mailboxes apart, two people share one offer, and nobody gets a second mail.
 */
export type Address = {
  /** What a mail is addressed to: as it was written, but for compatibility forms and the domain's spelling. */
  readonly deliverable: string;
  /** What `KeyedHashes.mailbox` is made of. */
  readonly normalised: string;
};

const LOCAL_CHARACTERS_MAX = 64;
const ADDRESS_CHARACTERS_MAX = 254;
/** Atom characters of RFC 5322 with dots between them, and any letter or digit beyond ASCII (RFC 6531). */
const LOCAL =
  /^[a-z0-9!#$%&'*+/=?^_`{|}~\u{a1}-\u{10ffff}-]+(\.[a-z0-9!#$%&'*+/=?^_`{|}~\u{a1}-\u{10ffff}-]+)*$/iu;
const UNSEEN = /[\p{C}\p{Z}]/u;
const DOMAIN = /^(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** The address in a value that should be one; null where no mail could be sent to it (which is no error: people type). */
export function readAddress(value: unknown): Address | null {
  if (typeof value !== "string" || value.length > 1000) return null;
  const text = value.normalize("NFKC").trim();
  const at = text.lastIndexOf("@");
  if (at < 1 || text.length > ADDRESS_CHARACTERS_MAX || UNSEEN.test(text)) return null;
  const local = unquote(text.slice(0, at));
  const domain = asciiDomain(text.slice(at + 1));
  if (domain === null || local.length > LOCAL_CHARACTERS_MAX || !LOCAL.test(local)) return null;
  return { deliverable: `${local}@${domain}`, normalised: `${normalLocal(local, domain)}@${family(domain)}` };
}

/**
 * The address in a value that a mail may be sent to; null also for what no public mail server takes, or what a relay may
 * take for something else than a mailbox: a domain of one label or without a name (an IP address, RFC 6761's names), `%`
 * and `!` routes (RFC 5321 appendix C, RFC 976), an encoded word (RFC 2047).
 */
export function readRecipient(value: unknown): Address | null {
  const address = readAddress(value);
  if (address === null) return null;
  const at = address.deliverable.lastIndexOf("@");
  const [local, domain] = [address.deliverable.slice(0, at), address.deliverable.slice(at + 1)];
  return ROUTE.test(local) || !PUBLIC_DOMAIN.test(domain) || NOWHERE.test(domain) ? null : address;
}

const ROUTE = /[%!]|=\?/;
/** At least two labels; no top-level domain begins with a figure, so an IP address is none. */
const PUBLIC_DOMAIN = /\.[a-z][a-z0-9-]*[a-z0-9]$/;
/** What no public server answers for (RFC 6761, 6762, 7686, 8375); `.example` and `.test` stay for trying out. */
const NOWHERE = /\.(localhost|local|localdomain|invalid|onion|internal|arpa)$/;

function unquote(local: string): string {
  return /^"[^"\\]+"$/.test(local) ? local.slice(1, -1) : local;
}

/** What the URL parser, which takes 3 µs, leaves as it is: no capital, no punycode, and no number at the end, as an IP address has. */
const PLAIN_DOMAIN = /^(?!.*--)([a-z0-9-]+\.)*[a-z][a-z0-9-]*$/;

/** IDN to ASCII by the URL parser, which also maps `。` to a dot; an address literal or a port is no domain here. */
function asciiDomain(domain: string): string | null {
  if (PLAIN_DOMAIN.test(domain)) return DOMAIN.test(domain) ? domain : null;
  if (/[/:?#@[\]\\%]/.test(domain) || !URL.canParse(`http://${domain}`)) return null;
  const ascii = new URL(`http://${domain}`).hostname.replace(/\.$/, "");
  return DOMAIN.test(ascii) ? ascii : null;
}

function family(domain: string): string {
  return domain === "googlemail.com" ? "gmail.com" : domain;
}

function normalLocal(local: string, domain: string): string {
  const plus = local.indexOf("+");
  const base = (plus > 0 ? local.slice(0, plus) : local).toLowerCase();
  return family(domain) === "gmail.com" ? base.replaceAll(".", "") : base;
}
