import { useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { OfferView } from "../../contract/processor_api.ts";
import { connection, services, startFeed, trace } from "../browser/feed.ts";
import { journey } from "../browser/journey.ts";
import { recipientOf } from "../browser/mails.ts";
import { offerOfRow, startOffers } from "../browser/offers.ts";
import { ownIds } from "../browser/person.ts";
import { isSlow } from "../browser/slow.ts";
import { keysOn, onKeys, turnKeys } from "../browser/keys.ts";
import { Empty } from "../components/Empty.tsx";
import { ExploreBar, KeysHelp } from "../components/ExploreBar.tsx";
import { EventRowView, MailRowView, OfferRowView } from "../components/TraceRows.tsx";
import { EVERYTHING, type Held, heldRows, isMine, isWanted, newSince, type Wanted } from "../core/explore.ts";
import { count, plural } from "../core/format.ts";
import { announcedAt, announcement, type TraceRow } from "../core/trace.ts";

const ROWS_SHOWN = 50;

export type TraceListProps = {
  /** Newest first: what the server knew when it made the page. */
  rows: TraceRow[];
  /** For the curl command. */
  ingestUrl: string;
  withSecret: boolean;
  /** Offers of the people in these rows, by distinct_id. */
  offers: Readonly<Record<string, OfferView | null>>;
};

/** Why rows stay as they are: the pointer rests on them or the focus is in them, a finger touched them, or it was asked for. */
type Reading = "looks" | "touched" | "paused";

/**
 * The live list of events. While somebody reads it (see {@link Reading}) rows keep growing, but none is pushed in from above
 * and none leaves: what came meanwhile waits behind a button. An event of one's own is let in, unless it is paused.
 */
export default function TraceList(props: TraceListProps) {
  const list = useRef<HTMLDivElement>(null);
  const search = useRef<HTMLInputElement>(null);
  const help = useRef<HTMLDialogElement>(null);
  const shown = useSignal(ROWS_SHOWN);
  const wanted = useSignal(EVERYTHING);
  const reading = useSignal<Reading | null>(null);
  const held = useSignal<Held | null>(null);
  const me = ownIds.value;

  const live = [...trace.value.values()].reverse();
  const known = live.length > 0 ? live : props.rows;
  const all = known.filter((row) => isWanted(row, wanted.value, me));
  const holds = held.value !== null && held.value.size > 0;
  const since = holds ? newSince(held.value!, all) : [];
  const ownCame = reading.value !== "paused" && since.some((row) => row.kind === "event" && row.own);
  const kept = holds ? heldRows(held.value!, trace.value) : all.slice(0, shown.value);
  const rows = ownCame ? [...since, ...kept] : kept;
  const waiting = ownCame ? 0 : since.length;
  const onScreen = new Set(rows.map(({ key }) => key));
  const older = all.filter(({ key }) => !onScreen.has(key)).length - waiting;

  const hold = (those: readonly TraceRow[]) => held.value = new Map(those.map((row) => [row.key, row]));
  // Let in, and from now on among what is read.
  useEffect(() => {
    if (ownCame) hold(rows);
  }, [ownCame]);
  const keep = (why: Reading) => {
    if (reading.value === "paused") return;
    reading.value = why;
    if (!holds) hold(rows);
  };
  const letGo = () => {
    reading.value = null;
    held.value = null;
  };
  const lookAway = () => {
    const box = list.current;
    if (reading.value !== "looks" || box?.matches(":hover") || box?.contains(document.activeElement)) return;
    letGo();
  };
  const letIn = () => hold(all.slice(0, shown.value));
  const showOlder = () => {
    shown.value += ROWS_SHOWN;
    if (!holds) return;
    const below = all.filter(({ key }) => !onScreen.has(key)).slice(waiting);
    hold([...rows, ...below.slice(0, ROWS_SHOWN)]);
  };
  const pause = () => reading.value === "paused" ? letGo() : keep("paused");
  const want = (next: Wanted) => {
    wanted.value = next;
    shown.value = ROWS_SHOWN;
    if (reading.value === "paused") {
      hold(known.filter((row) => isWanted(row, next, me)).slice(0, ROWS_SHOWN));
    } else letGo();
  };
  const move = (by: 1 | -1) => {
    const items = [...list.current?.querySelectorAll<HTMLElement>(".row") ?? []];
    const at = items.findIndex((item) => item.contains(document.activeElement));
    const next = items[at < 0 ? 0 : Math.min(items.length - 1, Math.max(0, at + by))];
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
  };

  const actions = useRef({ pause, move });
  actions.current = { pause, move };
  useEffect(() => {
    startFeed();
    startOffers();
    const elsewhere = ({ target }: Event) => {
      if (reading.value === "touched" && !list.current?.contains(target as Node)) letGo();
    };
    addEventListener("touchstart", elsewhere, { passive: true });
    const stop = onKeys({
      "/": () => search.current?.focus(),
      j: () => actions.current.move(1),
      k: () => actions.current.move(-1),
      p: () => actions.current.pause(),
      "?": () => help.current?.showModal(),
    });
    return () => {
      stop();
      removeEventListener("touchstart", elsewhere);
    };
  }, []);

  const isPaused = reading.value === "paused";
  return (
    <>
      <ExploreBar
        wanted={wanted.value}
        want={want}
        paused={isPaused}
        pause={pause}
        waiting={isPaused ? waiting : 0}
        letIn={letIn}
        search={search}
        openHelp={() => help.current?.showModal()}
      />
      <KeysHelp dialog={help} on={keysOn.value} turn={turnKeys} />
      <div
        ref={list}
        class="trace"
        onMouseEnter={() => keep("looks")}
        onMouseLeave={() => setTimeout(lookAway)}
        onFocusIn={() => keep("looks")}
        onFocusOut={() => setTimeout(lookAway)}
        onTouchStart={() => keep("touched")}
      >
        <Announcer began={props.rows} />
        {connection.value === "away" && rows.length > 0 && (
          <p class="banner warn" role="status">
            The processor is away. What happened stays; until it is back, ingest alone tells where events are.
          </p>
        )}
        {connection.value === "lost" && (
          <p class="banner bad" role="status">
            The connection is lost. It comes back by itself and continues where it was.
          </p>
        )}
        {!isPaused && waiting > 0 && (
          <p class="more">
            <button type="button" class="link" onClick={letIn}>
              {count(waiting)} newer {plural(waiting, "event")}
            </button>
          </p>
        )}
        {rows.length === 0
          ? <NoRows known={known.length} clear={() => want(EVERYTHING)} />
          : (
            <ol class="rows">
              {rows.map((row) => <RowView key={row.key} row={row} me={me} list={props} />)}
            </ol>
          )}
        {older > 0 && (
          <p class="more">
            <button type="button" class="link" onClick={showOlder}>
              {count(older)} older {plural(older, "event")}
            </button>
          </p>
        )}
      </div>
    </>
  );
}

function RowView({ row, me, list }: { row: TraceRow; me: ReadonlySet<string>; list: TraceListProps }) {
  const own = isMine(row, me);
  switch (row.kind) {
    case "offer":
      return <OfferRowView row={row} own={own} offer={offerOfRow(row, list.offers)} />;
    case "mail":
      return <MailRowView row={row} own={own} to={recipientOf(row.messageId)} />;
    case "event":
      return (
        <EventRowView
          row={row}
          own={own}
          slow={isSlow(row)}
          lit={journey.value?.id === row.id ? journey.value.lit : null}
          ingest={{ url: list.ingestUrl, withSecret: list.withSecret }}
        />
      );
  }
}

function NoRows({ known, clear }: { known: number; clear: () => void }) {
  if (known > 0) {
    return (
      <Empty title={`None of the ${count(known)} newest events is one of these.`}>
        <button type="button" class="link" onClick={clear}>Show everything</button>
      </Empty>
    );
  }
  switch (connection.value) {
    case "lost":
      return (
        <Empty title="What happened is not known here now.">
          The connection is lost; it comes back by itself.
        </Empty>
      );
    case "away":
      return (
        <Empty title="What happened is not known here now.">
          The processor is away, and ingest has told of no event. What comes is kept, and its steps are shown
          when the processor is back.
        </Empty>
      );
    default:
      if (services.value?.ingest.topic?.records) {
        return (
          <Empty title="Of what is in the topic nothing has been told here.">
            What comes from now on is shown step by step. An event whose uuid you know has its own page:{" "}
            <code>/events/…</code>
          </Empty>
        );
      }
      return (
        <Empty title="Nothing has happened yet.">
          Click “Simulate Generation Failure”: within a second its line stands in the dataset, and every step
          to it stands here.
        </Empty>
      );
  }
}

/** Says each event once, when it has ended; not what the page began with, by the services' clock, nor what was read from the log. */
function Announcer({ began }: { began: TraceRow[] }) {
  const text = useSignal("");
  const said = useRef(new Set(began.filter((row) => endedAt(row) > -Infinity).map((row) => row.key)));
  const since = useRef(Math.max(-Infinity, ...began.map(endedAt)));
  const awaited = useRef(new Set<string>());
  useSignalEffect(() => {
    const rows = [...trace.value.values()];
    const came = rows.filter((row) => !said.current.has(row.key) && endedAt(row) > since.current);
    for (const row of came) said.current.add(row.key);
    const ended = came.filter((row) => !row.fromLog || awaited.current.delete(row.key));
    for (const row of rows) if (endedAt(row) === -Infinity) awaited.current.add(row.key);
    if (ended.length === 1) text.value = announcement(ended[0]!) ?? "";
    else if (ended.length > 1) text.value = `${ended.length} events arrived.`;
  });
  return <p class="hidden" aria-live="polite">{text.value}</p>;
}

function endedAt(row: TraceRow): number {
  return Date.parse(announcedAt(row) ?? "") || -Infinity;
}
