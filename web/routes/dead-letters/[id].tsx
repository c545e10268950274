import { page } from "fresh";
import {
  type DeadLetterDetail,
  DISMISSAL_WORDS_MAX,
  EDITED_BYTES_MAX,
} from "../../../contract/processor_api.ts";
import { NO_RECORD, RedriveForm, wornOut } from "../../components/LetterRows.tsx";
import { Empty, Unavailable } from "../../components/Empty.tsx";
import { bytes, count } from "../../core/format.ts";
import { asideQuery, failureOf, resentQuery, STAYED } from "../../core/redrive_text.ts";
import Ago from "../../islands/Ago.tsx";
import LetterEdit from "../../islands/LetterEdit.tsx";
import { dismissLetter, readLetter, resendLetter } from "../../server/dead_letters.ts";
import { mayShowRaw } from "../../server/door.ts";
import { pathSegment } from "../../server/path.ts";
import { isOwnPage } from "../../server/same_origin.ts";
import { framed } from "../../server/services.ts";
import { readBounded } from "../../server/upstream.ts";
import { define, type Settings, settings, type State } from "../../utils.ts";

/** Characters of a record's value on the page; `dead-letters show` prints all. */
const VALUE_SHOWN = 20_000;

/** An edited record, of up to 1 MiB, as a form escapes it. */
const FORM_BYTES_MAX = 4 * 1024 * 1024;

/** What the forms of this page hold: as it was sent, where nothing came of it. */
type Forms = {
  readonly edit: { readonly value: string | null; readonly problem: string | null } | null;
  readonly aside: { readonly reason: string; readonly problem: string | null };
};

export const handler = define.handlers({
  GET: (ctx) => {
    const edit = ctx.url.searchParams.has("edit") ? { value: null, problem: null } : null;
    return show(ctx, { edit, aside: { reason: "", problem: null } }, 200);
  },
  /** "Resend" and "Set aside for good": to the list where it was done, else this page again with all that was written. */
  async POST(ctx) {
    const config = settings();
    if (!isOwnPage(ctx.req, config.console)) {
      return refused(403, "This form was not sent by this site's own page.");
    }
    const id = pathSegment(ctx.url, 1);
    const body = await readBounded(ctx.req.body, { bytesMax: FORM_BYTES_MAX });
    if (body === null) return refused(413, "This form is too long: a record has 1 MiB at most.");
    const form = new URLSearchParams(new TextDecoder().decode(body));
    if (form.get("do") === "resend") return await resend(ctx, { id, value: valueOf(form), config });
    if (form.get("do") === "dismiss") {
      return await setAside(ctx, { id, reason: (form.get("reason") ?? "").trim(), config });
    }
    return refused(400, "This form says nothing to do.");
  },
});

/** What is asked for, as Fresh hands it over. */
type Visit = { readonly req: Request; readonly url: URL; readonly info: unknown; readonly state: State };

async function show(ctx: Visit, forms: Forms, status: number) {
  const id = pathSegment(ctx.url, 1);
  const asked = readLetter(id, { ...settings(), withRaw: mayShowRaw(ctx) });
  const answer = await framed(ctx.state, `Dead letter ${id}`, asked);
  if (answer.ok) return page({ id, letter: answer.value, away: false, forms }, { status });
  const away = answer.status !== 404;
  return page({ id, letter: null, away, forms }, { status: away ? 503 : 404 });
}

/** Browsers send line ends of a textarea as CR LF. */
function valueOf(form: URLSearchParams): string {
  return (form.get("value") ?? "").replaceAll("\r\n", "\n");
}

async function resend(
  ctx: Visit,
  { id, value, config }: { id: string; value: string; config: Settings },
) {
  const stay = (problem: string, status: number) =>
    show(ctx, { edit: { value, problem }, aside: { reason: "", problem: null } }, status);
  if (!mayShowRaw(ctx)) return refused(403, "Records are raw: they are edited on this machine only.");
  try {
    JSON.parse(value);
  } catch (error) {
    return await stay(`This is no JSON: ${(error as Error).message}`, 422);
  }
  // The processor too keeps records for who may see them.
  const letter = await readLetter(id, { ...config, withRaw: true });
  if (letter.ok && letter.value.withheld === "raw_not_shown") {
    return refused(403, "Records are raw: they are edited with SHOW_RAW=1 only.");
  }
  const answer = await resendLetter({ id, value }, config);
  if (!answer.ok) {
    if (answer.status === 413) {
      return await stay("The record is longer than 1 MiB, which is what ingest takes.", 413);
    }
    return await stay(STAYED[failureOf(answer.status)], answer.status ?? 503);
  }
  const why = answer.value.letters[0]?.why ?? null;
  return why === null ? toList(resentQuery(answer.value)) : await stay(`Not sent: ${why}.`, 409);
}

