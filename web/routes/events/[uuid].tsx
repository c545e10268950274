import { page } from "fresh";
import type { RecentWebhook } from "../../../contract/ingest_api.ts";
import type { DeliveryOutcome, EventDetail } from "../../../contract/processor_api.ts";
import { Empty } from "../../components/Empty.tsx";
import { Sanitised } from "../../components/Sanitised.tsx";
import { bytes, count, fileStem, letterUrl, lineUrl, plural, positionText } from "../../core/format.ts";
import { backfillCommand, curlOf } from "../../core/trace.ts";
import Ago from "../../islands/Ago.tsx";
import CopyButton from "../../islands/CopyButton.tsx";
import EventNews from "../../islands/EventNews.tsx";
import { mayShowRaw } from "../../server/door.ts";
import { type KnownOfEvent, knownOfEvent } from "../../server/event_detail.ts";
import { pathSegment } from "../../server/path.ts";
import { framed } from "../../server/services.ts";
import { define, settings } from "../../utils.ts";

/** Characters of an envelope on the page, of each different one; a mebibyte may have come, a hundred times. */
const RAW_SHOWN = 20_000;

export const handler = define.handlers({
  async GET(ctx) {
    const uuid = pathSegment(ctx.url, 1);
    const config = settings();
    const asked = knownOfEvent(uuid, { ...config, withRaw: mayShowRaw(ctx) });
    const known = await framed(ctx.state, `Event ${uuid}`, asked);
    const { ingestUrl, withSecret } = config;
    const isThere = known.detail !== null || known.durable.length > 0 || known.dropped !== null;
    const status = isThere ? 200 : known.isAway ? 503 : 404;
    const link = ctx.url.origin + ctx.url.pathname;
    const isIngestAway = ctx.state.services?.ingest.state === "away";
    return page({ uuid, known, link, isIngestAway, ingest: { url: ingestUrl, withSecret } }, { status });
  },
});

type Ingest = { readonly url: string; readonly withSecret: boolean };

export default define.page<typeof handler>(function EventPage({ data }) {
  const { uuid, known, link, isIngestAway, ingest } = data;
  const { detail, durable, dropped, isAway } = known;
  const name = detail?.event ?? durable[0]?.event ?? dropped?.event ?? "Event";
  const deliveries = (detail?.deliveries.length ?? 0) + durable.length;
  const waits = detail === null || detail.deliveries.some(({ outcome }) => outcome === "waiting");
  return (
    <div class="page">
      <p class="crumb">
        <a href="/" aria-current="false">Live</a>
      </p>
      <h1 class="break">
        <span dir="auto">{name}</span> <span class="mono quiet break">{uuid}</span>
      </h1>
      <EventNews uuid={uuid} deliveries={deliveries} waits={waits} />
      {isAway && (
        <p class="banner warn">
          The processor does not answer: what it has made of this event is not known here now.
          {durable.length > 0 && " Where it is durable is what ingest says."}
          {durable.length === 0 && isIngestAway && " Ingest does not answer either."}
        </p>
      )}
      {deliveries === 0 && dropped === null && !isAway && <NotFound {...{ known, isIngestAway }} />}
      {dropped && detail === null && durable.length === 0 && (
        <p class="banner bad">
          Dropped by PostHog <Ago at={dropped.at} /> after {dropped.attempts}{" "}
          {plural(dropped.attempts, "attempt")}{" "}
          (<span dir="auto">{dropped.words}</span>). This brings it back:{" "}
          <code>{backfillCommand(dropped.at)}</code> <CopyButton text={backfillCommand(dropped.at)} />
        </p>
      )}
      <Summary {...{ detail, link, ingest }} />
      {deliveries > 0 && <Deliveries detail={detail} durable={durable} />}
      {detail && <Became detail={detail} />}
      {detail && <AsItCame detail={detail} />}
    </div>
  );
});

function NotFound(
  { known: { lookedAt }, isIngestAway }: { known: KnownOfEvent; isIngestAway: boolean },
) {
  const records = lookedAt?.partitions.reduce((sum, { from, to }) => sum + to - from, 0) ?? 0;
  const whole = lookedAt?.partitions.every(({ from, startOffset }) => from <= startOffset) ?? false;
  return (
    <Empty title="Nothing is known of an event with this uuid.">
      {lookedAt === null
        ? "An event has a uuid such as 019ad56c-5168-7457-bac6-82981da45fb3."
        : whole
        ? `All ${count(records)} ${plural(records, "record")} of the topic were looked at.`
        : `The newest ${count(records)} ${
          plural(records, "record")
        } of the topic were looked at; older ones were not.`}
      {isIngestAway && " Ingest does not answer: whether it keeps the event in its spool is not known now."}
    </Empty>
  );
}

