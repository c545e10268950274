import { systemClock } from "../../runtime/clock.ts";
import { createKeyedHashes } from "../../contract/keyed_hash.ts";
import { DATASET_WRITER_GROUP, WEBHOOKS_TOPIC } from "../../contract/names.ts";
import {
  type Bucket,
  DatasetOwner,
  datasetRoot,
  type StoredDataset,
  storedTree,
} from "../../processor/dataset/mod.ts";
import type { ProcessorConfig } from "../../processor/config.ts";
import { isTransient } from "../../processor/loop/consume.ts";
import type { LoopMessage } from "../../processor/loop/loop.ts";
import type { LoopName } from "../../processor/loop_messages.ts";
import { type RunningLoop, startLoop } from "../../processor/start_loop.ts";
import { prepare } from "../../processor/prepare.ts";
import { tryEnterDataDir } from "../../runtime/data_dir.ts";
import { openTopicLog } from "../../topic/open_topic.ts";
import type { RecordPosition, TopicLog } from "../../topic/topic.ts";

/**
 * Who does the groups' work while the command waits for it: the processor of this DATA_DIR where one runs, else the
 * processor's own loops in this process, without the one that sends.
 */
export type Loops = {
  /** True where this process does the work. */
  readonly own: boolean;
  /** Why a loop is not getting on, in words; null where nothing is known against it. */
  trouble(): string | null;
  /** Rejects with the words of a loop that had to stop; never resolves. */
  readonly failed: Promise<never>;
  /** Lets the loops finish what they are at, and the place in DATA_DIR go. May be called twice. */
  stop(): Promise<void>;
};

const NEVER = new Promise<never>(() => {});
const OF_RUNNING_PROCESSOR: Loops = {
  own: false,
  trouble: () => null,
  failed: NEVER,
  stop: () => Promise.resolve(),
};

/**
 * Starts the processor's loops, all but the sender, where no processor runs on this DATA_DIR; else answers a {@link
 * Loops} with `own: false`, which never stops anything. Rejects, with nothing held, where log or secret are not as
 * they must be.
 */
export async function startLoops(
  config: ProcessorConfig,
  { pipelineSecret, notify }: { readonly pipelineSecret: string; readonly notify: (text: string) => void },
): Promise<Loops> {
  const place = tryEnterDataDir(config.dataDir, "processor");
  if (place === null) return OF_RUNNING_PROCESSOR;
  using held = new DisposableStack();
  held.defer(() => place.release());
  const names = await prepareLoops(config, pipelineSecret);
  const troubles = new Map<LoopName, string>();
  const onMessage = (loop: LoopName) => (message: LoopMessage) => {
    // What becomes of single records is in `dead-letters list`; here it would bury what the erasure says.
    if (message.kind === "log" && message.level !== "info" && message.about === undefined) {
      notify(`${loop}: ${message.text}`);
    }
    if (message.kind !== "health") return;
    if (message.health.is === "ready" || message.health.message === null) troubles.delete(loop);
    else troubles.set(loop, `${loop}: ${message.health.message}`);
  };
  const loops = names.map((loop) => startLoop(loop, { config, pipelineSecret, report: onMessage(loop) }));
  const untilStopped = held.move();
  return {
    own: true,
    trouble: () => [...troubles.values()][0] ?? null,
    failed: firstFailure(loops),
    stop: once(async () => {
      for (const loop of loops) loop.drain();
      await Promise.allSettled(loops.map(({ ended }) => ended));
      untilStopped.dispose();
    }),
  };
}

/** Makes the topics, confirms the secret, and answers which loops there is work for. */
async function prepareLoops(config: ProcessorConfig, pipelineSecret: string): Promise<readonly LoopName[]> {
  const log = await openTopicLog(config.log, "processor");
  try {
    const hashes = createKeyedHashes(pipelineSecret);
    const signal = new AbortController().signal;
    await prepare(config, { log, hashes, signal, starting: { message: null } });
    // On Kafka the dataset may lie on another host: then its writer would only make an empty one here, and stay out.
    const writes = config.objects !== null || datasetRoot(config.datasetDir) !== null ||
      await new DatasetOwner(log).current() === null;
    return [...(writes ? ["dataset-writer"] as const : []), "offer-view", "discount-offers"];
  } finally {
    await log.close();
  }
}

function firstFailure(loops: readonly RunningLoop[]): Promise<never> {
  const failed = Promise.race(loops.map(({ ended }) => ended.then(() => NEVER)));
  failed.catch(() => {});
  return failed;
}

function once(action: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | null = null;
  return () => done ??= action();
}

/** Why the dataset does not stand behind these records yet; null once it does, or where nobody has ever written one. */
export async function datasetBehind(
  log: TopicLog,
  { config, bucket, own, positions }: {
    readonly config: ProcessorConfig;
    readonly bucket: Bucket | null;
    /** See {@link Loops}. */
    readonly own: boolean;
    readonly positions: readonly RecordPosition[];
  },
): Promise<string | null> {
  const held = await new DatasetOwner(log).current();
  // This process's own writer names one at its start, which may come late.
  if (held === null) return own ? `${DATASET_WRITER_GROUP} has not named its dataset yet` : null;
  const committed = await log.committed(WEBHOOKS_TOPIC, DATASET_WRITER_GROUP);
  const live = await liveDataset(config, bucket);
  // The manifest is the truth; a dataset on another host shows by its group's offsets alone.
  const isHere = (await live?.identity())?.id === held;
  const behind = positions.find(({ partition, offset }) => (committed[partition] ?? 0) <= offset) ??
    (isHere ? await notWritten(live!, positions) : undefined);
  if (!behind) return null;
  const place = bucket ? `DATASET_URL "${bucket.place}"` : `DATASET_DIR "${config.datasetDir}"`;
  const where = isHere ? "" : `; its dataset is not the one at ${place}`;
  return `${DATASET_WRITER_GROUP} has not handled partition ${behind.partition} of ${WEBHOOKS_TOPIC} up to offset ` +
    `${behind.offset + 1}${where}`;
}

/** The first of the records at which the dataset does not stand yet. */
async function notWritten(
  dataset: StoredDataset,
  positions: readonly RecordPosition[],
): Promise<RecordPosition | undefined> {
  for (const position of positions) {
    if (((await dataset.manifest(position.partition))?.nextOffset ?? 0) <= position.offset) return position;
  }
}

/** Null where there is none, or none is here. */
async function liveDataset(config: ProcessorConfig, bucket: Bucket | null): Promise<StoredDataset | null> {
  if (bucket) return await bucket.live();
  const root = datasetRoot(config.datasetDir);
  return root === null ? null : storedTree(root);
}

const LOOK_EVERY_MS = 50;
const REPORT_EVERY_MS = 5_000;

/** Waits until `check` answers null; says every 5 s what it waits for. Rejects where an own loop had to stop. */
export async function untilNothingIsLeft(
  check: () => Promise<string | null>,
  { loops, notify }: { readonly loops: Loops; readonly notify: (text: string) => void },
): Promise<void> {
  let reportedAt = systemClock.monotonic();
  for (;;) {
    const reason = await Promise.race([check().catch(transientMessage), loops.failed]);
    if (reason === null) return;
    if (systemClock.monotonic() - reportedAt >= REPORT_EVERY_MS) {
      const trouble = loops.trouble();
      notify(`waits: ${reason}${trouble === null ? "" : ` (${trouble})`}`);
      reportedAt = systemClock.monotonic();
    }
    await systemClock.wait(LOOK_EVERY_MS);
  }
}

function transientMessage(error: unknown): string {
  if (isTransient(error)) return error.message;
  throw error;
}
