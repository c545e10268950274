import { useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { now } from "../browser/now.ts";
import { connection, startFeed, trace } from "../browser/feed.ts";
import { distinctId, email } from "../browser/person.ts";
import { Empty } from "../components/Empty.tsx";
import { EventRowView, OfferRowView } from "../components/TraceRows.tsx";
import { count, plural } from "../core/format.ts";
import { announcement, type TraceRow } from "../core/trace.ts";

const ROWS_SHOWN = 50;

export type TraceListProps = {
  /** Newest first: what the server knew when it made the page. */
  rows: TraceRow[];
  /** For the curl command. */
  ingestUrl: string;
  withSecret: boolean;
};

/**
 * The live list of events. While somebody looks at a row (the pointer rests on the list, or the focus is in it) rows
 * keep growing but none is pushed in from above: a button says how many wait. An event of one's own is always let in.
 */
export default function TraceList(props: TraceListProps) {
  const list = useRef<HTMLDivElement>(null);
  const shown = useSignal(ROWS_SHOWN);
  const heldAt = useSignal<string | null>(null);
  useEffect(startFeed, []);

  const live = [...trace.value.values()].reverse();
  const all = live.length > 0 ? live : props.rows;
  const heldIndex = heldAt.value === null ? 0 : all.findIndex((row) => row.key === heldAt.value);
  const ownWaits = all.slice(0, Math.max(0, heldIndex)).some((row) => row.kind === "event" && row.own);
  const from = heldIndex < 0 || ownWaits ? 0 : heldIndex;
  const rows = all.slice(from, from + shown.value);
  const earned = new Set(all.map((row) => row.kind === "offer" && row.earnedAt ? row.distinctId : null));
  const older = all.length - from - rows.length;

  const hold = () => heldAt.value ??= all[0]?.key ?? null;
  const release = () => {
    const box = list.current;
    if (box && (box.matches(":hover") || box.contains(document.activeElement))) return;
    heldAt.value = null;
  };
  return (
    <div
      ref={list}
      class="trace"
      onMouseEnter={hold}
      onMouseLeave={() => setTimeout(release)}
      onFocusIn={hold}
      onFocusOut={() => setTimeout(release)}
    >
      <Announcer began={props.rows} />
      {connection.value === "away" && rows.length > 0 && (
        <p class="banner warn" role="status">
          The processor is away. What happened stays; new steps come when it is back.
        </p>
      )}
      {connection.value === "lost" && (
        <p class="banner bad" role="status">
          The connection is lost. It comes back by itself and continues where it was.
        </p>
      )}
      {from > 0 && (
        <p class="more">
          <button type="button" class="link" onClick={() => heldAt.value = all[0]!.key}>
            {count(from)} newer {plural(from, "event")}
          </button>
        </p>
      )}
      {rows.length === 0 ? <NoRows /> : (
        <ol class="rows">
          {rows.map((row) =>
            row.kind === "offer"
              ? (
                <OfferRowView
                  key={row.key}
                  row={row}
                  own={row.distinctId !== null && row.distinctId === distinctId.value}
                  email={email.value}
                />
              )
              : (
                <EventRowView
                  key={row.key}
                  row={row}
                  own={row.own || (row.distinctId !== null && row.distinctId === distinctId.value)}
                  earned={row.distinctId !== null && earned.has(row.distinctId)}
                  slow={isSlow(row)}
                  ingestUrl={props.ingestUrl}
                  withSecret={props.withSecret}
                />
              )
          )}
        </ol>
      )}
      {older > 0 && (
        <p class="more">
          <button type="button" class="link" onClick={() => shown.value += ROWS_SHOWN}>
            {count(older)} older {plural(older, "event")}
          </button>
        </p>
      )}
    </div>
  );
}

const SLOW_MS = 8_000;

/** Captured here, and nothing heard of it for a while. */
function isSlow(row: TraceRow): boolean {
  return row.kind === "event" && row.own && row.polledAt === null && row.capturedAt !== null &&
    now() - Date.parse(row.capturedAt) > SLOW_MS;
}

function NoRows() {
  const away = connection.value === "away" || connection.value === "lost";
  return (
    <Empty title={away ? "What happened is not known here now." : "Nothing has happened yet."}>
      {away
        ? "The processor is away. Events wait in the topic; their steps are shown when it is back."
        : "Click “Simulate Generation Failure”: within a second its line stands in the dataset, and every step to it stands here."}
    </Empty>
  );
}

/** Says each event once, when it has ended; not what the page began with, by the services' clock. */
function Announcer({ began }: { began: TraceRow[] }) {
  const text = useSignal("");
  const said = useRef(new Set(began.filter((row) => endedAt(row) > -Infinity).map((row) => row.key)));
  const since = useRef(Math.max(-Infinity, ...began.map(endedAt)));
  useSignalEffect(() => {
    const rows = [...trace.value.values()];
    const ended = rows.filter((row) => !said.current.has(row.key) && endedAt(row) > since.current);
    for (const row of ended) said.current.add(row.key);
    if (ended.length === 1) text.value = announcement(ended[0]!) ?? "";
    else if (ended.length > 1) text.value = `${ended.length} events arrived.`;
  });
  return <p class="hidden" aria-live="polite">{text.value}</p>;
}

function endedAt(row: TraceRow): number {
  if (announcement(row) === null) return -Infinity;
  return Date.parse((row.kind === "offer" ? row.mail?.at : row.ending?.at) ?? "");
}