function Summary(
  { detail, link, ingest }: { detail: EventDetail | null; link: string; ingest: Ingest },
) {
  const person = detail?.distinctId ?? null;
  const curl = detail && curlOfDetail(detail, ingest);
  return (
    <dl class="facts">
      {detail && (
        <>
          <dt>Person</dt>
          <dd>
            {person === null ? "not known, or erased" : (
              <a
                class="mono"
                dir="auto"
                href={`/offers/${encodeURIComponent(person)}`}
                aria-current="false"
              >
                {person}
              </a>
            )}
          </dd>
        </>
      )}
      {detail?.line && (
        <>
          <dt>Line</dt>
          <dd>
            <a
              class="mono"
              href={detail.line.line === null
                ? `/dataset?file=${encodeURIComponent(detail.line.file)}`
                : lineUrl({ file: detail.line.file, line: detail.line.line })}
              title={detail.line.file}
              aria-current="false"
            >
              {fileStem(detail.line.file)}
              {detail.line.line !== null && `:${detail.line.line}`}
            </a>
          </dd>
        </>
      )}
      <dt>Share</dt>
      <dd>
        <a class="mono" href={link} aria-current="false">{link}</a>{" "}
        <CopyButton text={link} label="copy link" />
      </dd>
      {curl && (
        <>
          <dt>Repeat</dt>
          <dd>
            <CopyButton text={curl.command} label="copy as curl" />{" "}
            <span class="quiet">{curl.isRaw ? "the body as it came" : "with the sanitised prompt"}</span>
          </dd>
        </>
      )}
    </dl>
  );
}

/** The body as it came where that may be shown, else the event as the dataset has it; null where neither is there. */
function curlOfDetail(detail: EventDetail, ingest: Ingest): { command: string; isRaw: boolean } | null {
  const raw = detail.deliveries.find(({ raw }) => raw !== undefined && raw.length <= RAW_SHOWN)?.raw;
  if (raw !== undefined) return { command: curlOf(raw, ingest), isRaw: true };
  const line = lineIn(detail);
  if (line === null) return null;
  const { event, timestamp, distinct_id, input_prompt, failure_reason } = line;
  const properties = { input_prompt, failure_reason };
  const body = JSON.stringify({ event: { uuid: detail.uuid, event, distinct_id, timestamp, properties } });
  return { command: curlOf(body, ingest), isRaw: false };
}

function lineIn({ line }: EventDetail): Record<string, unknown> | null {
  try {
    return line?.text ? JSON.parse(line.text) : null;
  } catch {
    // Somebody has edited the file.
    return null;
  }
}

/** What became of a delivery, in words, and whether that is as it should be. */
const OUTCOMES: Readonly<Record<DeliveryOutcome, { readonly tone: string; readonly words: string }>> = {
  line: { tone: "ok", words: "a line of the dataset" },
  duplicate: { tone: "quiet", words: "dropped: the event was there already" },
  dead_letter: { tone: "bad", words: "dead letter" },
  counted: { tone: "ok", words: "counted as a use" },
  ignored: { tone: "quiet", words: "no line and no use: nothing is made of it" },
  waiting: { tone: "warn", words: "waits for the processor" },
};

