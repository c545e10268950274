/** Offers as the processor has them now: what the panel and the list's rows both read, looked up again when something happened. */
import { computed, effect, signal } from "@preact/signals";
import type { OfferView } from "../../contract/processor_api.ts";
import { isMine } from "../core/explore.ts";
import type { OfferRow, TraceRow } from "../core/trace.ts";
import { getJson, trace } from "./feed.ts";
import { distinctId, ownIds } from "./person.ts";

type ById = Readonly<Record<string, OfferView | null>>;

/** By distinct_id, null: nobody of this id has used anything. Null before the first look. */
const offers = signal<ById | null>(null);

/** The offer of this browser's own user. */
export const ownOffer = computed(() =>
  distinctId.value === null ? null : offers.value?.[distinctId.value] ?? null
);

/** The newest row of an offer of one's own. */
export const ownOfferRow = computed((): OfferRow | null => {
  const row = [...trace.value.values()].findLast((row) => row.kind === "offer" && isMine(row, ownIds.value));
  return row?.kind === "offer" ? row : null;
});

/**
 * What is known of a row's person; one's own is the panel's, under whichever id it was earned. `before`: what the page came
 * with, true until the first look. Null where nobody has asked: of people further down in the list.
 */
export function offerOfRow(row: OfferRow, before: ById): OfferView | null {
  if (isMine(row, ownIds.value) && ownOffer.value !== null) return ownOffer.value;
  if (row.distinctId === null) return null;
  return (offers.value ?? before)[row.distinctId] ?? null;
}

/** What follows from a step may be noted a moment after it; and some things no step tells of. */
const LOOK_AGAIN_MS = 1_500;
const LOOK_EVERY_MS = 5_000;
const LOOK_GAP_MS_MIN = 250;
/** People of the newest offers in the list; web answers for so many. */
const PEOPLE_MAX = 20;

let started = false;
let due: ReturnType<typeof setTimeout> | undefined;
let again: ReturnType<typeof setTimeout> | undefined;
let looks = 0;

/** Starts to follow the offers of the own user and of those in the list; later calls do nothing. */
export function startOffers(): void {
  if (started) return;
  started = true;
  let last = "";
  effect(() => {
    const [rows, ids] = [[...trace.value.values()], ownIds.value];
    const stamp = `${distinctId.value} ${rows.map((row) => stampOf(row, ids)).filter(Boolean).join()}`;
    if (stamp === last) return;
    last = stamp;
    soon();
    clearTimeout(again);
    again = setTimeout(look, LOOK_AGAIN_MS);
  });
  setInterval(() => {
    if (!document.hidden) soon();
  }, LOOK_EVERY_MS);
}

/** Changes whenever something happened that may have changed an offer. */
function stampOf(row: TraceRow, ids: ReadonlySet<string>): string | null {
  if (row.kind === "mail") return row.key;
  if (row.kind === "offer") return `${row.key} ${row.last?.at}`;
  return isMine(row, ids) ? row.ending?.at ?? row.noted?.at ?? row.polledAt : null;
}

function soon(): void {
  due ??= setTimeout(() => {
    due = undefined;
    look();
  }, LOOK_GAP_MS_MIN);
}

async function look(): Promise<void> {
  const mine = ++looks;
  const ids = people();
  if (ids.length === 0) return;
  const asked = new URLSearchParams(ids.map((id) => ["distinct_id", id]));
  const answer = await getJson<{ known: boolean; byId: ById }>(`/api/offers?${asked}`);
  // A newer look says more; and while the processor is away, what was known stays.
  if (mine === looks && answer?.known) offers.value = answer.byId;
}

/** Oneself first. */
function people(): string[] {
  const rows = [...trace.peek().values()].reverse();
  const others = rows.flatMap((row) =>
    row.kind === "offer" && row.distinctId !== null ? [row.distinctId] : []
  );
  const own = distinctId.peek();
  return [...new Set([...(own === null ? [] : [own]), ...others])].slice(0, PEOPLE_MAX);
}
