import type { DatabaseSync } from "node:sqlite";
import type { KeyedHashes } from "../../../contract/keyed_hash.ts";
import type { OfferQuery, OfferState, OfferView, PipelineStatus } from "../../../contract/processor_api.ts";
import { decodeFact, type Fact } from "../../facts/facts.ts";
import type { Offer } from "../core/offer.ts";
import { normalCode, offerCode } from "../core/names.ts";
import { reasonOf, timelineText } from "../core/timeline_text.ts";
import { createOfferPages, type OfferPage } from "./offer_page.ts";
import { createOfferRows, type OfferRows } from "./rows.ts";
import { viewEndOf } from "./writer.ts";

/** The offers as the status API and the commands show them. Reads the view beside its loops; never writes. */
export type OfferStatusReader = {
  /** By distinct_id or by `person-` and its subject; null where nothing is known of it. */
  offerOf(person: string, hashes: KeyedHashes): OfferView | null;
  /** By the ID that `list` shows; null where there is none. */
  offerById(id: number, hashes: KeyedHashes): ListedOffer | null;
  /** The current offer of a person, by distinct_id or by `person-` and a subject; null where there is none. */
  currentOf(person: string, hashes: KeyedHashes): ListedOffer | null;
  /** People by the state of their offer; `counting` are those with uses and no offer. */
  counts(): Record<OfferState, number>;
  /** Attempts by what became of them. */
  mails(): PipelineStatus["mails"];
  /** The current offer of everybody who has one, in the order in which they earned it. */
  list(hashes: KeyedHashes): ListedOffer[];
  /** A page of everybody who has used, earned or opted out, and how many there are of each. */
  page(query: OfferQuery, hashes: KeyedHashes): OfferPage;
  /** True once a claim of the code's offer held. */
  codeIsValid(code: string): boolean;
  /** The subject with all that are one person with it, and those of every earlier erasure that names one of them. */
  subjectsToErase(subject: string): string[];
  /** True where a fact names the subject, an erasure too. */
  hasSeen(subject: string): boolean;
  /** Every fact below it is applied. */
  nextFact(): number;
  close(): void;
};

/** `offer`: the ID that commands take; `attempt`: what a `reopened` fact must name; `position`: of the record that earned it. */
export type ListedOffer = Omit<OfferView, "timeline"> & {
  readonly offer: string;
  readonly subject: string;
  readonly attempt: number;
  readonly position: Offer["position"];
};

/** Facts that a person's timeline shows, the last ones: a stranger may bring any number of addresses and joins. */
const TIMELINE_MAX = 500;
const PSEUDONYM = /^person-((?:p-)?[0-9a-f]{32})$/;
export const NO_OFFERS: Readonly<Record<OfferState, number>> = {
  counting: 0,
  waiting: 0,
  sending: 0,
  offered: 0,
  failed: 0,
  closed: 0,
};

/**
 * Reads people and offers of an open view, which it closes in the end.
 *
 * @param options.threshold Uses that earn an offer, as the view's owner is configured; `provenOnly` likewise.
 */
export function createOfferStatusReader(
  db: DatabaseSync,
  { threshold, provenOnly }: { readonly threshold: number; readonly provenOnly: boolean },
): OfferStatusReader {
  const rows = createOfferRows(db);
  const sql = statements(db);
  const end = viewEndOf(db);

  const shown = (
    person: number,
    about: { distinctId: string | null; offer: Offer | null; hashes: KeyedHashes },
  ) => ({
    distinctId: about.distinctId,
    offer: about.offer === null ? null : String(about.offer.id),
    failedTries: (about.offer?.tries ?? 1) - 1,
    ...stateOf(rows, { person, offer: about.offer, provenOnly }),
    uses: rows.summaryOf(person).uses,
    threshold,
    addressKnown: isAddressKnown(rows, { person, offer: about.offer, provenOnly }),
    ...datesOf(about.offer, about.hashes),
  });

  const isRefused = (fact: Fact) =>
    fact.fact === "merge_asked" && sql.refused.get(fact.subject, fact.other) !== undefined;

  const listed = (offer: Offer, hashes: KeyedHashes): ListedOffer => ({
    ...shown(rows.personOf(offer.subject)!, { distinctId: null, offer, hashes }),
    offer: String(offer.id),
    subject: offer.subject,
    attempt: offer.attempt,
    position: offer.position,
  });

  return {
    offerOf(id, hashes) {
      const subject = PSEUDONYM.exec(id)?.[1];
      const person = rows.personOf(subject ?? hashes.subject(id));
      if (person === null) return null;
      const timeline = sql.timeline.all(person, TIMELINE_MAX).reverse().map((row) => row as { body: string });
      const { uses, optedOut, hasOffer } = rows.summaryOf(person);
      if (timeline.length === 0 && !optedOut && !hasOffer) return null;
      const distinctId = subject === undefined ? id : null;
      const offer = rows.currentOf(person);
      const facts = factsIn(timeline);
      return {
        ...shown(person, { distinctId, offer, hashes }),
        lastWords: lastWordsOf(facts, offer),
        timeline: timelineOf(facts, { uses, isRefused }),
      };
    },
    currentOf(id, hashes) {
      const person = rows.personOf(PSEUDONYM.exec(id)?.[1] ?? hashes.subject(id));
      const offer = person === null ? null : rows.currentOf(person);
      return offer === null ? null : listed(offer, hashes);
    },
    offerById(id, hashes) {
      const offer = rows.offer(id);
      return offer === null ? null : listed(offer, hashes);
    },
    counts() {
      const counts = { ...NO_OFFERS };
      for (const row of sql.counts.all()) {
        const { state, n } = row as { state: OfferState; n: number };
        counts[state] = n;
      }
      return counts;
    },
    mails() {
      const mails = { accepted: 0, deferred: 0, refused: 0, unknown: 0 };
      for (const row of sql.outcomes.all()) {
        const { kind, count } = row as { kind: keyof typeof mails; count: number };
        mails[kind] = count;
      }
      return mails;
    },
    list: (hashes) =>
      sql.current.all().map((row) => listed(JSON.parse((row as { body: string }).body), hashes)),
    page: createOfferPages(db, {
      rows,
      threshold,
      shown,
      personOf: (id, hashes) => rows.personOf(PSEUDONYM.exec(id)?.[1] ?? hashes.subject(id)),
      nextFact: () => end().nextFact,
    }),
    codeIsValid: (code) => sql.code.get(normalCode(code)) !== undefined,
    subjectsToErase(subject) {
      const person = rows.personOf(subject);
      const found = new Set([subject, ...(person === null ? [] : rows.subjectsOf(person))]);
      for (const one of found) {
        for (const row of sql.erasedWith.all(one)) found.add((row as { subject: string }).subject);
      }
      return [...found].sort();
    },
    hasSeen: (subject) => rows.personOf(subject) !== null || sql.erasedWith.get(subject) !== undefined,
    nextFact: () => end().nextFact,
    close: () => db.close(),
  };
}

