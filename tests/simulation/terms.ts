import type { DatabaseSync } from "node:sqlite";
import { createEmailProofs } from "../../contract/email_proof.ts";
import { createKeyedHashes } from "../../contract/keyed_hash.ts";
import { openViewToWrite } from "../../processor/offers/sqlite/schema.ts";
import { createOfferStoreReader } from "../../processor/offers/sqlite/reader.ts";
import { createOfferStoreWriter } from "../../processor/offers/sqlite/writer.ts";
import type { OfferPolicy } from "../../processor/offers/policy.ts";
import type { Mailer } from "../../processor/offers/mailer.ts";
import { fold } from "../../processor/offers/core/offer.ts";
import { offerCode } from "../../processor/offers/core/names.ts";
import { factHash } from "../../processor/facts/topic.ts";
import type { OfferStoreReader, OfferStoreWriter, ViewEnd } from "../../processor/offers/store.ts";
import type { TopicRecord } from "../../topic/topic.ts";
import type { Asked } from "./posthog.ts";

/** The names and sizes of the simulation, see `simulation.ts`. */
export type Rule =
  | "by"
  | "box"
  | "uses"
  | "current"
  | "barrier"
  | "late"
  | "proof"
  | "refuse"
  | "person"
  | "property";

export type SimulationOptions = {
  readonly seed: number;
  readonly onUnknown: OfferPolicy["onUnknown"];
  /** The mailer of a processor: `maildir` knows what became of its messages, `smtp` does not. */
  readonly mailer: Mailer["kind"];
  /** `IDENTITY_SECRET` is set: what comes without its proof counts for nothing. */
  readonly provenOnly: boolean;
  /** Webhooks show PostHog's person.id; else a few do, and whom PostHog merges must be guessed by event times. */
  readonly personsShown: boolean;
  /** Rules left out on purpose, to see what they are for. */
  readonly without?: readonly Rule[];
};

export const PARTITIONS = 2;
export const SUBJECTS = 4;
export const MAILBOXES = 3;
export const THRESHOLD = 2;

export const START = Date.UTC(2026, 0, 1);

export const POLICY: OfferPolicy = {
  threshold: THRESHOLD,
  waitMs: 30_000,
  eventAgeMsMax: 7 * 86_400_000,
  retryDelaysMs: [],
  onUnknown: "hold",
  mailsPerMinuteMax: 1_000,
  provenOnly: false,
};

export const hashes = createKeyedHashes("the simulation's secret, 16 or more");
export const proofs = createEmailProofs("what the application's server knows");

/** What a user did, as the oracle keeps it. */
export type Produced = {
  readonly kind: "use" | "address" | "join" | "opt-out" | "visit" | "erase";
  readonly who: number | null;
  readonly uuid: string | null;
  readonly at: number;
  readonly eventAt: number;
  readonly subjects: readonly string[];
  /** What it says, as hashes, and whether it brought the proof of it. */
  readonly mailbox?: string;
  readonly merge?: Asked;
  readonly person?: string;
  readonly proven?: boolean;
};

export type SentMail = { readonly messageId: string; readonly mailbox: string; readonly at: number };

export const distinctId = (who: number) => `user-${who}`;
export const subjectOf = (who: number) => hashes.subject(distinctId(who));

/** Numbers from a seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** One processor's view, or the oracle's. */
export type SimulatedView = {
  readonly db: DatabaseSync;
  readonly writer: OfferStoreWriter;
  readonly reader: OfferStoreReader;
};

/** A view in memory; without the rule `current` any offer of a person may claim. */
export function newView(without: readonly Rule[]): SimulatedView {
  const db = openViewToWrite(":memory:");
  const foldOffer = without.includes("current")
    ? ((offer, fact, person) => fold(offer, fact, { ...person, current: offer.id })) as typeof fold
    : fold;
  const codeOf = (offer: Parameters<typeof fold>[0]) => offerCode(hashes, offer);
  return {
    db,
    writer: createOfferStoreWriter(db, { codeOf, foldOffer }),
    reader: createOfferStoreReader(db),
  };
}

export function endAt({ offset, value }: TopicRecord): ViewEnd {
  return { nextFact: offset + 1, last: { offset, hash: factHash(value) } };
}
