import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { DatasetListing } from "../../contract/processor_api.ts";
import { getJson } from "../browser/feed.ts";
import { onWritten } from "../browser/changes.ts";
import { bytes, count, fileStem, plural } from "../core/format.ts";

/** The dataset partitions and their files; refreshed when a line is written. */
export default function DatasetTable(
  { initial, chosen }: { initial: DatasetListing; chosen: string | null },
) {
  const listing = useSignal(initial);
  useEffect(() =>
    onWritten(async () => {
      listing.value = await getJson<DatasetListing>("/api/dataset") ?? listing.value;
    }), []);
  const { partitions, records, files, sanitiserVersion } = listing.value;
  return (
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
                <Files paths={partition.paths} chosen={chosen} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
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

function Files({ paths, chosen }: { paths: string[]; chosen: string | null }) {
  const newest = paths.slice(-FILES_SHOWN);
  const left = paths.length - newest.length;
  return (
    <ul class="inline">
      {left > 0 && <li class="quiet">{count(left)} older</li>}
      {newest.map((path) => (
        <li key={path}>
          <a
            class="mono"
            href={`/dataset?file=${encodeURIComponent(path)}#tail`}
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
