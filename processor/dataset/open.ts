import type { Clock } from "../../runtime/clock.ts";
import type { FaultPoint } from "../../runtime/fault_point.ts";
import { openJsonlDataset } from "./files/dataset.ts";
import type { Bucket } from "./objects/bucket.ts";
import type { ObjectsConfig } from "./objects/config.ts";
import type { DatasetStore } from "./store.ts";

/** Where the dataset lies: on object storage where `objects` is set, else in a directory. */
export type DatasetPlace = {
  readonly datasetDir: string;
  readonly objects?: ObjectsConfig | null;
};

export type DatasetOptions = {
  /** Records of a partition looked back for the same uuid. */
  readonly dedupWindow: number;
  readonly clock: Clock;
  readonly faultPoint: FaultPoint;
  /** Of a directory: see `JsonlPartition`. */
  readonly manifestEntriesMax?: number | undefined;
};

/** The dataset's adapter; the one of object storage is loaded only where it is asked for, with the client that it needs. */
export async function openDataset(
  { datasetDir, objects }: DatasetPlace,
  { dedupWindow, clock, faultPoint, manifestEntriesMax }: DatasetOptions,
): Promise<DatasetStore> {
  if (!objects) return openJsonlDataset(datasetDir, { dedupWindow, clock, manifestEntriesMax });
  const { openObjectDataset } = await import("./objects/dataset.ts");
  return await openObjectDataset(objects, { dedupWindow, clock, faultPoint });
}

/** The builds of a bucket, for a replay. */
export async function openBucket(
  config: ObjectsConfig,
  { clock }: { readonly clock: Clock },
): Promise<Bucket> {
  const [{ Bucket }, { openS3 }] = await Promise.all([
    import("./objects/bucket.ts"),
    import("./objects/s3/client.ts"),
  ]);
  return new Bucket(await openS3(config), { config, clock });
}
