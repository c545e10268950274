/** The dataset's door: what commands may import of this folder. */

/** Reading beside live writers, without a lock and never a byte beyond a manifest. */
export {
  blocksOf,
  DatasetFiles,
  DatasetReplacedError,
  datasetRoot,
  inOrder,
  lineBlocksOf,
  LOOK,
  type OpenedFile,
  openWhole,
} from "./files/reader.ts";
export { listDataset } from "./files/listing.ts";
export { manifestPath, parseDatasetPath } from "./core/path.ts";
export { lineFault, parseLine, type StoredLine } from "./core/line_check.ts";
export { DatasetReadError } from "./core/read_error.ts";
export { DatasetStateError } from "./core/state_error.ts";

/** Every line in another format. */
export { copyLines, EXPORT_FORMATS, type ExportFormat, refuseWhileErasing, sinkOf } from "./export/copy.ts";
export { directoryOutput, type ExportedFile } from "./export/file.ts";
export type { ChatOptions, ChatReport } from "./export/chat.ts";

/** What the manifests of a tree say. */
export { readEntries, readSnapshot } from "./files/snapshot.ts";
export {
  hasIdentity,
  manifestPartitions,
  readIdentity,
  readManifest,
  saveIdentity,
  type StoredManifest,
} from "./files/manifest.ts";
export type {
  DatasetIdentity,
  DatasetTree,
  FileAddition,
  FileEntries,
  PartitionManifest,
  PartitionStore,
  PendingLetter,
} from "./store.ts";
export { rememberAs, treeAt } from "./files/topic_memory.ts";

/** Building a tree beside the live one, and putting it in its place. */
export { type BuildContext, type Counts, PartitionBuild } from "./build.ts";
export { type AdoptedCount, countsToAdopt } from "./core/added_partitions.ts";
export type { RecordMark } from "./core/record_mark.ts";
export { MovedIdsReader } from "./moved_ids.ts";
export { refuseOtherRecords, refuseOtherTopic } from "./topic_check.ts";
export { findRoot, newTreePath } from "./files/dataset.ts";
export { type DatasetLocks, openDatasetLocks } from "./files/locks.ts";
export { DatasetOwner, takeOverDataset } from "./owner.ts";
