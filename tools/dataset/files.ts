import { type DatasetReader, openWhole, pathsOf } from "../../processor/dataset/mod.ts";
import { type CommandLine, print, printJson, table } from "../command.ts";

/**
 * Prints every file that holds lines, with the bytes of it that are the dataset's: whoever reads that many and no more
 * never meets the half line of a writer at work. The paths lead past DATASET_DIR's link, so that a rebuilt dataset which
 * takes the place meanwhile is never mixed in. Throws `DatasetReadError` where a file is missing or too short.
 */
export async function printFiles(dataset: DatasetReader, { json }: CommandLine): Promise<void> {
  const found = [];
  for (const path of pathsOf(dataset)) {
    const opened = await openWhole(dataset, path);
    if (opened === null) continue;
    opened.close();
    const { bytes, records } = opened.entry;
    if (records > 0) found.push({ path: dataset.placeOf(path), bytes, records });
  }
  if (json) return found.forEach((one) => printJson(one));
  if (found.length === 0) return print("No lines in the dataset yet.");
  print(table(["BYTES", "RECORDS", "FILE"], found.map((one) => [one.bytes, one.records, one.path])));
}
