import type { HeldLock } from "../../runtime/data_dir.ts";
import type { StoredDataset } from "../../processor/dataset/mod.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { FaultPoint } from "../../runtime/fault_point.ts";
import type { TopicLog } from "../../topic/topic.ts";
import type { Progress } from "./progress.ts";

/** Where the live dataset lies, and where another one can take its place: a directory, or the builds of a bucket. */
export interface DatasetHome {
  /** As its setting names it. */
  readonly place: string;
  /** False where a dataset keeps the DEDUP_WINDOW that it was begun with. */
  readonly windowMayChange: boolean;
  /** What is live now; null where nothing is. Another dataset has another place. */
  live(): Promise<StoredDataset | null>;
  /** One that was live, by its place. */
  at(place: string): StoredDataset;
  /** A new one beside it, which is still to be made. */
  beside(createdAt: string): StoredDataset;
  /** One beside it that a replay has begun and whose note `fits`; in a directory what other replays have left there goes. */
  findInterrupted(fits: (note: Uint8Array) => boolean): Promise<StoredDataset | null>;
  /**
   * Stops all writers of the live dataset where they are, until it is released or another one is live. Null where one of
   * them has not let go in time; the others go on then.
   */
  halt(deps: ReplayDependencies, timing: SwapTiming): Promise<HeldLock | null>;
  /** Makes another one the live dataset, by one step: a reader finds the old or the new one. */
  leadTo(dataset: StoredDataset, deps: ReplayDependencies): Promise<void>;
  /** What becomes of one that was live and has been compared with the new one. */
  retire(place: string, deps: ReplayDependencies): Promise<void>;
}

export type SwapTiming = {
  /** How long the writers are asked for their partitions before they get them back. */
  readonly locksMs: number;
  /** How long they then go on before they are asked again. */
  readonly pauseMs: number;
};

/** What every kind of replay works with. It joins no group, commits nothing, and has no mailer. */
export type ReplayDependencies = {
  readonly log: TopicLog;
  /** Where the live dataset lies. */
  readonly home: DatasetHome;
  readonly trainingEvents: ReadonlySet<string>;
  readonly dedupWindow: number;
  readonly subject: (distinctId: string) => string;
  readonly lineId: (distinctId: string) => string;
  readonly clock: Clock;
  readonly faultPoint: FaultPoint;
  readonly progress: Progress;
};
