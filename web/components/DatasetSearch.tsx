import type { LineHit, LineHits } from "../../contract/processor_api.ts";
import { bytes, count, fileStem, lineUrl, plural } from "../core/format.ts";
import Ago from "../islands/Ago.tsx";

/** What a search came to: hits, or why there are none. */
export type Search =
  | { readonly text: string; readonly found: LineHits; readonly isFirst: boolean }
  | { readonly text: string; readonly found: "busy" | "away" | "refused"; readonly isFirst: boolean };

/** A field that searches all lines, not those on this page alone. */
export function SearchForm({ text }: { text: string }) {
  return (
    <form method="get" action="/dataset" role="search" class="explore">
      <div class="field grow">
        <label for="search-lines">Search lines</label>
        <input
          id="search-lines"
          type="search"
          name="q"
          value={text}
          maxLength={200}
          dir="auto"
          autoComplete="off"
          placeholder="prompt, reason, distinct_id or event"
        />
      </div>
      <button type="submit">Search</button>
    </form>
  );
}

const WORDS = {
  busy: "Others are searching just now. Try again in a moment.",
  away: "The processor does not answer: nothing was searched.",
  refused: "This is no place from which a search goes on. Begin it again.",
};

/** A page of hits, and how far was searched; `total`: bytes of all lines. */
export function SearchResult({ search, total }: { search: Search; total: number }) {
  const { text, found } = search;
  if (typeof found === "string") return <p class="note warn" role="status">{WORDS[found]}</p>;
  const { hits, searchedBytes, next } = found;
  const isAll = next === null;
  return (
    <section aria-labelledby="hits">
      <h2 id="hits">
        Lines with “<bdi>{text}</bdi>”{" "}
        <span class="quiet">newest first{!search.isFirst && ", the next ones"}</span>
      </h2>
      <p class="note" role="status">
        {count(hits.length)} {plural(hits.length, "line")} here. {isAll
          ? `All ${bytes(Math.max(searchedBytes, total))} were searched.`
          : `Searched so far: ${bytes(searchedBytes)} of ${bytes(Math.max(searchedBytes, total))}.`}
      </p>
      {hits.length > 0 && (
        <ol class="rows hits">
          {hits.map((hit) => <Hit key={`${hit.file}:${hit.line}`} hit={hit} />)}
        </ol>
      )}
      <nav class="pages" aria-label="Pages of the search">
        {!search.isFirst && (
          <a href={`/dataset?${new URLSearchParams({ q: text })}`} aria-current="false">newest</a>
        )}
        {next !== null && (
          <a href={`/dataset?${new URLSearchParams({ q: text, from: next })}#hits`} aria-current="false">
            go on
          </a>
        )}
      </nav>
    </section>
  );
}

const FIELDS = {
  input_prompt: "prompt",
  failure_reason: "reason",
  distinct_id: "distinct_id",
  event: "event",
} as const;

function Hit({ hit: { file, line, at, field, before, found, after } }: { hit: LineHit }) {
  return (
    <li class="row">
      <div class="row-head">
        <a class="mono" href={lineUrl({ file, line })} title={`${file}, line ${line}`} aria-current="false">
          {fileStem(file)}:{line}
        </a>
        <span class="when">
          <Ago at={at} />
        </span>
      </div>
      <p class="prompt">
        <span class="label">{FIELDS[field]}</span>
        <span class="text" dir="auto">
          {before}
          <b class="found">{found}</b>
          {after}
        </span>
      </p>
    </li>
  );
}