async function setAside(
  ctx: Visit,
  { id, reason, config }: { id: string; reason: string; config: Settings },
) {
  const stay = (problem: string, status: number) =>
    show(ctx, { edit: null, aside: { reason, problem } }, status);
  if (reason === "" || reason.length > DISMISSAL_WORDS_MAX) {
    return await stay(`Say why, in 1 to ${count(DISMISSAL_WORDS_MAX)} characters.`, 422);
  }
  const answer = await dismissLetter({ id, reason }, config);
  if (!answer.ok) return await stay(STAYED[failureOf(answer.status)], answer.status ?? 503);
  return toList(asideQuery(answer.value));
}

function toList(came: Record<string, string>): Response {
  const location = `/dead-letters?${new URLSearchParams(came)}#outcome`;
  return new Response(null, { status: 303, headers: { location, "cache-control": "no-store" } });
}

function refused(status: number, message: string): Response {
  return new Response(`${message}\n`, { status, headers: { "content-type": "text/plain; charset=utf-8" } });
}

export default define.page<typeof handler>(function DeadLetterPage({ data: { id, letter, away, forms } }) {
  return (
    <div class="page">
      <p class="crumb">
        <a href="/dead-letters" aria-current="false">Dead letters</a>
      </p>
      <h1>
        Dead letter <span class="mono break">{id}</span>
      </h1>
      {letter
        ? <Letter letter={letter} forms={forms} />
        : away
        ? <Unavailable what="Every dead letter is kept in the log" />
        : (
          <Empty title="There is no dead letter of this id.">
            An erasure takes the letters of a person out of the list.
          </Empty>
        )}
    </div>
  );
});

function Letter({ letter, forms }: { letter: DeadLetterDetail; forms: Forms }) {
  return (
    <>
      <dl class="facts">
        <dt>Reason</dt>
        <dd dir="auto">{letter.reason}</dd>
        <dt>Step</dt>
        <dd>{letter.step}</dd>
        <dt>Source</dt>
        <dd class="mono">{letter.topic}, p{letter.partition} @ {letter.offset}</dd>
        {letter.unread && (
          <>
            <dt>Why</dt>
            <dd>{letter.unread.why}</dd>
            <dt>Set aside because</dt>
            <dd>{letter.unread.words}</dd>
            <dt>Read on at</dt>
            <dd class="mono">p{letter.partition} @ {letter.unread.nextOffset}</dd>
          </>
        )}
        <dt>First seen</dt>
        <dd>
          <Ago at={letter.firstSeen} />
        </dd>
        <dt>Redriven</dt>
        <dd>{count(letter.redrives)} of {count(letter.redrivesMax)} times</dd>
        {letter.editedIn && (
          <>
            <dt>Edited</dt>
            <dd>
              in letter{" "}
              <a
                class="mono"
                href={`/dead-letters/${encodeURIComponent(letter.editedIn)}`}
                aria-current="false"
              >
                {letter.editedIn}
              </a>: this record is what came of that
            </dd>
          </>
        )}
      </dl>
      <WhatNow letter={letter} />
      {forms.edit !== null && isEditable(letter) && (
        <section id="edit" aria-labelledby="edit-title">
          <h2 id="edit-title">Edit the record</h2>
          <p class="note">
            A copy with your text goes into the topic, marked as edited, in the place of this record; it is
            the same event still. The record itself stays as it came.
          </p>
          <LetterEdit
            id={letter.id}
            value={forms.edit.value ?? letter.record!.value}
            problem={forms.edit.problem}
          />
        </section>
      )}
      {forms.edit?.problem && !isEditable(letter) && <p class="banner warn">{forms.edit.problem}</p>}
      <SetAside letter={letter} aside={forms.aside} />
      <RecordView letter={letter} />
    </>
  );
}

