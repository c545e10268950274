import type { EmailProofs } from "../../contract/email_proof.ts";
import type { Fact, FactOf, Position } from "../facts/facts.ts";
import type { OfferInput, ProductEvent } from "./core/product_event.ts";
import { factsOf, type HashedEvent, isOfErasedPast, learn, type SubjectKnown } from "./core/record_facts.ts";
import { whatCounts } from "./core/what_counts.ts";
import type { OfferPolicy } from "./policy.ts";
import type { OfferStoreReader } from "./store.ts";
import type { PersonHashes } from "./person_hashes.ts";
import type { SettledPeople } from "./settled_people.ts";

/** What a chunk of records brings: its facts, and the events that may earn an offer once the view has applied them. */
export type ChunkFacts = {
  readonly facts: readonly Fact[];
  /** In order. */
  readonly arming: readonly ArmingEvent[];
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

/** Decides a chunk without an erasure before its end, against one state of the view and what the chunk itself brought. */
export function decideChunk(inputs: readonly OfferInput[], ports: DecidePorts): ChunkFacts {
  const facts: Fact[] = [];
  const arming: ArmingEvent[] = [];
  const chunk = new Map<string, SubjectKnown>();
  for (const input of inputs) {
    switch (input.is) {
      case "ignored":
        break;
      case "erasure":
        facts.push({ fact: "erased", at: input.at, position: input.position, subjects: [...input.subjects] });
        break;
      case "unsubscribe":
        facts.push({ fact: "opted_out", ...input.claims, at: input.receivedAt, position: input.position });
        break;
      case "event": {
        const { event } = input;
        if (ports.settled.has(event)) break;
        const subject = ports.hashes.subject(event.distinctId);
        const known = chunk.get(subject) ?? ports.store.knownOf(subject);
        const brought = factsOf(hashed(event, ports), known, ports.policy);
        facts.push(...brought);
        // Only on what the view holds: facts of this chunk may never be published, and then it is decided anew.
        if (brought.length > 0) chunk.set(subject, learn(known, brought));
        else if (!chunk.has(subject)) settle(event, { known, ports });
        if (arms(event, { known, ports })) arming.push({ event, subject });
      }
    }
  }
  return { facts, arming };
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

function hashed(event: ProductEvent, { hashes, store, proofs }: DecidePorts): HashedEvent {
  const counting = whatCounts(event, proofs);
  const { isProven, unproven, optOut } = counting;
  const subject = hashes.subject(event.distinctId);
  const { merge, personId } = counting;
  const other = (other: string) => ({
    subject: other,
    erasedAt: store.erasedAt(other),
    held: store.joinOf(subject, other),
  });
  const mailboxOf = (email: string | null) => email === null ? null : hashes.mailboxOf(email);
  const outbox = mailboxOf(optOut ?? null);
  return {
    event,
    mailbox: mailboxOf(counting.email),
    isProven,
    person: personId === null
      ? null
      : { ...other(hashes.personSubject(personId)), askedSince: store.mergeAskedSince(subject) },
    merge: merge === null ? null : { ...other(hashes.subject(merge.other)), how: merge.how },
    optOut: optOut === undefined
      ? null
      : { mailbox: outbox, isSuppressed: outbox !== null && store.isSuppressed(outbox) },
    unproven,
  };
}

/** Old and backfilled events count but arm no mail: the person's next young one does. */
function arms(event: ProductEvent, { known, ports }: { known: SubjectKnown; ports: DecidePorts }): boolean {
  return !event.isBackfill && event.receivedAt - event.eventAt <= ports.policy.eventAgeMsMax &&
    !isOfErasedPast(event, known.erasedAt);
}

/** An event that brought nothing: will the next one of its kind bring nothing either? */
function settle(event: ProductEvent, { known, ports }: { known: SubjectKnown; ports: DecidePorts }): void {
  // What a backfilled event says of addresses brings less than the same words in a live one.
  if (event.isBackfill || known.erasedAt !== null || event.isOptOut || event.merge !== null) return;
  // What it shows a little later may decide a merge.
  if (event.personId !== null && ports.store.mergeAskedSince(known.subject) !== null) return;
  const { id, hasOffer, uses } = ports.store.personOf(known.subject);
  const passesUses = hasOffer && known.uuids.size >= ports.policy.threshold;
  if (!passesUses && (event.isUse || (!hasOffer && uses >= ports.policy.threshold))) return;
  ports.settled.add(event, { subject: known.subject, person: id, passesUses });
}