function Deliveries({ detail, durable }: { detail: EventDetail | null; durable: readonly RecentWebhook[] }) {
  return (
    <section aria-labelledby="deliveries">
      <h2 id="deliveries">Deliveries</h2>
      <div class="scroll" tabIndex={0} role="region" aria-label="Deliveries of this event">
        <table class="partitions">
          <caption class="hidden">When each delivery came, where it lies, and what became of it</caption>
          <thead>
            <tr>
              <th scope="col">Received</th>
              <th scope="col">Position</th>
              <th scope="col">What became of it</th>
            </tr>
          </thead>
          <tbody>
            {detail?.deliveries.map(({ receivedAt, partition, offset, outcome, reason, redrives }) => (
              <tr key={`${partition}:${offset}`}>
                <td data-name="Received">
                  <Ago at={receivedAt} withClock />
                </td>
                <td data-name="Position" class="mono">{positionText(`${partition}:${offset}`)}</td>
                <td data-name="What became of it" class={`break ${OUTCOMES[outcome].tone}`}>
                  <span>
                    {outcome === "dead_letter"
                      ? <a href={letterUrl(`${partition}:${offset}`)} aria-current="false">dead letter</a>
                      : OUTCOMES[outcome].words}
                    {reason && (
                      <>
                        : <span dir="auto">{reason}</span>
                      </>
                    )}
                    {redrives > 0 && `, as redriven copy ${redrives}`}
                  </span>
                </td>
              </tr>
            ))}
            {durable.map(({ receivedAt, partition, offset }) => (
              <tr key={`${receivedAt} ${partition}:${offset}`}>
                <td data-name="Received">
                  <Ago at={receivedAt} withClock />
                </td>
                <td data-name="Position" class="mono">
                  {partition === null ? "none yet" : positionText(`${partition}:${offset}`)}
                </td>
                <td data-name="What became of it" class="break warn">
                  {partition === null ? "durable in ingest’s spool" : "durable in the topic, says ingest"}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Became({ detail: { line, facts, deliveries } }: { detail: EventDetail }) {
  return (
    <>
      {line && (
        <section aria-labelledby="line">
          <h2 id="line">The line</h2>
          {line.text === null
            ? (
              <p class="note">
                It lies further from the end of <code class="break">{line.file}</code>{" "}
                than was looked: the whole file is read by <code>deno task dataset cat</code>.
              </p>
            )
            : (
              <pre class="sheet" tabIndex={0} dir="auto" aria-label="The line as it stands in the dataset">
                <Sanitised text={line.text} />
              </pre>
            )}
        </section>
      )}
      {deliveries.some(({ outcome }) => outcome === "dead_letter") && (
        <p>
          Its bytes are kept as they came: each dead letter is linked where its delivery stands above.
        </p>
      )}
      {facts.length > 0 && (
        <section aria-labelledby="facts">
          <h2 id="facts">Facts</h2>
          <div class="scroll" tabIndex={0} role="region" aria-label="Facts of this event">
            <table class="partitions">
              <caption>What the offers remember of it; people are keyed hashes there.</caption>
              <thead>
                <tr>
                  <th scope="col">Fact</th>
                  <th scope="col">When</th>
                  <th scope="col">All of it</th>
                </tr>
              </thead>
              <tbody>
                {facts.map((fact, i) => (
                  <tr key={i}>
                    <th scope="row">{String(fact.fact)}</th>
                    <td data-name="When">{typeof fact.at === "string" && <Ago at={fact.at} />}</td>
                    <td data-name="All of it" class="break">
                      <code class="break" dir="auto">{JSON.stringify(fact)}</code>
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </section>
      )}
    </>
  );
}

function AsItCame({ detail: { deliveries } }: { detail: EventDetail }) {
  const envelopes = [...new Set(deliveries.flatMap(({ raw }) => raw ?? []))];
  return (
    <section aria-labelledby="as-it-came">
      <h2 id="as-it-came">As it came</h2>
      {deliveries.map(({ partition, offset, headers }) => (
        <div
          key={`${partition}:${offset}`}
          class="scroll"
          tabIndex={0}
          role="region"
          aria-label={`Headers of ${positionText(`${partition}:${offset}`)}`}
        >
          <table class="headers">
            <caption>Headers of {positionText(`${partition}:${offset}`)}</caption>
            <tbody>
              {Object.entries(headers).map(([name, value]) => (
                <tr key={name}>
                  <th scope="row" class="mono">{name}</th>
                  <td class="mono" dir="auto">{value}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      ))}
      {envelopes.length === 0 && (
        <p class="note">
          Envelopes are raw and may hold personal data: they are shown only on this machine, with{" "}
          <code>SHOW_RAW=1</code>.
        </p>
      )}
      {envelopes.map((raw, i) => (
        <div key={i} class="stack">
          <p class="note">
            Raw envelope, {bytes(new TextEncoder().encode(raw).length)}
            {raw.length > RAW_SHOWN && `; its first ${count(RAW_SHOWN)} characters`}
          </p>
          <pre class="sheet" tabIndex={0} dir="auto" aria-label="Raw envelope">{raw.slice(0, RAW_SHOWN)}</pre>
        </div>
      ))}
    </section>
  );
}
