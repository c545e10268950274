import { DatasetFiles, listDataset } from "../../processor/dataset/mod.ts";
import { type CommandLine, grouped, print, printable, printJson, table } from "../command.ts";

/** Prints what the manifests say of the dataset; reads no line. A dataset that nobody has begun is an empty one. */
export function printStats(datasetDir: string, { json }: CommandLine): void {
  const { records, bytes, files, sanitiserVersion, partitions } = listDataset(datasetDir);
  const counted = partitions.map(({ paths: _, ...one }) => one);
  if (json) return printJson({ records, bytes, files, sanitiserVersion, partitions: counted });
  if (records === 0) return print(`No lines in "${printable(datasetDir)}" yet.`);
  const rows = counted.map((
    { event, date, records, bytes, files, placeholders },
  ) => [event, date, records, bytes, files, placeholderText(placeholders)]);
  print(table(["EVENT", "DATE", "RECORDS", "BYTES", "FILES", "PLACEHOLDERS"], rows));
  const dates = counted.map(({ date }) => date).sort();
  const all: Record<string, number> = {};
  for (const { placeholders } of counted) {
    for (const [entity, count] of Object.entries(placeholders)) all[entity] = (all[entity] ?? 0) + count;
  }
  print("");
  print(`records       ${grouped(records)}`);
  print(`bytes         ${grouped(bytes)}`);
  print(`files         ${grouped(files)}`);
  print(`days          ${dates[0]} to ${dates.at(-1)}`);
  print(`placeholders  ${printable(placeholderText(all)) || "none"}`);
  print(
    `sanitisers    ${
      sanitiserVersionsIn(datasetDir).map(printable).join(", ")
    } (this software: ${sanitiserVersion})`,
  );
}

function placeholderText(placeholders: Readonly<Record<string, number>>): string {
  return Object.entries(placeholders).sort(([, a], [, b]) => b - a)
    .map(([entity, count]) => `${entity} ${grouped(count)}`).join(", ");
}

/** Those that wrote a line which is still there. */
function sanitiserVersionsIn(datasetDir: string): readonly string[] {
  const files = new DatasetFiles(datasetDir);
  const entries = files.partitions().flatMap((partition) => Object.values(files.entriesOf(partition)));
  return [...new Set(entries.flatMap((entry) => entry.records > 0 ? entry.sanitiserVersions : []))].sort();
}
