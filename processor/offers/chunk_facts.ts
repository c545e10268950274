import type { EmailProofs } from "../../contract/email_proof.ts";
import type { Fact, FactOf, Position } from "../facts/facts.ts";
import type { OfferInput, ProductEvent } from "./core/product_event.ts";
import { factsOf, type HashedEvent, isOfErasedPast, learn } from "./core/record_facts.ts";
import { whatCounts } from "./core/what_counts.ts";
import type { OfferPolicy } from "./policy.ts";
import type { OfferStoreReader, SubjectHeld } from "./store.ts";
import type { PersonHashes } from "./person_hashes.ts";
import type { SettledPeople } from "./settled_people.ts";

/** What a chunk of records brings: its facts, and the events that may earn an offer once the view has applied them. */
export type ChunkFacts = {
  readonly facts: readonly Fact[];
  /** In order. */
  readonly arming: readonly ArmingEvent[];
  /** How many inputs were none. */
  readonly ignored: number;
};

/** An event whose use may begin an offer, with its person's subject. */
export type ArmingEvent = { readonly event: ProductEvent; readonly subject: string };

export type DecidePorts = {
  readonly store: OfferStoreReader;
  readonly settled: SettledPeople;
  readonly hashes: PersonHashes;
  /** Of `IDENTITY_SECRET`; null: everything counts without a proof. */
  readonly proofs: EmailProofs | null;
  readonly policy: Pick<OfferPolicy, "threshold" | "waitMs" | "eventAgeMsMax" | "provenOnly">;
};

/**
 * Decides a chunk without an erasure before its end, against one state of the view and what the chunk itself brought.
 * Each input is taken when the ones before it are decided.
 */
export function decideChunk(inputs: Iterable<OfferInput>, ports: DecidePorts): ChunkFacts {
  const facts: Fact[] = [];
  const arming: ArmingEvent[] = [];
  const chunk = new Map<string, SubjectHeld>();
  let ignored = 0;
  for (const input of inputs) {
    switch (input.is) {
      case "ignored":
        ignored++;
        break;
      case "erasure":
        facts.push({ fact: "erased", at: input.at, position: input.position, subjects: [...input.subjects] });
        break;
      case "unsubscribe":
        facts.push({ fact: "opted_out", ...input.claims, at: input.receivedAt, position: input.position });
        break;
      case "event": {
        const { event, glance } = input;
        if (ports.settled.has(event, glance)) break;
        const subject = ports.hashes.subject(event.distinctId);
        const known = chunk.get(subject) ?? ports.store.knownOf(subject);
        const brought = factsOf(hashed(event, { known, ports }), known, ports.policy);
        facts.push(...brought);
        // Only on what the view holds: facts of this chunk may never be published, and then it is decided anew.
        if (brought.length > 0) chunk.set(subject, learn(known, brought));
        else if (!chunk.has(subject)) settle(event, { glance, known, ports });
        if (arms(event, { known, ports })) arming.push({ event, subject });
      }
    }
  }
  return { facts, arming, ignored };
}

/**
 * The offers that these events earn, once the view has applied the chunk's facts: for every person who has the uses and
 * no offer, by the first of its events that was not followed by the use which completed them.
 */
export function decideEarned(
  arming: readonly ArmingEvent[],
  { store, policy }: DecidePorts,
): FactOf<"earned">[] {
  const earned = new Map<string, FactOf<"earned">>();
  const cannot = new Set<string>();
  for (const { event, subject } of arming) {
    if (earned.has(subject) || cannot.has(subject)) continue;
    const person = store.personOf(subject);
    if (person.hasOffer || person.uses < policy.threshold) {
      cannot.add(subject);
      continue;
    }
    if (store.usesBefore(subject, after(event.position)) < policy.threshold) continue;
    earned.set(subject, {
      fact: "earned",
      subject,
      at: event.receivedAt,
      position: event.position,
      uses: policy.threshold,
      dueAt: event.receivedAt + policy.waitMs,
    });
  }
  return [...earned.values()];
}

/** The next position in the same partition. */
export function after({ partition, offset }: Position): Position {
  return { partition, offset: offset + 1 };
}

function hashed(
  event: ProductEvent,
  { known: { subject, person, mergeAskedSince }, ports: { hashes, store, proofs } }: {
    known: SubjectHeld;
    ports: DecidePorts;
  },
): HashedEvent {
  const counting = whatCounts(event, proofs);
  const { isProven, unproven, optOut } = counting;
  const { merge, personId } = counting;
  const other = (other: string) => ({
    subject: other,
    erasedAt: store.erasedAt(other),
    // Of whom no row speaks, no join does.
    held: person.id === null ? null : store.joinOf(subject, other),
  });
  const mailboxOf = (email: string | null) => email === null ? null : hashes.mailboxOf(email);
  const outbox = mailboxOf(optOut ?? null);
  return {
    event,
    mailbox: mailboxOf(counting.email),
    isProven,
    person: personId === null
      ? null
      : { ...other(hashes.personSubject(personId)), askedSince: mergeAskedSince },
    merge: merge === null ? null : { ...other(hashes.subject(merge.other)), how: merge.how },
    optOut: optOut === undefined
      ? null
      : { mailbox: outbox, isSuppressed: outbox !== null && store.isSuppressed(outbox) },
    unproven,
  };
}

/** Old and backfilled events count but arm no mail: the person's next young one does. */
function arms(event: ProductEvent, { known, ports }: { known: SubjectHeld; ports: DecidePorts }): boolean {
  return !event.isBackfill && event.receivedAt - event.eventAt <= ports.policy.eventAgeMsMax &&
    !isOfErasedPast(event, known.erasedAt);
}

/** An event that brought nothing: will the next one of its kind bring nothing either? */
function settle(
  event: ProductEvent,
  { glance, known, ports }: { glance: string | null | undefined; known: SubjectHeld; ports: DecidePorts },
): void {
  // What a backfilled event says of addresses brings less than the same words in a live one.
  if (event.isBackfill || known.erasedAt !== null || event.isOptOut || event.merge !== null) return;
  // What it shows a little later may decide a merge.
  if (event.personId !== null && known.mergeAskedSince !== null) return;
  const { id, hasOffer, uses } = known.person;
  const passesUses = hasOffer && known.uuids.size >= ports.policy.threshold;
  if (!passesUses && (event.isUse || (!hasOffer && uses >= ports.policy.threshold))) return;
  ports.settled.add(event, { subject: known.subject, person: id, passesUses, glance });
}
