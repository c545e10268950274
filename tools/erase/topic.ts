import { WEBHOOKS_TOPIC } from "../../contract/names.ts";
import { eventTime } from "../../processor/record/event_time.ts";
import type { LogScrubber } from "../../topic/sqlite/scrub.ts";
import type { RecordPosition, TopicLog, TopicRecord } from "../../topic/topic.ts";
import {
  everyRecord,
  type Judging,
  namesThem,
  type NotRead,
  ownershipOf,
  recordNamesThem,
} from "./person.ts";
import type { Finder } from "./finder.ts";

/**
 * Publishes into every partition that there is, asked anew right before and once all of it is handled: into those that
 * have come meanwhile too. Answers where the records lie.
 */
export async function publishEverywhere(
  log: Pick<TopicLog, "bounds">,
  { publish, handled }: {
    /** Publishes one record into each of these. */
    readonly publish: (partitions: readonly number[]) => Promise<readonly RecordPosition[]>;
    /** Resolves once the groups have passed these. */
    readonly handled: (positions: readonly RecordPosition[]) => Promise<void>;
  },
): Promise<readonly RecordPosition[]> {
  const positions: RecordPosition[] = [];
  for (;;) {
    const has = new Set(positions.map(({ partition }) => partition));
    const missing = (await log.bounds(WEBHOOKS_TOPIC)).map(({ partition }) => partition)
      .filter((partition) => !has.has(partition));
    if (missing.length === 0) return positions;
    positions.push(...await publish(missing));
    await handled(positions);
  }
}

/** `--scrub-topic`: the records of the erased in the raw topic of the embedded log, emptied in their place. */

export type ScrubTopicOptions = Judging & {
  /** Offset of the erasure's record by partition; what lies behind it goes too where it happened before `at`. */
  readonly below: (partition: number) => number;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly scrubber: LogScrubber;
};

/**
 * Answers how many records were emptied. Both groups must have passed the erasure. Records that are no events go first:
 * the addresses that tell whose they are stand in the others, which another run after a crash must still find.
 */
export async function scrubTopic(log: TopicLog, options: ScrubTopicOptions): Promise<number> {
  const { theirs, nobodys } = await positionsOf(log, options);
  return await options.scrubber.scrub(WEBHOOKS_TOPIC, nobodys) +
    await options.scrubber.scrub(WEBHOOKS_TOPIC, theirs);
}

async function positionsOf(log: TopicLog, { erased, finder, below, at }: ScrubTopicOptions) {
  const theirs: RecordPosition[] = [];
  const nobodys: RecordPosition[] = [];
  // Nobody knows whose it is: it goes where its bytes name them, like a record that is no event.
  const notRead: NotRead = ({ partition, offset, bytes }) => {
    if (bytes !== null && offset < below(partition) && namesThem(bytes, finder)) {
      nobodys.push({ partition, offset });
    }
  };
  for await (const record of everyRecord(log, WEBHOOKS_TOPIC, notRead)) {
    const { partition, offset, timestamp } = record;
    const ownership = ownershipOf(record, erased);
    if (ownership === null) continue;
    const isBelow = offset < below(partition);
    if (ownership.is === "nobodys") {
      if (isBelow && recordNamesThem(record, finder)) nobodys.push({ partition, offset });
    } else if (isBelow || eventTime(ownership.envelope?.timestamp ?? null, timestamp) <= at) {
      theirs.push({ partition, offset });
    }
  }
  return { theirs, nobodys };
}

/** How often the records that a topic still holds hold something of what is looked for. */
export async function hitsInRecords(
  log: TopicLog,
  { topic, finder }: { readonly topic: string; readonly finder: Finder },
): Promise<number> {
  let hits = 0;
  for await (const record of everyRecord(log, topic, () => {})) {
    for (const _ of finder.find(asStored(record))) {
      hits++;
    }
  }
  return hits;
}

/** Key, value and headers one after another, as the embedded log's file has them. */
function asStored({ key, value, headers }: TopicRecord): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify(headers));
  const bytes = new Uint8Array((key?.length ?? 0) + value.length + text.length);
  bytes.set(key ?? [], 0);
  bytes.set(value, key?.length ?? 0);
  bytes.set(text, (key?.length ?? 0) + value.length);
  return bytes;
}
