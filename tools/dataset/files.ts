import { join } from "node:path";
import { DatasetFiles, openWhole } from "../../processor/dataset/mod.ts";
import { type CommandLine, print, printJson, table } from "../command.ts";

/**
 * Prints every file that holds lines, with the bytes of it that are the dataset's: whoever reads that many and no more
 * never meets the half line of a writer at work. The paths lead past DATASET_DIR's link, so that a rebuilt dataset which
 * takes the place meanwhile is never mixed in. Throws `DatasetReadError` where a file is missing or too short.
 */
export function printFiles(datasetDir: string, { json }: CommandLine): void {
  const files = new DatasetFiles(datasetDir);
  const found = files.paths().flatMap((path) => {
    const opened = openWhole(files, path);
    if (opened === null) return [];
    opened.file.close();
    const { bytes, records } = opened.entry;
    return records === 0 ? [] : [{ path: join(files.root, path), bytes, records }];
  });
  if (json) return found.forEach((one) => printJson(one));
  if (found.length === 0) return print("No lines in the dataset yet.");
  print(table(["BYTES", "RECORDS", "FILE"], found.map((one) => [one.bytes, one.records, one.path])));
}
