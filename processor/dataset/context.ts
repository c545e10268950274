import type { Clock } from "../../runtime/clock.ts";
import type { FaultPoint } from "../../runtime/fault_point.ts";
import type { Consumption, TopicLog } from "../../topic/topic.ts";
import type { DeadLetterIndex } from "../dead_letters/positions.ts";
import type { Counted, Decided } from "./chunk.ts";
import type { LoopDependencies } from "../loop/loop.ts";
import type { ErasuresElsewhere } from "./erasures_elsewhere.ts";
import type { MovedIdsReader } from "./moved_ids.ts";
import type { WindowFinding } from "./core/dedup_window.ts";
import type { DatasetPlace } from "./open.ts";
import type { DatasetStore } from "./store.ts";

/** What the dataset writer gets, with its part of the processor's settings. */
export type DatasetDependencies = LoopDependencies & {
  readonly config: DatasetPlace & {
    readonly trainingEvents: readonly string[];
    /** Records of a partition looked back for the same uuid. */
    readonly dedupWindow: number;
    readonly showRaw: boolean;
  };
  /** Gets what looks into the windows of the partitions that this writer has open. */
  readonly windows?: (lookFor: (ids: readonly string[]) => readonly WindowFinding[]) => void;
};

/** What the partitions of one writer share. */
export type PartitionContext = {
  readonly log: TopicLog;
  readonly dataset: DatasetStore;
  /** The membership, for what no batch brings about. */
  readonly group: Pick<Consumption, "commit" | "reassign">;
  readonly letters: DeadLetterIndex;
  readonly elsewhere: ErasuresElsewhere;
  readonly movedIds: MovedIdsReader;
  /** How long a writer that sees more partitions waits before it notes where they end, in ms: see `counts.ts`. */
  readonly settleMs: number;
  readonly trainingEvents: ReadonlySet<string>;
  readonly dedupWindow: number;
  readonly chunkRecordsMax: number;
  /** See `KeyedHashes.subject`. */
  readonly subject: (distinctId: string) => string;
  /** See `createLineIds`. */
  readonly lineId: (distinctId: string) => string;
  readonly clock: Clock;
  readonly faultPoint: FaultPoint;
  readonly reporter: PartitionReporter;
};

/** Who hears what a partition does. */
export type PartitionReporter = {
  /** What the partition stands at has changed. */
  state(): void;
  log(level: "info" | "warn" | "error", text: string): void;
  /** Of a chunk that is not written yet. */
  decided(told: readonly Decided[]): void;
  /** Of one that is durable. */
  written(
    counted: Counted,
    { told, recordsBefore }: {
      readonly told: readonly Decided[];
      /** The file's count without the chunk. */
      readonly recordsBefore: (path: string) => number;
    },
  ): void;
  /** Somebody's lines have gone. */
  erased(): void;
};
