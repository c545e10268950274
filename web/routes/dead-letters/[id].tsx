import { page } from "fresh";
import type { DeadLetterDetail } from "../../../contract/processor_api.ts";
import { NO_RECORD, RedriveForm, wornOut } from "../../components/LetterRows.tsx";
import { Empty, Unavailable } from "../../components/Empty.tsx";
import { bytes, count } from "../../core/format.ts";
import Ago from "../../islands/Ago.tsx";
import { readLetter } from "../../server/dead_letters.ts";
import { mayShowRaw } from "../../server/door.ts";
import { pathSegment } from "../../server/path.ts";
import { framed } from "../../server/services.ts";
import { define, settings } from "../../utils.ts";

/** Characters of a record's value on the page; `dead-letters show` prints all. */
const VALUE_SHOWN = 20_000;

export const handler = define.handlers({
  async GET(ctx) {
    const id = pathSegment(ctx.url, 1);
    const asked = readLetter(id, { ...settings(), withRaw: mayShowRaw(ctx) });
    const answer = await framed(ctx.state, `Dead letter ${id}`, asked);
    if (answer.ok) return page({ id, letter: answer.value, away: false });
    const away = answer.status !== 404;
    return page({ id, letter: null, away }, { status: away ? 503 : 404 });
  },
});

export default define.page<typeof handler>(function DeadLetterPage({ data: { id, letter, away } }) {
  return (
    <div class="page">
      <p class="crumb">
        <a href="/dead-letters" aria-current="false">Dead letters</a>
      </p>
      <h1>
        Dead letter <span class="mono break">{id}</span>
      </h1>
      {letter
        ? <Letter letter={letter} />
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

function Letter({ letter }: { letter: DeadLetterDetail }) {
  return (
    <>
      <dl class="facts">
        <dt>Reason</dt>
        <dd>{letter.reason}</dd>
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
      </dl>
      <WhatNow letter={letter} />
      <RecordView letter={letter} />
    </>
  );
}

function WhatNow({ letter }: { letter: DeadLetterDetail }) {
  const { id, redriven, redrives, redrivesMax, unread, dismissed } = letter;
  if (dismissed) return <p class="note">Dismissed for good{dismissed.words && `: ${dismissed.words}`}.</p>;
  if (unread) return <p class="note">{NO_RECORD} Its bytes are kept as they lay in the log.</p>;
  if (redriven) {
    return (
      <p class="note">
        Its copy is in the topic: it became a line, or another letter if its cause still stood.
      </p>
    );
  }
  if (redrives >= redrivesMax) return <p class="note warn">{wornOut(redrivesMax)}</p>;
  return <RedriveForm letter={id} label="Redrive" />;
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
              <table class="headers">
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
            <pre class="sheet" tabIndex={0}>{record.value.slice(0, VALUE_SHOWN)}</pre>
          </>
        )}
    </section>
  );
}
