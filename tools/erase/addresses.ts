import { Buffer } from "node:buffer";
import { readAddress } from "../../processor/offers/mod.ts";
import { remembering } from "../../runtime/remember.ts";

/** Mailboxes that are looked for among bytes in every spelling: compared as the pipeline compares addresses. */

/** `@`, and the two characters that Unicode's compatibility forms make of it, as bytes of UTF-8. */
const AT = /@|\xef\xbc\xa0|\xef\xb9\xab/g;
/** Bytes of UTF-8; more than an address may have. */
const SIDE_BYTES_MAX = 400;
const DOMAIN = new RegExp(String.raw`[A-Za-z0-9.\-\x80-\xff]{1,${SIDE_BYTES_MAX}}`, "y");
const LOCAL = /[A-Za-z0-9!#$%&'*+/=?^_`{|}~.\-\x80-\xff]/;
/** Letters, digits and what joins them: an address that begins behind one of these is a part of another. */
const WORD = /[A-Za-z0-9_+@-]/;
/** Places in a local part or a domain at which an address may begin or end. */
const BORDERS_MAX = 64;
const REMEMBERED = { entriesMax: 10_000 };

/** Finds mailboxes in a text of one character per byte of UTF-8. */
export class AddressFinder {
  readonly #known: ReadonlySet<string>;
  readonly #domains: ReadonlySet<string>;
  readonly #locals: ReadonlySet<string>;
  /** Whether a domain, as it stands there, is one of those looked for. */
  readonly #isKnownDomain = remembering((domain) => {
    const normalised = readAddress(`a@${domain}`)?.normalised;
    return normalised !== undefined && this.#domains.has(normalised.slice(2));
  }, REMEMBERED);

  /** @param mailboxes As `readAddress` normalises them. */
  constructor(readonly mailboxes: readonly string[]) {
    this.#known = new Set(mailboxes);
    this.#locals = new Set(mailboxes.map((one) => coreOf(one.slice(0, one.lastIndexOf("@")))));
    this.#domains = new Set(mailboxes.map((one) => one.slice(one.lastIndexOf("@") + 1)));
  }

  /** Where each spelling of one of the mailboxes begins. */
  *find(text: string): Generator<number> {
    if (this.#known.size === 0) return;
    for (const { 0: at, index } of text.matchAll(AT)) {
      const begin = this.#beginning(text, { index, behind: index + at.length });
      if (begin !== null) yield begin;
    }
  }

  #beginning(text: string, { index, behind }: { readonly index: number; readonly behind: number }) {
    DOMAIN.lastIndex = behind;
    const run = DOMAIN.exec(text)?.[0];
    if (run === undefined) return null;
    const domains = endings(run).filter(this.#isKnownDomain);
    if (domains.length === 0) return null;
    for (const begin of beginnings(text, index)) {
      const local = utf8(text.slice(begin, index));
      // Saves reading every address of the same domain.
      if (!this.#locals.has(coreOf(local))) continue;
      const isKnown = (domain: string) =>
        this.#known.has(readAddress(`${local}@${domain}`)?.normalised ?? "");
      if (domains.some(isKnown)) return begin;
    }
    return null;
  }
}

/** What two local parts of one mailbox have in common, and others may have too. */
function coreOf(local: string): string {
  return local.normalize("NFKC").replace(/(?<=.)\+.*/s, "").replace(/[".]/g, "").toLowerCase();
}

/** A domain, whole and without what follows it in a sentence: a dot, or letters and signs beyond ASCII. */
function endings(run: string): string[] {
  if (!BEYOND_ASCII.test(run)) return [run.replace(/[.-]+$/, "")];
  const ends = [run.length];
  for (let at = 1; at < run.length && ends.length < BORDERS_MAX; at++) {
    if (run[at]! >= "\x80" && (run[at - 1]! < "\x80" || run[at]! >= "\xc0")) ends.push(at);
  }
  return [...new Set(ends.map((end) => utf8(run.slice(0, end).replace(/[.-]+$/, ""))))];
}

/** Where a local part that ends at `end` may begin: at every border of words, and at its quotation mark. */
function beginnings(text: string, end: number): number[] {
  const least = Math.max(0, end - SIDE_BYTES_MAX);
  if (text[end - 1] === '"') {
    const quote = text.lastIndexOf('"', end - 2);
    return quote >= least && quote < end - 1 ? [quote] : [];
  }
  const found: number[] = [];
  for (let at = end - 1; at >= least && LOCAL.test(text[at]!) && found.length < BORDERS_MAX; at--) {
    if (at === 0 || !isWithin(text, at)) found.push(at);
  }
  return found;
}

/** A dot joins only with a word on its other side. */
function isWithin(text: string, at: number): boolean {
  const before = text[at - 1]!;
  return WORD.test(before) || before === "." && WORD.test(text[at - 2] ?? "");
}

const BEYOND_ASCII = /[\x80-\xff]/;

function utf8(bytes: string): string {
  return !BEYOND_ASCII.test(bytes) ? bytes : Buffer.from(bytes, "latin1").toString("utf8");
}
