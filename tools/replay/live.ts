import { DATASET_WRITER_GROUP, WEBHOOKS_TOPIC } from "../../contract/names.ts";
import {
  type AdoptedCount,
  type DatasetIdentity,
  DatasetStateError,
  type ManifestNow,
  type PendingLetter,
  type RecordMark,
  refuseOtherRecords,
  refuseOtherTopic,
  type StoredDataset,
} from "../../processor/dataset/mod.ts";
import type { PartitionBounds, TopicLog } from "../../topic/topic.ts";

import { CommandFailedError } from "../command.ts";
import type { PartitionRange } from "./scan.ts";

/** The live dataset as a replay finds it: read beside its writers, or under all their locks. */

/** One partition as its manifest has it at one moment. */
export type LivePartition = {
  readonly partition: number;
  readonly firstOffset: number;
  /** Where the live writer goes on; while an erasure puts its files in place: behind the erasure. */
  readonly nextOffset: number;
  /** Decided with the manifest and perhaps not published yet. */
  readonly letters: readonly PendingLetter[];
  /** An erasure is putting its files in place. */
  readonly erasing: boolean;
  /** See `PartitionManifest`. */
  readonly counts: readonly AdoptedCount[];
  readonly last?: RecordMark | undefined;
};

/** What the dataset is called; null where its name is missing or damaged. */
export async function liveIdentity(dataset: StoredDataset): Promise<DatasetIdentity | null> {
  try {
    return await dataset.identity();
  } catch (error) {
    if (error instanceof DatasetStateError) return null;
    throw error;
  }
}

/**
 * Every partition of the topic as the live dataset has it.
 *
 * Where a manifest is missing or damaged the group's committed offset stands for its next offset: it is committed only
 * when the letters of everything below have been published, so that nothing below is still to be decided.
 */
export async function readLive(
  dataset: StoredDataset | null,
  log: TopicLog,
): Promise<readonly LivePartition[]> {
  const bounds = await log.bounds(WEBHOOKS_TOPIC);
  const committed = await log.committed(WEBHOOKS_TOPIC, DATASET_WRITER_GROUP);
  return await Promise.all(bounds.map(async (one) => {
    const found = dataset === null ? "missing" : await manifestOf(dataset, one.partition);
    if (typeof found !== "string") return fromManifest(found, one.partition);
    return fromCommitted(committed[one.partition] ?? null, { bounds: one, damaged: found === "damaged" });
  }));
}

/** What a manifest says of its partition. */
export function fromManifest(manifest: ManifestNow, partition: number): LivePartition {
  const { firstOffset, letters, erasing, counts = [], last } = manifest;
  return {
    partition,
    firstOffset,
    nextOffset: erasing?.nextOffset ?? manifest.nextOffset,
    letters,
    erasing: erasing !== undefined,
    counts,
    last,
  };
}

/** From where to where its live dataset has a partition. */
export function rangeOf({ partition, firstOffset: from, nextOffset: until }: LivePartition): PartitionRange {
  return { partition, from, until };
}

function fromCommitted(
  committed: number | null,
  { bounds, damaged }: { readonly bounds: PartitionBounds; readonly damaged: boolean },
): LivePartition {
  const { partition, startOffset, endOffset } = bounds;
  const nextOffset = Math.max(startOffset, Math.min(committed ?? startOffset, endOffset));
  // Of a damaged manifest nobody knows where the dataset began: at the partition's first record, to be safe.
  return {
    partition,
    firstOffset: damaged ? 0 : startOffset,
    nextOffset,
    letters: [],
    erasing: false,
    counts: [],
  };
}

/** Refuses a live dataset that was made from another topic than the one of this log. */
export async function refuseMadeAgain(
  dataset: StoredDataset,
  { log, partitions }: { readonly log: TopicLog; readonly partitions: readonly LivePartition[] },
): Promise<void> {
  const bounds = await log.bounds(WEBHOOKS_TOPIC);
  try {
    await refuseOtherTopic(await dataset.tree(), log);
    for (const live of partitions) await refuseOtherRecords(live, { log, bounds: bounds[live.partition]! });
  } catch (error) {
    if (error instanceof DatasetStateError) throw new CommandFailedError(error.message);
    throw error;
  }
}

async function manifestOf(
  dataset: StoredDataset,
  partition: number,
): Promise<ManifestNow | "missing" | "damaged"> {
  try {
    return await dataset.manifest(partition) ?? "missing";
  } catch (error) {
    if (error instanceof DatasetStateError) return "damaged";
    throw error;
  }
}
