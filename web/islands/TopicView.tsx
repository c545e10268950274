import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { GroupLag, TopicConsumers } from "../../contract/processor_api.ts";
import { getJson, webSeenAt } from "../browser/feed.ts";
import { now, startClock } from "../browser/now.ts";
import { hourCharts, latencyChart } from "../core/figures.ts";
import { count } from "../core/format.ts";
import { staleChart } from "../core/chart.ts";
import {
  behindText,
  endRows,
  endsWords,
  oldWords,
  type PartitionRow,
  partitionRows,
  ROWS_MAX,
  rowsShown,
  shownAfter,
  spoolRows,
  type TopicAnswer,
  type TopicShown,
} from "../core/topic.ts";
import Chart from "./Chart.tsx";

const LOOK_EVERY_MS = 2_000;

/** Everything of the topic's page below its heading; looks again by itself while somebody sees it. */
export default function TopicView({ initial }: { initial: TopicShown }) {
  const shown = useSignal(initial);
  useEffect(() => {
    startClock();
    const look = async () => {
      if (!document.hidden) shown.value = shownAfter(shown.value, await getJson<TopicAnswer>("/api/topic"));
    };
    const looking = setInterval(look, LOOK_EVERY_MS);
    return () => clearInterval(looking);
  }, []);
  const { answer: { groups, consumers, figures, ingest, seen }, isNow } = shown.value;
  const since = { now: now(), webSeenAt: webSeenAt.value };
  const processor = { name: "The processor", at: seen.processor, ...since };
  const oldGroups = oldWords(isNow.groups, processor);
  const oldFigures = oldWords(isNow.figures, { ...processor, tellsMore: isNow.groups });
  const oldIngest = oldWords(isNow.ingest, { name: "Ingest", at: seen.ingest, ...since });
  // Readers of before beside offsets of now would be a false word.
  const readers = isNow.consumers || !isNow.groups ? consumers : null;
  const charts = figures ? [...Object.values(hourCharts(figures)), latencyChart(figures)] : [];
  return (
    <>
      <section aria-labelledby="hour">
        <h2 id="hour">The last hour</h2>
        {figures === null
          ? <p class="note">{oldFigures} What happened in the last hour is not known here now.</p>
          : (
            <div class="charts">
              {charts.map((chart) => <Chart key={chart.caption} {...staleChart(chart, oldFigures)} />)}
            </div>
          )}
      </section>
      <section aria-labelledby="readers">
        <h2 id="readers">Who reads it, and how far</h2>
        {groups === null
          ? <p class="note">{oldGroups} How far its groups have read is not known here now.</p>
          : groups.map((group) => (
            <Group key={group.group} {...{ group, consumers: readers, old: oldGroups }} />
          ))}
      </section>
      {!isNow.groups && ingest !== null && (
        <section aria-labelledby="ends">
          <h2 id="ends">Where it ends</h2>
          <Ends {...{ ends: ingest.ends, now: since.now, old: oldIngest }} />
        </section>
      )}
      <section aria-labelledby="spool">
        <h2 id="spool">Ingest’s spool</h2>
        {ingest === null
          ? <p class="note">{oldIngest} What waits in its spool is on its disk, and not known here now.</p>
          : (
            <>
              <p class="note">
                {oldIngest ??
                  "What ingest keeps on its disk while the log is away; it publishes it once the log is back."}
              </p>
              <dl class={oldIngest === null ? "facts" : "facts quiet"} data-since={oldIngest ?? undefined}>
                {spoolRows(ingest).map(({ name, text, warns }) => (
                  <>
                    <dt key={name}>{name}</dt>
                    <dd class={warns && oldIngest === null ? "warn" : ""}>{text}</dd>
                  </>
                ))}
              </dl>
            </>
          )}
      </section>
    </>
  );
}

function Group(
  { group, consumers, old }: {
    group: GroupLag;
    consumers: TopicConsumers["groups"] | null;
    old: string | null;
  },
) {
  const { group: name, topic } = group;
  const { shown, left } = rowsShown(partitionRows(group, consumers));
  return (
    <div
      class={old === null ? "scroll" : "scroll quiet"}
      tabIndex={0}
      role="region"
      aria-label={`Group ${name}`}
      data-since={old ?? undefined}
    >
      <table class="partitions">
        <caption>
          <strong class="mono">{name}</strong>, of <span class="mono">{topic}</span>:{" "}
          {old !== null && "as it was, "}
          {behindText(group)}.{left > 0 && ` ${count(left)} more partitions: deno task lag.`}
          {old !== null && ` ${old}`}
        </caption>
        <thead>
          <tr>
            <th scope="col">Partition</th>
            <th scope="col" class="right">Next offset</th>
            <th scope="col" class="right">End offset</th>
            <th scope="col" class="right">Lag</th>
            <th scope="col" class="right">Behind</th>
            <th scope="col">Read by</th>
            <th scope="col">State</th>
          </tr>
        </thead>
        <tbody>
          {shown.map((row) => <Partition key={row.partition} {...{ row, old }} />)}
        </tbody>
      </table>
    </div>
  );
}

const SIGNS = { ok: "●", warn: "◆", bad: "✕", quiet: "○" } as const;

function Partition({ row, old }: { row: PartitionRow; old: string | null }) {
  const tone = old === null ? row.tone : "quiet";
  return (
    <tr>
      <th scope="row" class="mono">
        <span class="on-phone">Partition</span> {row.partition}
      </th>
      <td data-name="Next offset" class="mono right">{row.next}</td>
      <td data-name="End offset" class="mono right">{row.end}</td>
      <td data-name="Lag" class="mono right">{row.lag}</td>
      <td data-name="Behind" class="mono right">{row.seconds}</td>
      <td data-name="Read by" class="break" title={row.detail}>{row.reader}</td>
      <td data-name="State" class={`break ${tone}`}>
        <span aria-hidden="true">{SIGNS[tone]}</span> {old !== null && "was: "}
        {row.state}
      </td>
    </tr>
  );
}

function Ends(
  { ends, now, old }: { ends: NonNullable<TopicAnswer["ingest"]>["ends"]; now: number; old: string | null },
) {
  const rows = endRows(ends);
  if (rows.length === 0) return <p class="note">Ingest does not tell where the topic ends.</p>;
  return (
    <div
      class={old === null ? "scroll" : "scroll quiet"}
      tabIndex={0}
      role="region"
      aria-label="Ends of the partitions"
      data-since={old ?? undefined}
    >
      <table>
        <caption>
          By ingest’s word: {endsWords(ends, now)}.
          {rows.length > ROWS_MAX && ` The first ${ROWS_MAX} of ${count(rows.length)} partitions.`}
          {old !== null && ` ${old}`}
        </caption>
        <thead>
          <tr>
            <th scope="col">Partition</th>
            <th scope="col" class="right">End offset</th>
          </tr>
        </thead>
        <tbody>
          {rows.slice(0, ROWS_MAX).map(({ partition, end }) => (
            <tr key={partition}>
              <th scope="row" class="mono">{partition}</th>
              <td class="mono right">{end}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
