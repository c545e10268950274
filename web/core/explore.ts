/** What of the trace somebody wants to see, and which rows stay while they read. Pure. */
import { FEATURE_USED, GENERATION_FAILED } from "../../contract/product_events.ts";
import { positionText } from "./format.ts";
import { isOnItsWay, type TraceRow } from "./trace.ts";

export const KINDS = {
  all: "everything",
  failures: "failed generations",
  uses: "uses",
  offers: "offers and mails",
  letters: "dead letters",
  repeats: "delivered again",
  waiting: "on their way",
} as const;

export type Kind = keyof typeof KINDS;

export type Wanted = { readonly search: string; readonly kind: Kind; readonly onlyMine: boolean };

export const EVERYTHING: Wanted = { search: "", kind: "all", onlyMine: false };

/** `me`: the ids under which PostHog knows this browser's user, those from before they were identified too. */
export function isMine(row: TraceRow, me: ReadonlySet<string>): boolean {
  return row.distinctId !== null && me.has(row.distinctId);
}

/** Whether a row is one of those wanted; the search passes over case. */
export function isWanted(
  row: TraceRow,
  { search, kind, onlyMine }: Wanted,
  me: ReadonlySet<string>,
): boolean {
  if (onlyMine && !isMine(row, me) || !isOfKind(row, kind)) return false;
  const text = search.trim().toLowerCase();
  return text === "" || searchable(row).some((part) => part !== null && part.toLowerCase().includes(text));
}

function isOfKind(row: TraceRow, kind: Kind): boolean {
  if (kind === "all") return true;
  if (row.kind !== "event") return kind === "offers";
  switch (kind) {
    case "offers":
      return false;
    case "failures":
      return row.event === GENERATION_FAILED;
    case "uses":
      return row.event === FEATURE_USED;
    case "letters":
      return row.ending?.kind === "dead_lettered";
    case "repeats":
      return row.repeats.length > 0;
    case "waiting":
      return isOnItsWay(row);
  }
}

/** Ids, the event's name, positions as they are shown and as commands take them, and the prompt as the dataset has it. */
function searchable(row: TraceRow): readonly (string | null)[] {
  if (row.kind === "mail") return [row.messageId, row.distinctId, "discount mail", row.words];
  if (row.kind === "offer") return [row.offer, row.distinctId, "discount offer", row.last?.words ?? null];
  const positions = [row.position, ...row.repeats].flatMap((one) =>
    one ? [one, positionText(one), positionText(one).replaceAll(" ", "")] : []
  );
  const reason = row.ending?.kind === "dead_lettered" ? row.ending.reason : null;
  return [row.id, row.event, row.distinctId, row.after, reason, ...positions];
}

/**
 * The rows on screen at the moment from which on they stay: what comes later waits, and none of these leaves, also where the
 * trace keeps it no longer or it is no more of the kind that is wanted.
 */
export type Held = ReadonlyMap<string, TraceRow>;

/** A hold's rows as they are now. */
export function heldRows(held: Held, now: ReadonlyMap<string, TraceRow>): TraceRow[] {
  return [...held].map(([key, row]) => now.get(key) ?? row);
}

/** `rows`, newest first, that came since: those before the first one that is held. */
export function newSince(held: Held, rows: readonly TraceRow[]): TraceRow[] {
  const first = rows.findIndex(({ key }) => held.has(key));
  return first < 0 ? rows.filter(({ key }) => !held.has(key)) : rows.slice(0, first);
}
