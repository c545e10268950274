import type { ListedPerson } from "../../contract/processor_api.ts";
import Ago from "../islands/Ago.tsx";
import { zone } from "../browser/now.ts";
import { clockTime, countdown, exactTime, shortId, utcOffset } from "../core/format.ts";
import { STATE_NAMES } from "../core/offer_funnel.ts";
import { offerText } from "./offer_text.ts";

/** One person of the list: who, where the offer stands, and when it came there. `now`: milliseconds since 1970. */
export function OfferRow(
  { person, now, isNow }: {
    person: ListedPerson;
    now: number;
    /** False where it may have changed since: nothing is counted down then. */
    isNow: boolean;
  },
) {
  const text = offerText({ ...person, timeline: [] }, now);
  const { state, reason, uses, threshold, earnedAt, dueAt, sentAt, changedAt } = person;
  const tag = STATE_NAMES[reason === "opted_out" ? "opted_out" : state];
  const waits = dueAt !== null && person.addressKnown && Date.parse(dueAt) > now;
  return (
    <li class="row">
      <div class="row-head">
        <Who person={person} />
        <span class="tag">{tag}</span>
        {changedAt !== null && (
          <span class="when">
            <Ago at={changedAt} />
          </span>
        )}
      </div>
      <p class={`offer-words ${text.tone}`}>
        {text.state}
        {waits && isNow && (
          <>
            {" "}
            <time class="mono" dateTime={dueAt} title={`due ${exactTime(dueAt, zone.value)}`}>
              {countdown(dueAt, now)}
            </time>
          </>
        )}
        {(state === "failed" || state === "closed") && <span class="quiet">. {text.next}</span>}
      </p>
      <ul class="way-of-letter">
        {state !== "counting" && <li>{uses} of {threshold} uses</li>}
        <Moment name="earned" at={earnedAt} />
        {dueAt !== null && <Moment name={waits ? "due at" : "due since"} at={dueAt} />}
        <Moment name="sent" at={sentAt} />
      </ul>
    </li>
  );
}

function Moment({ name, at }: { name: string; at: string | null }) {
  if (at === null) return null;
  return (
    <li>
      {name} {name === "due at"
        ? (
          <time dateTime={at} title={exactTime(at, zone.value)}>
            {clockTime(at, zone.value).slice(0, 8)} {utcOffset(at, zone.value)}
          </time>
        )
        : <Ago at={at} />}
    </li>
  );
}

function Who({ person: { distinctId, person, distinctIdWithheld } }: { person: ListedPerson }) {
  const id = distinctId ?? person;
  return (
    <>
      <strong>
        <a class="mono" href={`/offers/${encodeURIComponent(id)}`} title={id} dir="auto">
          {distinctId === null ? shortPerson(person) : shortId(id)}
        </a>
      </strong>
      {distinctIdWithheld && (
        <span class="quiet" title={WITHHELD[distinctIdWithheld]}>known by its hash only</span>
      )}
    </>
  );
}

/** The beginning tells people apart, and is what somebody compares. */
function shortPerson(person: string): string {
  return `${person.slice(0, 15)}…`;
}

const WITHHELD: Readonly<Record<NonNullable<ListedPerson["distinctIdWithheld"]>, string>> = {
  personal: "Its distinct_id is personal data, so it stands as in the dataset.",
  record_gone: "The topic has no record of it that names it.",
  log_away: "The record that names it could not be read just now.",
};
