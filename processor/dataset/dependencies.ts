import type { LoopDependencies } from "../loop/loop.ts";

/** What the dataset writer gets, with its part of the processor's settings. */
export type DatasetDependencies = LoopDependencies & {
  readonly config: {
    readonly datasetDir: string;
    readonly trainingEvents: readonly string[];
    /** Records of a partition looked back for the same uuid. */
    readonly dedupWindow: number;
    readonly showRaw: boolean;
  };
};
