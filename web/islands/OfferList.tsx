import { useComputed, useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { OFFER_FILTERS, type OfferFilter, type OfferListing } from "../../contract/processor_api.ts";
import { onStep } from "../browser/changes.ts";
import { getJson, oldSince, services } from "../browser/feed.ts";
import { onKeys } from "../browser/keys.ts";
import { now, onSeenAgain, startClock } from "../browser/now.ts";
import { AsItWas } from "../components/AsItWas.tsx";
import { Empty } from "../components/Empty.tsx";
import { OfferRow } from "../components/OfferRow.tsx";
import { staleChart } from "../core/chart.ts";
import { count, plural } from "../core/format.ts";
import {
  behindText,
  funnel,
  type OfferPageQuery,
  offerPageQuery,
  offerQuestion,
  offerSearch,
  STATE_NAMES,
} from "../core/offer_funnel.ts";
import Chart from "./Chart.tsx";

/** Somebody who types is asked for after so many ms without a key. */
const TYPING_MS = 250;
/** What follows from a step may be noted a moment after it, and some things no step tells of. */
const LOOK_AGAIN_MS = 1_500;

export type OfferListProps = {
  initial: OfferListing;
  query: OfferPageQuery;
  /** When that was read, ISO 8601. */
  at: string;
};

/**
 * Where everybody stands, and page by page who they are, whose changed last first. The figures follow what happens, and so
 * does the newest page; while somebody looks at a row, rows stay where they are, each as it is now.
 */
export default function OfferList({ initial, query, at }: OfferListProps) {
  /** What was answered, and to which question: what is typed meanwhile is another one. */
  const answer = useSignal({ listing: initial, query });
  const shown = useSignal(initial.offers);
  const readAt = useSignal(at);
  const hasFailed = useSignal(false);
  const wanted = useSignal(query);
  const rows = useRef<HTMLOListElement>(null);
  const field = useRef<HTMLInputElement>(null);
  const asked = useRef(0);
  const again = useRef<ReturnType<typeof setTimeout>>();

  const look = async () => {
    const mine = ++asked.current;
    const query = wanted.peek();
    const listing = await getJson<OfferListing>(offerQuestion(query));
    if (mine !== asked.current) return;
    hasFailed.value = listing === null;
    if (listing === null) return;
    const isSame = offerSearch(query) === offerSearch(answer.peek().query);
    answer.value = { listing, query };
    readAt.value = new Date().toISOString();
    const isHeld = isSame && (query.before !== null || rows.current?.matches(":hover, :focus-within"));
    if (!isHeld) return void (shown.value = listing.offers);
    const byPerson = new Map(listing.offers.map((one) => [one.person, one]));
    shown.value = shown.peek().map((one) => byPerson.get(one.person) ?? one);
  };
  const follow = () => {
    look();
    clearTimeout(again.current);
    again.current = setTimeout(look, LOOK_AGAIN_MS);
  };
  const want = (change: Partial<OfferPageQuery>, waitMs = 0) => {
    wanted.value = { ...wanted.peek(), before: null, ...change };
    clearTimeout(again.current);
    again.current = setTimeout(() => {
      // Whoever is looked for stays out of the address.
      history.replaceState(history.state, "", `/offers${offerSearch({ ...wanted.peek(), search: "" })}`);
      look();
    }, waitMs);
  };
  useEffect(() => {
    startClock();
    const stops = [onStep(follow), onSeenAgain(look), onKeys({ "/": () => field.current?.focus() })];
    return () => stops.forEach((stop) => stop());
  }, []);
  // Also what no step tells of, such as an opt-out, and that the processor is back.
  const stamp = useComputed(() =>
    JSON.stringify([services.value?.status?.offers, services.value?.processor.state])
  );
  const isFirst = useRef(true);
  useSignalEffect(() => {
    stamp.value;
    if (!isFirst.current) follow();
    isFirst.current = false;
  });

  const { listing, query: answered } = answer.value;
  const { offers, total, older, facts } = listing;
  const since = oldSince() !== undefined || hasFailed.value ? readAt.value : undefined;
  const time = since === undefined ? now() : Date.parse(readAt.value);
  const behind = behindText(facts);
  const hasChanged = offers.some((one, i) => one.person !== shown.value[i]?.person);
  const { state, search } = wanted.value;
  const figures = funnel(listing);
  return (
    <AsItWas since={since}>
      {behind !== null && <p class="banner warn">{behind}</p>}
      <Chart {...staleChart(figures, since === undefined ? null : `As it was: ${figures.note}`)} />
      {figures.labels.length > 0 && (
        <section aria-labelledby="offers">
          <h2 id="offers">
            Everybody <span class="quiet">changed last first</span>
          </h2>
          <form
            class="explore"
            role="search"
            aria-label="Offers"
            action="/offers"
            onSubmit={(event) => {
              event.preventDefault();
              want({});
            }}
          >
            <div class="field grow">
              <label for="search-offers">Search offers</label>
              <input
                ref={field}
                id="search-offers"
                name="search"
                type="search"
                autocomplete="off"
                maxLength={1000}
                placeholder="a whole distinct_id, or person-…"
                value={search}
                onInput={(event) => want({ search: event.currentTarget.value.trim() }, TYPING_MS)}
              />
            </div>
            <div class="field">
              <label for="offer-state">State</label>
              <select
                id="offer-state"
                name="state"
                value={state ?? ""}
                onChange={(event) => want(stateOf(event.currentTarget.value))}
              >
                <option value="" selected={state === null}>everybody</option>
                {OFFER_FILTERS.map((name) => (
                  <option key={name} value={name} selected={state === name}>{STATE_NAMES[name]}</option>
                ))}
              </select>
            </div>
            <div class="buttons">
              <button type="submit" class="quiet-button">Search</button>
            </div>
          </form>
          <p class="note" role="status">{foundText(total, answered)}</p>
          {hasChanged && shown.value.length > 0 && (
            <p class="more">
              <button type="button" class="link" onClick={() => shown.value = offers}>
                The list has changed: show it
              </button>
            </p>
          )}
          {total > 0 && (
            <ol class="rows offers" ref={rows}>
              {shown.value.map((person) => (
                <OfferRow key={person.person} {...{ person, now: time, isNow: since === undefined }} />
              ))}
            </ol>
          )}
          {(answered.before !== null || older !== null) && (
            <nav class="pages" aria-label="Pages of offers">
              {answered.before !== null && (
                <a href={`/offers${offerSearch({ ...answered, before: null })}`} aria-current="false">
                  newest
                </a>
              )}
              {older !== null && (
                <a
                  href={`/offers${offerSearch({ ...answered, before: older })}#offers`}
                  aria-current="false"
                >
                  older
                </a>
              )}
            </nav>
          )}
        </section>
      )}
      {figures.labels.length === 0 && since === undefined && (
        <Empty title="No offers yet.">
          Click “Simulate Feature Usage” on the{" "}
          <a href="/" aria-current="false">live page</a>: five uses earn an offer.
        </Empty>
      )}
    </AsItWas>
  );
}

function stateOf(value: string): { state: OfferFilter | null } {
  return { state: offerPageQuery(new URLSearchParams({ state: value })).state };
}

function foundText(total: number, { state, search }: OfferPageQuery): string {
  const where = state === null ? "" : ` ${STATE_NAMES[state]}`;
  if (search === "") return `${count(total)} ${plural(total, "person", "people")}${where}`;
  return total === 0
    ? `Nobody of this id${where}: upper and lower case count, and an address is no id`
    : `1 person of this id${where}`;
}
