import { type CurrentDataset, DatasetView, entriesIn, snapshotsOf } from "../../processor/dataset/mod.ts";
import { type CommandLine, grouped, print, printable, printJson, table } from "../command.ts";

/** Prints what the manifests say of the dataset; reads no line. A dataset that nobody has begun is an empty one. */
export async function printStats(dataset: CurrentDataset, { json }: CommandLine): Promise<void> {
  const { records, bytes, files, sanitiserVersion, partitions } = await new DatasetView(dataset).list();
  const counted = partitions.map(({ paths: _, ...one }) => one);
  if (json) return printJson({ records, bytes, files, sanitiserVersion, partitions: counted });
  if (records === 0) return print(`No lines in "${printable(dataset.place)}" yet.`);
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
      (await sanitiserVersionsIn(dataset)).map(printable).join(", ")
    } (this software: ${sanitiserVersion})`,
  );
}

function placeholderText(placeholders: Readonly<Record<string, number>>): string {
  return Object.entries(placeholders).sort(([, a], [, b]) => b - a)
    .map(([entity, count]) => `${entity} ${grouped(count)}`).join(", ");
}

/** Those that wrote a line which is still there. */
async function sanitiserVersionsIn(dataset: CurrentDataset): Promise<readonly string[]> {
  const reader = await dataset.now();
  const entries = reader === null
    ? []
    : snapshotsOf(reader).flatMap((snapshot) => Object.values(entriesIn(snapshot)));
  return [...new Set(entries.flatMap((entry) => entry.records > 0 ? entry.sanitiserVersions : []))].sort();
}
