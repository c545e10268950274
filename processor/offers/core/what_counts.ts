import type { EmailProofs } from "../../../contract/email_proof.ts";
import { isNobody } from "../../../contract/nobody.ts";
import type { UnprovenKind } from "../../facts/facts.ts";
import type { AskedMerge, ProductEvent, Said } from "./product_event.ts";

/** What of an event counts. PostHog's project key is public: with `IDENTITY_SECRET` set only what brings its proof. */
export type Counting = {
  /** The address as it was written; null where none counts. */
  readonly email: string | null;
  /** Everything that counts was proven; false where nobody asks for proofs. */
  readonly isProven: boolean;
  readonly merge: AskedMerge | null;
  /** PostHog's person.id, where it joins; it can have no proof. */
  readonly personId: string | null;
  /** The address that an opt-out names, or null beside one that names none; undefined: no opt-out. */
  readonly optOut: string | null | undefined;
  /** What came without its proof; counts for nothing. */
  readonly unproven: readonly UnprovenKind[];
};

/** @param proofs Null: nobody asks for proofs, everything counts. */
export function whatCounts(event: ProductEvent, proofs: EmailProofs | null): Counting {
  return proofs === null ? everything(event) : proven(event, proofs);
}

function everything(event: ProductEvent): Counting {
  const email = emailOf(event.said);
  return {
    email: event.isBackfill ? null : email,
    isProven: false,
    merge: event.merge,
    personId: namesPerson(event) ? event.personId : null,
    optOut: optOutOf(event, { isOut: event.said.some(({ optsOut }) => optsOut), email }),
    unproven: [],
  };
}

function proven(event: ProductEvent, proofs: EmailProofs): Counting {
  const { distinctId, said, merge } = event;
  const isProven = ({ email, proof }: Said) =>
    email !== null && proofs.holds({ distinctId, said: email, proof });
  const held = said.filter(isProven);
  const email = emailOf(held);
  const isOut = held.some(({ optsOut }) => optsOut);
  const joins = merge !== null && proofs.holds({ distinctId, said: merge.other, proof: merge.proof });
  const unproven: UnprovenKind[] = [];
  // What a backfilled event says about addresses never counts, so nothing is missing there.
  if (email === null && emailOf(said) !== null && !event.isBackfill) unproven.push("address");
  if (merge !== null && !joins) unproven.push("join");
  if (!isOut && said.some(({ optsOut }) => optsOut)) unproven.push("opt_out");
  return {
    email: event.isBackfill ? null : email,
    isProven: true,
    merge: joins ? merge : null,
    personId: null,
    optOut: optOutOf(event, { isOut, email }),
    unproven,
  };
}

/** An event `email_unsubscribed` needs no proof, as a link needs none: only the address beside it does. */
function optOutOf(
  { isOptOut, isBackfill }: ProductEvent,
  { isOut, email }: { readonly isOut: boolean; readonly email: string | null },
): string | null | undefined {
  if (!isOptOut && !isOut) return undefined;
  return isBackfill ? null : email;
}

function emailOf(said: readonly Said[]): string | null {
  return said.find(({ email }) => email !== null)?.email ?? null;
}

function namesPerson({ personId, distinctId }: ProductEvent): boolean {
  return personId !== null && !isNobody(personId) && !isNobody(distinctId);
}
