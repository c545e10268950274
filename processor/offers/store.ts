import type { Offer, OfferNow } from "./core/offer.ts";
import type { PlacedFact, Position } from "../facts/facts.ts";
import type { Touched } from "./settled_people.ts";
import type { HeldJoin } from "./core/merge.ts";
import type { SubjectKnown } from "./core/record_facts.ts";

/**
 * The port of the view of `discount.facts`. It has one writer, the offer view of this process; the other loops read.
 * Everything in it follows from the facts: delete it, and it is built again.
 */

/** How far the view has come, and the hash of the last fact it applied, to tell another log from this one. */
export type ViewEnd = {
  /** Every fact below it is applied. */
  readonly nextFact: number;
  readonly last: { readonly offset: number; readonly hash: string } | null;
};

/** A fact with the record's value as it came, which is what a timeline keeps. */
export type FactToApply = PlacedFact & { readonly text: string };

/**
 * The port to the offers' view for the one loop that applies facts. Each call is one transaction, durable or not at
 * all.
 */
export interface OfferStoreWriter {
  end(): ViewEnd;
  /** Applies facts in order, in one transaction with where the view ends then. */
  apply(facts: readonly FactToApply[], end: ViewEnd): void;
  /** Takes what an erasure removed out of the write-ahead log too; false while a reader stands in the way. */
  tidy(): boolean;
  /** Message-IDs of erased offers whose mails on this disk have not been deleted yet. */
  erasedMails(): readonly string[];
  forgetErasedMails(messageIds: readonly string[]): void;
  close(): void;
}

/** What the view holds of a subject, and of the person that it is. */
export type SubjectHeld = SubjectKnown & {
  readonly person: PersonHeld;
  /** When the merge had arrived that the person.id decides which this subject shows later; null where none is open. */
  readonly mergeAskedSince: number | null;
};

/** `id`: null where no row speaks of the subject; `uses`: distinct ones of all joined subjects. */
export type PersonHeld = { readonly id: number | null; readonly uses: number; readonly hasOffer: boolean };

/** The port to the offers' view for loops that decide and send; what it answers is as old as `end()` says. */
export interface OfferStoreReader {
  end(): ViewEnd;
  /** Everything read inside sees one state of the view. Not to be nested, nothing awaited inside. */
  snapshot<T>(read: () => T): T;

  /** For deciding records. */
  knownOf(subject: string): SubjectHeld;
  /** What records of `subject` have said of it and `other`; null where none has. */
  joinOf(subject: string, other: string): HeldJoin | null;
  isSuppressed(mailbox: string): boolean;
  personOf(subject: string): PersonHeld;
  erasedAt(subject: string): number | null;
  /** Uses of the person but for those that records of this partition at or above this offset brought. */
  usesBefore(subject: string, position: Position): number;
  /** Whom facts at or above this offset were about; what it costs does not grow with how many ids a person has. */
  touchedSince(fact: number): Touched;

  /** For sending. */
  /** Current offers of these partitions that wait and could be acted on at `now`, those due first in front. */
  due(
    partitions: readonly number[],
    by: { readonly now: number; readonly limit: number; readonly provenOnly: boolean },
  ): readonly number[];
  /** The earliest due time in these partitions; null where nothing waits. */
  nextDue(partitions: readonly number[], by: { readonly provenOnly: boolean }): number | null;
  /** Offers in `sending`. */
  sending(): readonly Offer[];
  /** Offers that failed as `delivery_unknown` for the first time. */
  unknowns(): readonly Offer[];
  offerNow(id: number): OfferNow | null;
  /** The current offer of a subject's person. */
  offerOf(subject: string): OfferNow | null;
  /** Claims that held, made at or after this time. */
  heldSince(at: number): number;
  /** Offers from before a loss of the facts that are not closed yet. */
  lostWaiting(): number;
  /** Partitions that must be read again up to here after a loss of the facts; a `caughtUp` removes one. */
  notCaughtUp(): ReadonlyMap<number, number>;
  /** Of the raw topic that the facts were made from; null where none says it. */
  topicId(): string | null;
  /** The counted use of each partition that lies furthest; looks at all there are. */
  furthestUses(): readonly (Position & { readonly uuid: string })[];
  close(): void;
}
