/** The offer of this browser's own user, looked up again whenever one of their events got somewhere. */
import { effect, signal } from "@preact/signals";
import type { OfferView } from "../../contract/processor_api.ts";
import type { TraceRow } from "../core/trace.ts";
import { getJson, trace } from "./feed.ts";
import { distinctId } from "./person.ts";

export const ownOffer = signal<OfferView | null>(null);

const LOOK_AGAIN_MS = 1_500;

let started = false;
let again: ReturnType<typeof setTimeout> | undefined;
let looks = 0;

/** Starts to follow the own user's offer; later calls do nothing. */
export function startOwnOffer(): void {
  if (started) return;
  started = true;
  let last = "";
  effect(() => {
    const id = distinctId.value;
    if (id === null) return;
    const stamp = `${id} ${stampOf([...trace.value.values()], id)}`;
    if (stamp === last) return;
    last = stamp;
    look(id);
    // What follows from a step may be noted a moment after it.
    clearTimeout(again);
    again = setTimeout(() => look(id), LOOK_AGAIN_MS);
  });
}

/** Changes whenever something happened that may have changed the offer. */
function stampOf(rows: readonly TraceRow[], id: string): string {
  const own = rows.map((row) => {
    if (row.kind === "offer") return `${row.dueAt}${row.addressKnown}${row.mail?.outcome}${row.mail?.at}`;
    return row.own || row.distinctId === id ? row.ending?.at ?? row.polledAt : null;
  });
  return own.filter((part) => part !== null).join();
}

async function look(id: string): Promise<void> {
  const mine = ++looks;
  const answer = await getJson<{ offers: OfferView[]; known: boolean }>(
    `/api/offers?distinct_id=${encodeURIComponent(id)}`,
  );
  // A newer look says more; and while the processor is away, what was known stays.
  if (mine === looks && answer?.known && distinctId.peek() === id) ownOffer.value = answer.offers[0] ?? null;
}
