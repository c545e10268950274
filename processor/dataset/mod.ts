/** The dataset's door: what commands may import of this folder. */

/** Reading beside live writers, without a lock and never a byte beyond a manifest or a commit. */
export type { DatasetPlace } from "./open.ts";
export { openCurrent, openReader } from "./reading/open.ts";
export {
  type CurrentDataset,
  DatasetFileError,
  type DatasetReader,
  DatasetReplacedError,
  erasuresOf,
  inOrder,
  lineBlocksOf,
  type OpenedLines,
  openWhole,
  pathsOf,
  refuseWhileErasing,
  snapshotsOf,
} from "./reading/reader.ts";
export { entriesIn } from "./reading/snapshot.ts";
export { DatasetView } from "./reading/listing.ts";
export { datasetRoot } from "./files/reader.ts";
export { manifestPath, parseDatasetPath, partitionPrefix } from "./core/path.ts";
export { lineFault, parseLine, type StoredLine } from "./core/line_check.ts";
export { DatasetReadError } from "./core/read_error.ts";
export { DatasetStateError } from "./core/state_error.ts";

/** Every line in another format. */
export { copyLines, EXPORT_FORMATS, type ExportFormat, sinkOf } from "./export/copy.ts";
export { directoryOutput, type ExportedFile } from "./export/file.ts";
export type { ChatOptions, ChatReport } from "./export/chat.ts";

export { hasIdentity, manifestPartitions, readManifest } from "./files/manifest.ts";
export type {
  DatasetIdentity,
  DatasetTree,
  FileAddition,
  PartitionManifest,
  PartitionStore,
  PendingLetter,
} from "./store.ts";
export { rememberAs } from "./files/topic_memory.ts";

/** Building a tree beside the live one, and putting it in its place. */
export { type BuildContext, type Counts, PartitionBuild } from "./build.ts";
export type { FileSizes, ManifestNow, StoredDataset } from "./reading/stored_dataset.ts";
export { notePath, storedTree } from "./files/tree.ts";
export { openBucket } from "./open.ts";
export type { Bucket, FoundBuild } from "./objects/bucket.ts";
export { type AdoptedCount, countsToAdopt } from "./core/added_partitions.ts";
export type { RecordMark } from "./core/record_mark.ts";
export { MovedIdsReader } from "./moved_ids.ts";
export { refuseOtherRecords, refuseOtherTopic } from "./topic_check.ts";
export { findRoot, newTreePath } from "./files/dataset.ts";
export { type DatasetLocks, openDatasetLocks } from "./files/locks.ts";
export { DatasetOwner, takeOverDataset } from "./owner.ts";
export { type ObjectsConfig, objectsConfig, readObjectsUrl } from "./objects/config.ts";
