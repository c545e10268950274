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
        <table>
          <caption>
            {count(records)} {plural(records, "line")} in {count(files)} {plural(files, "file")},{" "}
            {bytes(listing.value.bytes)}, sanitiser {sanitiserVersion}
          </caption>
          <thead>
            <tr>
              <th scope="col">Event</th>
              <th scope="col">Date</th>
              <th scope="col" class="right">Lines</th>
              <th scope="col" class="right">Size</th>
              <th scope="col">Replaced</th>
              <th scope="col">Files</th>
            </tr>
          </thead>
          <tbody>
            {partitions.map((partition) => (
              <tr key={`${partition.event} ${partition.date}`}>
                <th scope="row" class="mono">{partition.event}</th>
                <td class="mono">{partition.date}</td>
                <td class="mono right">{count(partition.records)}</td>
                <td class="mono right">{bytes(partition.bytes)}</td>
                <td>
                  <Placeholders counts={partition.placeholders} />
                </td>
                <td>
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
  const newest = paths.slice(-FILES_SHOWN);
  const left = files - newest.length;
  return (
    <ul class="inline">
      {left > 0 && <li class="quiet">{count(left)} older</li>}
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
    </ul>
  );
}
