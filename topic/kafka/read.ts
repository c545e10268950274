import { systemClock } from "../../runtime/clock.ts";
import { backOffMs } from "../../runtime/retry.ts";
import {
  type ReadOptions,
  type RecordBatch,
  type UnreadableRecords,
  UnreadableRecordsError,
} from "../topic.ts";
import { portError, typeOf } from "./errors.ts";
import type { FetchedRecords, KafkaFetcher, Wanted } from "./fetcher.ts";
import { roomFor } from "./records/record_set.ts";

/** Longest wait for the first record when a reader follows a partition, in ms. */
const WAIT_MS = 250;
/** How long a look at records that are there may take a broker, in ms. */
const LOOK_MS = 100;
/** How often trouble that may pass is tried again. */
const RETRIES = 6;
const BACK_OFF = { msFirst: 100, msMax: 1_000 };

type Fetcher = Pick<KafkaFetcher, "fetchAll" | "boundsOf" | "recover">;
type Reading = ReadOptions & { readonly topic: string };

/** Reads one partition by position, as {@link ReadOptions} say. */
export async function* readPartition(fetcher: Fetcher, options: Reading): AsyncGenerator<RecordBatch> {
  const { topic, partition, until = Infinity, signal } = options;
  const start = async () => (await attempt(topic, fetcher, () => fetcher.boundsOf(partition))).startOffset;
  let from = Math.max(options.from, await start());
  while (!signal?.aborted && from < until) {
    const answer = await fetchOne(topic, fetcher, { partition, from });
    if (answer === null) {
      from = Math.max(from, await start());
      continue;
    }
    for await (const batch of batchesOf(answer, { ...options, from })) {
      yield batch;
      if (signal?.aborted) return;
    }
    from = answer.records.nextOffset;
    if (options.endsAtOpenTransaction === true && isHidden(answer, from)) return;
  }
}

/** True where an open transaction keeps from readers what lies from `from` on. */
function isHidden({ records, stableOffset, endOffset }: FetchedRecords, from: number): boolean {
  return stableOffset >= 0 && stableOffset < endOffset && (from >= stableOffset || records.bytesHeld === 0);
}

async function* batchesOf(
  { records: set, endOffset }: FetchedRecords,
  { topic, partition, from, until = Infinity, batchRecordsMax = 500, unreadable }: Reading,
): AsyncGenerator<RecordBatch> {
  for (let position = from; !set.isEmpty && position < until;) {
    const records = set.take(roomFor(batchRecordsMax, Infinity));
    if (set.position > position) {
      position = set.position;
      const nextOffset = Math.min(position, until);
      yield { partition, records: records.filter(({ offset }) => offset < until), nextOffset, endOffset };
    } else if (set.unreadable !== null) {
      await passOver(set.unreadable, { topic, unreadable });
      set.skip();
    }
  }
}

async function passOver(
  records: UnreadableRecords,
  { topic, unreadable }: Pick<Reading, "topic" | "unreadable">,
): Promise<void> {
  if (await unreadable?.(records) !== "skip") throw new UnreadableRecordsError(records, topic);
}

/** One fetch; null where the offset is no longer (or not yet) there. */
async function fetchOne(topic: string, fetcher: Fetcher, wanted: Wanted): Promise<FetchedRecords | null> {
  return await attempt(topic, fetcher, async () => {
    const [answer] = await fetcher.fetchAll([wanted], { waitMs: WAIT_MS });
    if (typeOf(answer?.error) === "OFFSET_OUT_OF_RANGE") return null;
    if (!answer || answer.error !== undefined) throw answer?.error ?? new Error("the broker did not answer");
    return answer;
  });
}

/** Attempts again after trouble that may pass. */
export async function attempt<T>(
  topic: string,
  fetcher: Pick<Fetcher, "recover">,
  run: () => Promise<T>,
): Promise<T> {
  for (let failures = 1;; failures++) {
    try {
      return await run();
    } catch (error) {
      const known = portError(error, `read "${topic}"`);
      if (failures > RETRIES || known === error) throw known;
      await systemClock.wait(backOffMs(failures, BACK_OFF));
      await fetcher.recover(error).catch(() => {});
    }
  }
}

/** What is known of the next record that a group has not handled. */
export type OldestRecord = {
  /** Milliseconds since 1970; missing where there is none. */
  readonly timestamp?: number;
  /** Where an open transaction begins. */
  readonly openTransactionAt?: number;
};

/** Looks at the first record of several partitions, fetched together. Rejects where one cannot be asked. */
export async function oldestOf(
  fetcher: Fetcher,
  wanted: readonly Wanted[],
): Promise<ReadonlyMap<number, OldestRecord>> {
  const found = new Map<number, OldestRecord>();
  const hidden: Wanted[] = [];
  for (const answer of await fetcher.fetchAll(wanted, { waitMs: LOOK_MS })) {
    if (answer.error !== undefined) throw answer.error;
    const { partition, stableOffset, endOffset } = answer;
    const open = stableOffset >= 0 && stableOffset < endOffset ? { openTransactionAt: stableOffset } : {};
    found.set(partition, { ...timeOf(answer), ...open });
    const from = wanted.find((one) => one.partition === partition)!.from;
    if (open.openTransactionAt !== undefined && from >= stableOffset) hidden.push({ partition, from });
  }
  if (hidden.length === 0) return found;
  // What an open transaction keeps from readers has an age all the same.
  for (const answer of await fetcher.fetchAll(hidden, { waitMs: LOOK_MS, uncommitted: true })) {
    if (answer.error !== undefined) throw answer.error;
    found.set(answer.partition, { ...found.get(answer.partition), ...timeOf(answer) });
  }
  return found;
}

function timeOf({ records: set }: FetchedRecords): { timestamp?: number } {
  const [record] = set.take(roomFor(1, Infinity));
  const timestamp = record?.timestamp ?? set.firstTimestamp;
  return timestamp === null ? {} : { timestamp };
}
