import { createPrivateKey } from "node:crypto";

/** What mails are signed with (DKIM, RFC 6376): the public key stands in DNS at `<selector>._domainkey.<domain>`. */
export type DkimKey = {
  /** In ASCII. */
  readonly domain: string;
  readonly selector: string;
  /** PEM. */
  readonly privateKey: string;
};

const LABEL = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?";
const NAME = new RegExp(`^${LABEL}(?:\\.${LABEL})*$`);
/** Longest name in DNS, in characters. */
const NAME_LENGTH_MAX = 253;
/** RFC 8301: shorter ones are no signature to anybody. */
const RSA_BITS_MIN = 1024;

/** The domain in ASCII and lower case; null where it is no name in DNS with a dot in it. */
export function readDkimDomain(text: string): string | null {
  const url = /^[^\s/?#@:\\%]+$/.test(text) ? URL.parse(`http://${text}/`) : null;
  const domain = url?.hostname ?? "";
  const isName = NAME.test(domain) && domain.length <= NAME_LENGTH_MAX && /\.[a-z][a-z0-9-]*$/.test(domain);
  return isName ? domain : null;
}

/** The selector in lower case; null where it is no part of a name in DNS. */
export function readDkimSelector(text: string): string | null {
  const selector = text.toLowerCase();
  return NAME.test(selector) && selector.length <= NAME_LENGTH_MAX ? selector : null;
}

/** Null where the key can sign, else what is wrong with it and what to do, without any of it. */
export function problemOfDkimKey(pem: string): string | null {
  let key;
  try {
    key = createPrivateKey(pem);
  } catch {
    return "there is no private key in it, or it has a passphrase. Make one with `openssl genrsa -out FILE 2048`, or take " +
      "the passphrase off with `openssl pkey -in FILE -out PLAIN`";
  }
  if (key.asymmetricKeyType !== "rsa") {
    return `mails are signed with RSA, and this key is ${key.asymmetricKeyType}. Many mailboxes read no other; make one ` +
      "with `openssl genrsa -out FILE 2048`";
  }
  const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
  return bits < RSA_BITS_MIN
    ? `its ${bits} bits are too few: mailboxes take no signature under ${RSA_BITS_MIN}. Make one with ` +
      "`openssl genrsa -out FILE 2048`"
    : null;
}

/** Whether DMARC may take a signature of this domain for a sender of that one: one is the other, or lies within it. */
export function isAligned(domain: string, senderDomain: string): boolean {
  const sender = senderDomain.toLowerCase();
  return domain === sender || domain.endsWith(`.${sender}`) || sender.endsWith(`.${domain}`);
}
