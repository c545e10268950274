import { useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { connection } from "../browser/feed.ts";
import { ownOffer, ownOfferRow, startOffers } from "../browser/offers.ts";
import {
  becomeSomebodyElse,
  distinctId,
  email,
  failGeneration,
  identify,
  trouble,
  useFeature,
} from "../browser/person.ts";
import { FEATURE_USED, GENERATION_FAILED } from "../../contract/product_events.ts";
import { LastEvent } from "../components/LastEvent.tsx";
import { OfferState } from "../components/OfferState.tsx";
import { shortId } from "../core/format.ts";

const SAMPLE_PROMPT = "Call me at +44 7911 123456 or write to ada@example.org, the summary never came";
const REASONS = ["timeout", "rate_limited", "content_filter", "out_of_memory", "empty_answer"];

/** The panel in which a visitor is a user of the product: says who they are, uses it, and has it fail. */
export default function BeAUser() {
  useEffect(startOffers, []);
  return (
    <>
      <WhoIAm />
      <Failure />
      <Usage />
      {trouble.value && <p class="trouble" role="alert">{trouble.value}</p>}
    </>
  );
}

function WhoIAm() {
  const field = useRef<HTMLInputElement>(null);
  const wanted = ownOffer.value?.state === "waiting" && !ownOffer.value.addressKnown && email.value === null;
  useEffect(() => {
    if (wanted) field.current?.focus();
  }, [wanted]);
  // The address of an earlier visit is filled in once posthog-js knows who this is, unless something was typed by then.
  useSignalEffect(() => {
    if (email.value !== null && field.current?.value === "") field.current.value = email.value;
  });

  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const address = field.current?.value.trim() ?? "";
    if (address !== "") attempt(identify(address));
  };
  return (
    <form class="stack" method="post" onSubmit={submit}>
      <div class="field">
        <label for="email">E-mail</label>
        <div class="with-button">
          <input
            ref={field}
            id="email"
            name="email"
            type="email"
            autocomplete="email"
            placeholder="ada@example.org"
            required
            aria-describedby="who"
          />
          <button type="submit" class="quiet-button">Identify</button>
        </div>
      </div>
      <p id="who" class="note">
        {email.value === null ? <>You are anonymous. An address is needed for the mail only.</> : (
          <>
            You are{" "}
            <a
              class="mono"
              href={`/offers/${encodeURIComponent(distinctId.value ?? "")}`}
              title={distinctId.value ?? ""}
            >
              {shortId(distinctId.value ?? "")}
            </a>, with <span dir="auto">{email.value}</span>.{" "}
            <button type="button" class="link" onClick={() => attempt(somebodyElse(field.current))}>
              Be somebody else
            </button>
          </>
        )}
      </p>
      <LastEvent of={["$identify", "$set"]} />
    </form>
  );
}

async function somebodyElse(field: HTMLInputElement | null): Promise<void> {
  await becomeSomebodyElse();
  if (field) {
    field.value = "";
    field.focus();
  }
}

function Failure() {
  const prompt = useSignal(SAMPLE_PROMPT);
  const reason = useSignal(REASONS[0]!);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    attempt(failGeneration(prompt.value, reason.value));
  };
  return (
    <form class="stack" method="post" onSubmit={submit}>
      <div class="field">
        <label for="prompt">Prompt</label>
        <textarea
          dir="auto"
          id="prompt"
          name="prompt"
          rows={3}
          value={prompt.value}
          onInput={(event) => prompt.value = event.currentTarget.value}
        >
          {/* What the page shows before script runs. */ SAMPLE_PROMPT}
        </textarea>
      </div>
      <div class="field">
        <label for="reason">Failure reason</label>
        <input
          dir="auto"
          id="reason"
          name="reason"
          list="reasons"
          autocomplete="off"
          value={reason.value}
          onInput={(event) => reason.value = event.currentTarget.value}
        />
        <datalist id="reasons">{REASONS.map((name) => <option key={name} value={name} />)}</datalist>
      </div>
      <button type="submit">Simulate Generation Failure</button>
      <LastEvent of={[GENERATION_FAILED]} />
    </form>
  );
}

function Usage() {
  const busy = useSignal(false);
  const offer = ownOffer.value;
  const use = async () => {
    busy.value = true;
    await attempt(useFeature());
    busy.value = false;
  };
  return (
    <div class="stack">
      <button type="button" onClick={use} aria-disabled={busy.value}>Simulate Feature Usage</button>
      <LastEvent of={[FEATURE_USED]} />
      {offer ? <OfferState offer={offer} row={ownOfferRow.value} /> : (
        <p class="note">
          {connection.value === "away"
            ? "The processor is away: uses are kept in the topic and counted when it is back."
            : "The fifth use earns a discount offer by mail."}
        </p>
      )}
    </div>
  );
}

/** Failures are already told by `trouble`. */
function attempt(done: Promise<void>): Promise<void> {
  return done.catch(() => {});
}
