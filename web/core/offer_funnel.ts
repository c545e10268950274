/** Where everybody stands on the way to an offer, as a chart, and how a page of them is asked for. Pure. */
import { OFFER_FILTERS, type OfferFilter, type OfferListing } from "../../contract/processor_api.ts";
import type { ChartFigures } from "./chart.ts";
import { count, plural } from "./format.ts";

/** Which page of the offers; `search`: a distinct_id or `person-…`, "" for everybody. */
export type OfferPageQuery = {
  readonly state: OfferFilter | null;
  readonly search: string;
  readonly before: string | null;
};

const OFFERS_SHOWN = 50;
const CURSOR = /^\d{1,15}-\d{1,15}$/;
/** As long as a distinct_id may be. */
const SEARCH_CHARS_MAX = 1_000;

/** What an address asks for; what is none of it is passed over. */
export function offerPageQuery(asked: URLSearchParams): OfferPageQuery {
  const [state, before] = [asked.get("state"), asked.get("before")];
  return {
    state: OFFER_FILTERS.find((name) => name === state) ?? null,
    search: (asked.get("search") ?? "").trim().slice(0, SEARCH_CHARS_MAX),
    before: before !== null && CURSOR.test(before) ? before : null,
  };
}

/** The same as an address's query, `?…`; "" for the newest of everybody. */
export function offerSearch({ state, search, before }: OfferPageQuery): string {
  const query = new URLSearchParams({
    ...(state === null ? {} : { state }),
    ...(search === "" ? {} : { search }),
    ...(before === null ? {} : { before }),
  });
  return query.size === 0 ? "" : `?${query}`;
}

/** Where web and processor are asked for it. */
export function offerQuestion(query: OfferPageQuery): string {
  const search = offerSearch(query);
  return `/api/offers${search}${search === "" ? "?" : "&"}limit=${OFFERS_SHOWN}`;
}

/** What each state is called where people are counted and chosen by it. */
export const STATE_NAMES: Readonly<Record<OfferFilter, string>> = {
  counting: "counting",
  waiting: "waiting",
  sending: "being sent",
  offered: "mailed",
  opted_out: "opted out",
  failed: "failed",
  closed: "closed",
};

/** Bars of the people who count; a threshold may have many steps. */
const STEPS_MAX = 10;

/** Everybody once, where they stand: in the order of the way, then where it ended without a mail. */
export function funnel({ counts, counting, closed, failed }: OfferListing): ChartFigures {
  const places: readonly (readonly [name: string, people: number])[] = [
    ...steps(counting),
    ["waiting", counts.waiting],
    ["being sent", counts.sending],
    ["mailed", counts.offered],
    ["opted out", closed.opted_out],
    ["failed: refused", failed.refused],
    ["failed: no attempt left", failed.attempts_exhausted],
    ["failed: nobody knows", failed.delivery_unknown],
    ["closed: mailbox had one", closed.mailbox_rewarded],
    ["closed: memory lost", closed.state_lost],
  ];
  const people = Object.values(counts).reduce((sum, here) => sum + here, 0);
  return {
    caption: "From the first use to the mail",
    note: `${count(people)} ${plural(people, "person", "people")}, each counted once`,
    kind: "rows",
    labelName: "Where they stand",
    labels: people === 0 ? [] : places.map(([name]) => name),
    series: [{ name: "People", values: people === 0 ? [] : places.map(([, here]) => here) }],
    empty: "Nobody has used anything yet.",
  };
}

/** Uses one by one, or in steps of several; the last is the threshold, or more. */
function steps(counting: OfferListing["counting"]): readonly (readonly [string, number])[] {
  const size = Math.ceil(counting.length / STEPS_MAX);
  return Array.from({ length: Math.ceil(counting.length / size) }, (_, i) => {
    const some = counting.slice(i * size, (i + 1) * size);
    const [from, to] = [some[0]!.uses, some.at(-1)!.uses];
    const isLast = to === counting.length;
    const uses = from === to ? count(from) : `${count(from)}–${count(to)}`;
    const name = `counting: ${uses} ${plural(to, "use")}${isLast ? " or more" : ""}`;
    return [name, some.reduce((sum, { people }) => sum + people, 0)] as const;
  });
}

/** How far the view of the offers is behind; null where it is not. */
export function behindText({ applied, end }: OfferListing["facts"]): string | null {
  if (end === null) {
    return `As of fact ${count(applied)}; the log does not say just now whether there are more.`;
  }
  if (applied >= end) return null;
  return `The processor is reading the offers' facts: ${count(applied)} of ${
    count(end)
  }. Figures and list are as of there.`;
}
