import { systemClock } from "../runtime/clock.ts";
import { ifThere } from "../runtime/durable_file.ts";
import type { KeyedHashes } from "../contract/keyed_hash.ts";
import { FACTS_TOPIC } from "../contract/names.ts";
import { DEAD_LETTER_TOPIC_SPEC, WEBHOOKS_TOPIC_SPEC } from "../topic/raw_topics.ts";
import type { TopicLog } from "../topic/topic.ts";
import type { ProcessorConfig } from "./config.ts";
import { manifestPartitions, readManifest } from "./dataset/files/manifest.ts";
import type { ObjectsConfig } from "./dataset/objects/config.ts";
import { committedBefore, confirmSecret } from "./facts/identity.ts";
import { retrying } from "./loop/consume.ts";
import { log as say } from "../runtime/log.ts";

/** Makes the topics and confirms the secret, however long the log is away; rejects where the secret is another one. */
export async function prepare(
  config: ProcessorConfig,
  { log, hashes, signal, starting }: {
    readonly log: TopicLog;
    readonly hashes: KeyedHashes;
    readonly signal: AbortSignal;
    readonly starting: { message: string | null };
  },
): Promise<void> {
  await retrying(async () => {
    await log.ensureTopic(WEBHOOKS_TOPIC_SPEC);
    await log.ensureTopic(DEAD_LETTER_TOPIC_SPEC);
    const ranBefore = await committedBefore(log) ?? await ranBeforeByDataset(config);
    const identity = await confirmSecret(log, { ranBefore, hashes, clock: systemClock });
    if (identity.is === "lost") {
      say(
        "error",
        `the facts in ${FACTS_TOPIC} are gone although this pipeline has run: whatever is earned from ` +
          "records before now is closed as state_lost, so that nobody is mailed twice.",
      );
    }
  }, {
    clock: systemClock,
    signal,
    trouble: ({ error, waitMs }) => {
      starting.message = error.message;
      say("warn", `${error.message} Trying again in ${waitMs} ms.`);
    },
  });
}

/** Next offsets of the dataset's manifests: they show that the pipeline has run where committed offsets have expired. */
async function ranBeforeByDataset(
  { datasetDir, objects }: ProcessorConfig,
): Promise<Record<number, number> | null> {
  if (objects) return await ranBeforeByBucket(objects);
  const partitions = ifThere(() => manifestPartitions(datasetDir)) ?? [];
  const found = partitions.flatMap((partition) => {
    const manifest = readManifest(datasetDir, partition);
    return manifest === null ? [] : [[partition, manifest.nextOffset] as const];
  });
  return found.length === 0 ? null : Object.fromEntries(found);
}

async function ranBeforeByBucket(objects: ObjectsConfig): Promise<Record<number, number> | null> {
  const { openBucket } = await import("./dataset/open.ts");
  using bucket = await openBucket(objects, { clock: systemClock });
  const live = await bucket.live();
  const found: Record<number, number> = {};
  for (const partition of await live?.partitions() ?? []) {
    found[partition] = (await live!.manifest(partition))!.nextOffset;
  }
  return Object.keys(found).length === 0 ? null : found;
}
