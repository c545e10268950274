import { useEffect } from "preact/hooks";
import { now, startClock } from "../browser/now.ts";
import { connection, heardAt, sent, services, startFeed, trace, webSeenAt } from "../browser/feed.ts";
import { journey } from "../browser/journey.ts";
import { startPosthog } from "../browser/person.ts";
import { tookTo } from "../core/event_path.ts";
import { type HeldUp, heldUp } from "../core/held_up.ts";
import { type Services, silentSince, staleWords, type Station, stations } from "../core/stations.ts";

/**
 * The strip of every page. It also starts what lives on a page: the event source, the clock and posthog-js, which is
 * loaded only here, in the layout, after the page has been painted.
 */
export default function StatusStrip(
  { initial, posthogKey, relayPath }: { initial: Services | null; posthogKey: string; relayPath: string },
) {
  useEffect(() => {
    startClock();
    startFeed();
    startPosthog({ key: posthogKey, apiHost: relayPath });
  }, []);
  const lit = journey.value?.lit ?? 0;
  const known = services.value ?? initial;
  const browser = {
    sent: sent.value,
    connection: connection.value,
    now: now(),
    heardAt: heardAt.value,
    webSeenAt: webSeenAt.value,
  };
  const list = stations(known, browser);
  const stale = staleWords(known, browser);
  const held = heldUp(silentSince(browser) === undefined ? known?.status ?? null : null);
  return (
    <>
      <ol class="strip" aria-label="Services, in the order of the flow">
        {list.map((station, i) => (
          <StationView
            key={station.name}
            station={station}
            isLit={i < lit}
            took={i < lit ? tookOf(i) : null}
          />
        ))}
      </ol>
      {/* No live region: its time goes on each second. */}
      {stale !== null && (
        <div class="held-up">
          <p class="banner warn">{stale}</p>
        </div>
      )}
      <div role="status">
        {held.length > 0 && (
          <ul class="held-up" aria-label="What stands">
            {held.slice(0, HELD_UP_SHOWN_MAX).map((one) => <HeldUpView key={one.text} held={one} />)}
            {held.length > HELD_UP_SHOWN_MAX && (
              <li class="banner warn">
                {held.length - HELD_UP_SHOWN_MAX} more: <code>deno task lag</code>
              </li>
            )}
          </ul>
        )}
      </div>
    </>
  );
}

/** Partitions named one by one; a topic may have a thousand. */
const HELD_UP_SHOWN_MAX = 6;

function HeldUpView({ held: { tone, text, command } }: { held: HeldUp }) {
  return (
    <li class={`banner ${tone}`}>
      <span aria-hidden="true">{SIGNS[tone]}</span> {text}
      {command !== null && (
        <>
          {" "}
          <code>{command}</code>
        </>
      )}
    </li>
  );
}

const SIGNS = { ok: "●", warn: "◆", bad: "✕", quiet: "○" } as const;

/** What was measured of the event whose way is lit. */
function tookOf(station: number): string | null {
  const row = trace.value.get(journey.value?.id ?? "");
  return row?.kind === "event" ? tookTo(station, row) : null;
}

function StationView(
  { station, isLit, took }: { station: Station; isLit: boolean; took: string | null },
) {
  return (
    <li class={`station tone-${station.tone}${isLit ? " lit" : ""}`} title={station.detail}>
      <span class="station-name">{station.name}</span>
      {took !== null && <span class="took">{took}</span>}
      {station.port && <span class="port">:{station.port}</span>}
      <span class="state">
        <span aria-hidden="true">{SIGNS[station.tone]}</span> {station.word}
      </span>
      <span class="number">{station.number ?? "\u00a0"}</span>
    </li>
  );
}
