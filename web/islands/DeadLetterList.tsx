import { useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { DeadLetterListing } from "../../contract/processor_api.ts";
import { getJson, services, startFeed } from "../browser/feed.ts";
import { Empty } from "../components/Empty.tsx";
import { LetterRow, ReasonTable, RedriveForm, wornOut } from "../components/LetterRows.tsx";
import { count } from "../core/format.ts";

export type DeadLetterListProps = {
  initial: DeadLetterListing;
  query: { all: boolean; before: string | null };
};

/**
 * The letters of one page, newest first, with their histogram and forms. Its first page follows what the processor
 * counts; while somebody looks at a row it stays as it is and says that it has changed, so that no row slips away from
 * under a click.
 */
export default function DeadLetterList({ initial, query }: DeadLetterListProps) {
  const rows = useRef<HTMLOListElement>(null);
  const listing = useSignal(initial);
  const hasChanged = useSignal(false);
  const known = useRef(query.all ? null : stampOf(initial));

  const refresh = async () => {
    const newer = await getJson<DeadLetterListing>(`/api/dead-letters${query.all ? "?all=1" : ""}`);
    if (newer === null) return;
    listing.value = newer;
    hasChanged.value = false;
  };
  useEffect(startFeed, []);
  useSignalEffect(() => {
    const letters = services.value?.status?.deadLetters;
    if (letters === undefined || query.before !== null) return;
    const stamp = stampOf(letters);
    const isNews = known.current !== null && known.current !== stamp;
    known.current = stamp;
    if (!isNews) return;
    if (rows.current?.matches(":hover, :focus-within")) hasChanged.value = true;
    else refresh();
  });

  const { letters, total, byReason, redrivable, redrivesMax, older } = listing.value;
  if (total === 0) return <NoLetters all={query.all} />;
  return (
    <>
      <ReasonTable byReason={byReason} total={total} />
      {redrivable > 0 && (
        <RedriveForm
          letter="all"
          label={redrivable === 1 ? "Redrive it" : `Redrive all ${count(redrivable)}`}
        />
      )}
      {redrivable === 0 &&
        letters.some(({ redriven, unread, dismissed }) => !redriven && !unread && !dismissed) && (
        <p class="note warn">
          {wornOut(redrivesMax)} They stay here; a letter’s page shows what came.
        </p>
      )}
      <section aria-labelledby="letters">
        <h2 id="letters">
          Letters{" "}
          <span class="quiet">
            newest first ·{" "}
            <a href={query.all ? "/dead-letters" : "/dead-letters?all=1"} aria-current="false">
              {query.all
                ? "hide those redriven or set aside for good"
                : "all, also those redriven or set aside for good"}
            </a>
          </span>
        </h2>
        {hasChanged.value && (
          <p class="more">
            <button type="button" class="link" onClick={refresh}>The list has changed: show it</button>
          </p>
        )}
        <ol class="rows" ref={rows}>
          {letters.map((letter) => <LetterRow key={letter.id} letter={letter} redrivesMax={redrivesMax} />)}
        </ol>
        <Pages query={query} older={older} />
      </section>
    </>
  );
}

/** The same for a listing and for the status, so that a page which is up to date is not asked for again. */
function stampOf({ byReason }: { byReason: Record<string, number> }): string {
  return JSON.stringify(Object.entries(byReason).sort(([a], [b]) => a < b ? -1 : 1));
}

function Pages({ query, older }: { query: DeadLetterListProps["query"]; older: string | null }) {
  if (query.before === null && older === null) return null;
  const all: Record<string, string> = query.all ? { all: "1" } : {};
  return (
    <nav class="pages" aria-label="Pages of letters">
      {query.before !== null && (
        <a href={`/dead-letters?${new URLSearchParams(all)}`} aria-current="false">newest</a>
      )}
      {older !== null && (
        <a
          href={`/dead-letters?${new URLSearchParams({ ...all, before: older })}#letters`}
          aria-current="false"
        >
          older
        </a>
      )}
    </nav>
  );
}

function NoLetters({ all }: { all: boolean }) {
  return (
    <Empty
      title={all ? "No dead letters, and none that was redriven or set aside for good." : "No dead letters."}
    >
      A record that cannot be read or sanitised is set aside here, with its reason: never dropped, and never
      written raw.
      {!all && (
        <>
          {" "}
          <a href="/dead-letters?all=1" aria-current="false">
            Show all, also those redriven or set aside for good
          </a>.
        </>
      )}
    </Empty>
  );
}
