import { useEffect } from "preact/hooks";
import { now, startClock } from "../browser/now.ts";
import { connection, heardAt, sent, services, startFeed, webSeenAt } from "../browser/feed.ts";
import { startPosthog } from "../browser/person.ts";
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
        {list.map((station) => <StationView key={station.name} station={station} />)}
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

function StationView({ station }: { station: Station }) {
  return (
    <li class={`station tone-${station.tone}`} title={station.detail}>
      <span class="station-name">{station.name}</span>
      {station.port && <span class="port">:{station.port}</span>}
      <span class="state">
        <span aria-hidden="true">{SIGNS[station.tone]}</span> {station.word}
      </span>
      <span class="number">{station.number ?? "\u00a0"}</span>
    </li>
  );
}
