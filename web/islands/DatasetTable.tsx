import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { DatasetPage } from "../../contract/processor_api.ts";
import { getJson } from "../browser/feed.ts";
import { onWritten } from "../browser/changes.ts";
import { bytes, count, fileStem, plural } from "../core/format.ts";

/** A page of the dataset partitions and their files; refreshed when a line is written. */
export default function DatasetTable(
  { initial, query, chosen }: { initial: DatasetPage; query: string; chosen: string | null },
) {
  const listing = useSignal(initial);
  useEffect(() =>
    onWritten(async () => {
      listing.value = await getJson<DatasetPage>(`/api/dataset${query}`) ?? listing.value;
    }), []);
  const { partitions, records, files, sanitiserVersion, older, newer } = listing.value;
  return (
    <>
      <div class="scroll" tabIndex={0} role="region" aria-label="Dataset partitions">
        {/* Said once more, because a small screen shows it as a list, and browsers then forget that it is a table. */}
        <table class="stacks" role="table">
          <caption>
            {count(records)} {plural(records, "line")} in {count(files)} {plural(files, "file")},{" "}
            {bytes(listing.value.bytes)}, sanitiser {sanitiserVersion}
          </caption>
          <thead role="rowgroup">
            <tr role="row">
              <th scope="col" role="columnheader">Event</th>
              <th scope="col" role="columnheader">Date</th>
              <th scope="col" role="columnheader" class="right">Lines</th>
              <th scope="col" role="columnheader" class="right">Size</th>
              <th scope="col" role="columnheader">Replaced</th>
              <th scope="col" role="columnheader">Files</th>
            </tr>
          </thead>
          <tbody role="rowgroup">
            {partitions.map((partition) => (
              <tr key={`${partition.event} ${partition.date}`} role="row">
                <th scope="row" role="rowheader" class="mono event" data-label="Event">{partition.event}</th>
                <td role="cell" class="mono" data-label="Date">{partition.date}</td>
                <td role="cell" class="mono right" data-label="Lines">{count(partition.records)}</td>
                <td role="cell" class="mono right" data-label="Size">{bytes(partition.bytes)}</td>
                <td role="cell" data-label="Replaced">
                  <Placeholders counts={partition.placeholders} />
                </td>
                <td role="cell" data-label="Files">
                  <Files {...{ ...partition, query, chosen }} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <Pages older={older} newer={newer} />
    </>
  );
}

function Pages({ older, newer }: Pick<DatasetPage, "older" | "newer">) {
  if (older === null && newer === null) return null;
  return (
    <nav class="pages" aria-label="Pages of the dataset">
      {newer !== null && (
        <a href={`/dataset?${new URLSearchParams({ after: newer })}`} aria-current="false">newer</a>
      )}
      {older !== null && (
        <a href={`/dataset?${new URLSearchParams({ before: older })}`} aria-current="false">older</a>
      )}
    </nav>
  );
}

function Placeholders({ counts }: { counts: Record<string, number> }) {
  const entries = Object.entries(counts).filter(([, times]) => times > 0);
  if (entries.length === 0) return <span class="quiet">nothing</span>;
  return (
    <ul class="inline">
      {entries.map(([name, times]) => (
        <li key={name}>
          <mark>{name}</mark>&nbsp;{count(times)}
        </li>
      ))}
    </ul>
  );
}

const FILES_SHOWN = 12;

function Files(
  { paths, files, query, chosen }: {
    paths: string[];
    files: number;
    query: string;
    chosen: string | null;
  },
) {
  const newest = paths.slice(0, FILES_SHOWN);
  const left = files - newest.length;
  return (
    <ul class="inline" aria-label="Files, the newest first">
      {newest.map((path) => (
        <li key={path}>
          <a
            class="mono"
            href={`/dataset${query === "" ? "?" : `${query}&`}file=${encodeURIComponent(path)}#tail`}
            title={path}
            aria-current={path === chosen ? "true" : "false"}
          >
            {fileStem(path)}
          </a>
        </li>
      ))}
      {left > 0 && <li class="quiet">{count(left)} older</li>}
    </ul>
  );
}
