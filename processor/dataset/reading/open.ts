import { CurrentFiles, DatasetFiles } from "../files/reader.ts";
import type { DatasetPlace } from "../open.ts";
import { type CurrentDataset, type DatasetReader, existing } from "./reader.ts";

/** The dataset as it is now, for a command. Throws `DatasetReadError` where there is none. */
export async function openReader({ datasetDir, objects }: DatasetPlace): Promise<DatasetReader> {
  if (!objects) return new DatasetFiles(datasetDir);
  return await existing(await openCurrent({ datasetDir, objects }, { waits: true }));
}

/**
 * The dataset for who looks again and again; of a bucket nothing is loaded where there is none. `waits`: as long as its
 * client tries, for a command; default: no look takes longer than 500 ms.
 */
export async function openCurrent(
  { datasetDir, objects }: DatasetPlace,
  { waits = false } = {},
): Promise<CurrentDataset> {
  if (!objects) return new CurrentFiles(datasetDir);
  return await (await import("../objects/reading/open.ts")).openCurrentObjects(objects, { waits });
}