/** A letter that waits, whose record is here and no longer than what ingest takes. */
function isEditable({ redriven, dismissed, unread, record }: DeadLetterDetail): boolean {
  return !redriven && !dismissed && !unread && record !== null && record.valueBytes <= EDITED_BYTES_MAX;
}

function WhatNow({ letter }: { letter: DeadLetterDetail }) {
  const { id, redriven, edited, redrives, redrivesMax, unread, dismissed } = letter;
  if (dismissed) {
    return <p class="note" dir="auto">Set aside for good{dismissed.words && `: ${dismissed.words}`}.</p>;
  }
  if (unread) return <p class="note">{NO_RECORD} Its bytes are kept as they lay in the log.</p>;
  if (redriven) {
    return (
      <p class="note">
        Its{" "}
        {edited && "edited "}copy is in the topic: it became a line, or another letter if its cause still
        stood.
      </p>
    );
  }
  return (
    <>
      {redrives >= redrivesMax && (
        <p class="note warn">
          {wornOut(redrivesMax)} {isEditable(letter) && "An edit may."}
        </p>
      )}
      <div class="buttons">
        {redrives < redrivesMax && <RedriveForm letter={id} label="Redrive" />}
        {isEditable(letter) && (
          <form method="get" action={`/dead-letters/${encodeURIComponent(id)}#edited`}>
            <button type="submit" name="edit" value="1" class="quiet-button">Edit</button>
          </form>
        )}
      </div>
    </>
  );
}

function SetAside(
  { letter: { id, redriven, dismissed }, aside }: { letter: DeadLetterDetail; aside: Forms["aside"] },
) {
  if (redriven || dismissed) return null;
  return (
    <section aria-labelledby="aside">
      <h2 id="aside">Set aside</h2>
      <form method="post" action={`/dead-letters/${encodeURIComponent(id)}`} class="explore">
        <div class="field grow">
          <label for="reason">Reason</label>
          <input
            id="reason"
            name="reason"
            value={aside.reason}
            required
            maxLength={DISMISSAL_WORDS_MAX}
            dir="auto"
            autoComplete="off"
            aria-describedby="aside-note"
          />
        </div>
        <button type="submit" name="do" value="dismiss" class="quiet-button">Set aside for good</button>
      </form>
      {aside.problem && <p class="trouble" role="alert">{aside.problem}</p>}
      <p id="aside-note" class="note">
        It leaves the list, stands under <a href="/dead-letters?all=1" aria-current="false">all letters</a>
        {" "}
        with your reason, and is never redriven. Nothing is deleted.
      </p>
    </section>
  );
}

function RecordView({ letter: { id, record, withheld } }: { letter: DeadLetterDetail }) {
  return (
    <section aria-labelledby="record">
      <h2 id="record">The record, as it came</h2>
      {record === null
        ? (
          <p class="note">
            {withheld === "gone" ? "The log no longer has its bytes." : (
              <>
                Records are raw and may hold personal data, so this page shows them only on this machine, with
                {" "}
                <code>SHOW_RAW=1</code>. <code>deno task dead-letters show {id}</code> prints this one.
              </>
            )}
          </p>
        )
        : (
          <>
            <div class="scroll" tabIndex={0} role="region" aria-label="Key and headers">
              <table class="headers stacks">
                <caption class="hidden">Key and headers of the record</caption>
                <tbody>
                  <tr>
                    <th scope="row" class="mono">key</th>
                    <td class="mono">{record.key ?? "none"}</td>
                  </tr>
                  {Object.entries(record.headers).map(([name, value]) => (
                    <tr key={name}>
                      <th scope="row" class="mono">{name}</th>
                      <td class="mono">{value}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
            <p class="note">
              Value, {bytes(record.valueBytes)}
              {!record.utf8 && ", no UTF-8: what cannot be read stands as U+FFFD"}
              {record.value.length > VALUE_SHOWN && (
                <>
                  ; its first {count(VALUE_SHOWN)} characters: <code>deno task dead-letters show {id}</code>
                  {" "}
                  prints all
                </>
              )}
            </p>
            <pre
              class="sheet"
              tabIndex={0}
              dir="auto"
              aria-label="The record’s value"
            >{record.value.slice(0, VALUE_SHOWN)}</pre>
          </>
        )}
    </section>
  );
}