type About = { readonly person: number; readonly offer: Offer | null; readonly provenOnly: boolean };

function stateOf(
  rows: OfferRows,
  { person, offer, provenOnly }: About,
): { state: OfferState; reason: string | null } {
  if (offer === null) {
    return rows.summaryOf(person).optedOut
      ? { state: "closed", reason: "opted_out" }
      : { state: "counting", reason: null };
  }
  const waits = offer.state.is === "waiting" && !isAddressKnown(rows, { person, offer, provenOnly });
  if (!waits) return { state: offer.state.is, reason: reasonOf(offer) };
  const isLate = rows.summaryOf(person).mailbox !== null;
  return { state: "waiting", reason: isLate ? NOT_FOR_THIS_OFFER : "no address known: waits for one" };
}

const NOT_FOR_THIS_OFFER = "the address came unproven or after the offer was earned: waits for a proven one";

/** One that an offer may go to; before there is one, any. */
function isAddressKnown(rows: OfferRows, { person, offer, provenOnly }: About): boolean {
  return offer === null
    ? rows.summaryOf(person).mailbox !== null
    : rows.destinationOf(offer.id, { proven: provenOnly }) !== null;
}

/** The code is shown once a claim held: before that it buys nothing. */
function datesOf(offer: Offer | null, hashes: KeyedHashes) {
  const iso = (time: number | null) => time === null ? null : new Date(time).toISOString();
  const claimed = offer !== null && offer.claims.length > 0;
  return {
    earnedAt: iso(offer?.earnedAt ?? null),
    dueAt: iso(offer?.state.is === "waiting" ? offer.state.dueAt : null),
    sentAt: iso(offer?.state.is === "offered" ? offer.state.sentAt : null),
    code: claimed ? offerCode(hashes, offer) : null,
    messageId: offer === null ? null : offer.messageId ?? offer.pastMessageIds.at(-1) ?? null,
  };
}

function factsIn(rows: readonly { body: string }[]): readonly Fact[] {
  return rows.flatMap(({ body }): readonly Fact[] => {
    const outcome = decodeFact(body);
    return outcome.ok ? [outcome.fact] : [];
  });
}

/** What the mail server, or who asked it in vain, said last of this offer; null where nothing was. */
function lastWordsOf(facts: readonly Fact[], offer: Offer | null): string | null {
  const answer = facts.findLast((fact) =>
    (fact.fact === "deferred" || fact.fact === "refused" || fact.fact === "unknown") &&
    fact.offer === offer?.id
  );
  return answer !== undefined && "words" in answer ? answer.words : null;
}

function timelineOf(
  facts: readonly Fact[],
  { uses, isRefused }: { readonly uses: number; readonly isRefused: (fact: Fact) => boolean },
): OfferView["timeline"] {
  const all = new Set(facts.flatMap((fact) => fact.fact === "counted" ? [fact.uuid] : []));
  const before = facts.length < TIMELINE_MAX ? 0 : Math.max(0, uses - all.size);
  const uuids = new Set<string>();
  return facts.map((fact) => {
    // Two ids of one person may have counted the same event.
    if (fact.fact === "counted") uuids.add(fact.uuid);
    const then = { uses: before + uuids.size, isRefused: isRefused(fact) };
    return { at: new Date(fact.at).toISOString(), what: timelineText(fact, then) };
  });
}

function statements(db: DatabaseSync) {
  return {
    timeline: db.prepare(
      "select t.fact, t.body from subject s join timeline t on t.subject = s.id where s.person = ? order by t.fact desc limit ?",
    ),
    refused: db.prepare("select 1 from joined where a = ? and b = ? and holds = 0"),
    counts: db.prepare("select state, count(*) as n from person where state is not null group by state"),
    outcomes: db.prepare("select kind, count from outcome"),
    current: db.prepare("select o.body from person p join offer o on o.id = p.offer order by o.id"),
    code: db.prepare("select 1 from code where code = ?"),
    erasedWith: db.prepare(
      "select distinct other.subject from erasure own join erasure other on other.fact = own.fact where own.subject = ?",
    ),
  };
}
