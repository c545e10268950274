import { DATASET_WRITER_GROUP, WEBHOOKS_TOPIC } from "../../contract/names.ts";
import { DEAD_LETTER_TOPIC_SPEC, WEBHOOKS_TOPIC_SPEC } from "../../topic/raw_topics.ts";
import type { Consumption, PartitionHandler } from "../../topic/topic.ts";
import { consumeGroup, isTransient, retrying, type Trouble } from "../loop/consume.ts";
import { createLineIds } from "../record/line_id.ts";
import { DatasetStateError } from "./core/state_error.ts";
import { remembering } from "../../runtime/remember.ts";
import type { DatasetDependencies, PartitionContext } from "./context.ts";
import { SETTLE_MS } from "./counts.ts";
import { ErasuresElsewhere } from "./erasures_elsewhere.ts";
import { MovedIdsReader } from "./moved_ids.ts";
import { DatasetPartition } from "./partition.ts";
import { openDataset } from "./open.ts";
import { type DatasetIdentity, type DatasetStore, PartitionLostError } from "./store.ts";
import { reportTo } from "./report.ts";
import { DeadLetterIndex } from "../dead_letters/positions.ts";
import { type HealthReport, reportHealth } from "../loop/health.ts";
import type { LoopHealth } from "../loop/loop.ts";
import { standingOf } from "../loop/standing.ts";

export type DatasetWriterOptions = {
  /** Most records written in one go; default 4000. Any value gives the same files. */
  readonly chunkRecordsMax?: number;
  /** Entries of a manifest above which they are sealed; default 500. Any value gives the same files. */
  readonly manifestEntriesMax?: number;
  /** See `PartitionContext.settleMs`; default 10 s. */
  readonly settleMs?: number;
  /**
   * Asked once before the group is joined: null where this dataset is the one that the group writes, else why this
   * processor stays out, in words. Default: it is.
   */
  readonly staysOut?: (dataset: DatasetIdentity) => Promise<string | null>;
  /** Default: by the config. */
  readonly open?: typeof openDataset;
};

/** A chunk's cost, three syncs and a rename, is shared by so many; 4,000 of them take 7 % less than four times 1,000. */
const CHUNK_RECORDS_MAX = 4000;
/** Keyed hashes that are kept: one costs 3 µs, and is asked for each record once somebody was erased. */
const SUBJECTS_MAX = 20_000;
/** How often partitions look whether a replay wants them, and health is told where it has changed. */
const WATCH_EVERY_MS = 200;

/**
 * The group dataset-writer: parse → sanitise → place → write → commit. Writes training data from posthog.webhooks to
 * DATASET_DIR (or DATASET_URL), each event once, whatever is killed whenever.
 *
 * Resolves when the signal has aborted and its chunk is done. Rejects with a {@link DatasetStateError} where going on
 * would lose or double lines.
 */
export async function runDatasetWriter(
  deps: DatasetDependencies,
  options: DatasetWriterOptions = {},
): Promise<void> {
  const { config, clock, signal, report } = deps;
  refuseNamesThatMeet(config.trainingEvents);
  const health = reportHealth(report);
  health("starting", null);
  const { manifestEntriesMax, open = openDataset } = options;
  const { dedupWindow } = config;
  const trouble = ({ error }: { readonly error: Error }) => health("failing", error.message);
  const opening = () => open(config, { dedupWindow, clock, faultPoint: deps.faultPoint, manifestEntriesMax });
  const dataset = config.objects ? await retrying(opening, { clock, signal, trouble }) : await opening();
  if (!dataset) return;
  try {
    const identity = await retrying(async () => {
      await deps.log.ensureTopic(WEBHOOKS_TOPIC_SPEC);
      await deps.log.ensureTopic(DEAD_LETTER_TOPIC_SPEC);
      return await dataset.identity();
    }, { clock, signal, trouble });
    if (!identity) return;
    const message = await options.staysOut?.(identity) ?? null;
    if (message !== null) {
      health("stays_out", message);
      await aborted(signal);
    } else await new DatasetWriter(deps, { ...options, dataset }).run();
  } finally {
    dataset.close();
  }
}

/** Where a file system doesn't tell case apart, two such events would share a file under two entries of its manifest. */
function refuseNamesThatMeet(events: readonly string[]): void {
  const names = new Set(events);
  if (new Set([...names].map((name) => name.toLowerCase())).size === names.size) return;
  throw new DatasetStateError(
    "dataset_names_meet",
    `Cannot write TRAINING_EVENTS "${events.join(",")}": two names differ in case only. Name one of them.`,
  );
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

/** The partitions that this member owns; lets go of idle ones where a replay wants them, and says how all stand. */
class DatasetWriter {
  readonly #owned = new Map<
    number,
    { readonly partition: DatasetPartition; readonly gone: AbortController }
  >();
  readonly #troubles = new Map<number, string>();
  readonly #context: PartitionContext;
  #consumption: Consumption | null = null;
  readonly #report: HealthReport;
  #messageLogged: string | null = null;
  #fatal: { readonly error: unknown } | null = null;

  constructor(
    private readonly deps: DatasetDependencies,
    { dataset, chunkRecordsMax = CHUNK_RECORDS_MAX, settleMs = SETTLE_MS }:
      & Pick<DatasetWriterOptions, "chunkRecordsMax" | "settleMs">
      & { readonly dataset: DatasetStore },
  ) {
    const { config, clock, hashes, log, faultPoint, report } = deps;
    this.#report = reportHealth(report);
    const subject = remembering((distinctId) => hashes.subject(distinctId), { entriesMax: SUBJECTS_MAX });
    const lineId = createLineIds(subject);
    this.#context = {
      log,
      dataset,
      group: {
        commit: (partition, nextOffset) => this.#consumption?.commit(partition, nextOffset),
        reassign: (partition) => this.#consumption?.reassign(partition),
      },
      letters: new DeadLetterIndex(log),
      elsewhere: new ErasuresElsewhere(log),
      movedIds: new MovedIdsReader(log, config.dedupWindow),
      settleMs,
      trainingEvents: new Set(config.trainingEvents),
      dedupWindow: config.dedupWindow,
      chunkRecordsMax,
      subject,
      lineId,
      clock,
      faultPoint,
      reporter: reportTo(report, {
        clock,
        lineId,
        showRaw: config.showRaw,
        state: () => this.#reportHealth(),
      }),
    };
  }

  /** Consumes until the signal aborts; what ends the watch for good ends it too. */
  async run(): Promise<void> {
    const { log, clock, signal } = this.deps;
    this.deps.windows?.((ids) =>
      [...this.#owned.values()].flatMap(({ partition }) => partition.lookFor(ids) ?? [])
    );
    const ending = new AbortController();
    const drain = AbortSignal.any([signal, ending.signal]);
    const watching = this.#watch(drain).finally(() => ending.abort());
    const consuming = consumeGroup(log, {
      topic: WEBHOOKS_TOPIC,
      group: DATASET_WRITER_GROUP,
      handler: this.#handler(),
      unreadable: this.#context.letters.unreadable,
      batchRecordsMax: this.#context.chunkRecordsMax,
      clock,
      signal: drain,
      started: (consumption) => this.#consumption = consumption,
      trouble: (trouble) => this.#noteTrouble(trouble),
    }).finally(() => ending.abort());
    const [consumed, watched] = await Promise.allSettled([consuming, watching]);
    if (consumed.status === "rejected") throw consumed.reason;
    if (watched.status === "rejected") throw watched.reason;
  }

  #handler(): PartitionHandler {
    return {
      assigned: async (number, { signal }) => {
        const { partition } = this.#own(number);
        try {
          const nextOffset = await partition.assigned(signal);
          this.#troubles.delete(number);
          return nextOffset;
        } catch (error) {
          partition.abort(error);
          throw error;
        }
      },
      handle: async (batch, { heartbeat }) => {
        const { partition } = this.#own(batch.partition);
        try {
          return await partition.handle(batch, heartbeat);
        } catch (error) {
          partition.abort(error);
          if (error instanceof PartitionLostError) return "reassign";
          throw error;
        }
      },
      revoked: async (number) => {
        const owned = this.#owned.get(number);
        owned?.gone.abort();
        await owned?.partition.revoked();
        this.#owned.delete(number);
        this.#troubles.delete(number);
        this.#reportHealth();
      },
    };
  }

  #own(number: number) {
    let owned = this.#owned.get(number);
    if (!owned) {
      owned = { partition: new DatasetPartition(number, this.#context), gone: new AbortController() };
      this.#owned.set(number, owned);
    }
    return owned;
  }

  /**
   * Looks every 200 ms for what no record would bring about: what becomes durable, a replay that wants the partitions (an
   * idle one would never let go of its lock), its end, and changes of health.
   */
  async #watch(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const wanted = this.#context.dataset.swapWanted();
      for (const [number, { partition, gone }] of this.#owned) {
        if (wanted) partition.release().catch((error) => this.#fatal ??= { error });
        else if (partition.phase === "let go") this.#resume(number, { partition, gone });
        else this.#background(number, partition, () => partition.look());
      }
      if (this.#fatal) throw this.#fatal.error;
      this.#reportHealth();
      await this.deps.clock.wait(WATCH_EVERY_MS, signal);
    }
  }

  /** In the background: it may wait long for a lock. */
  #resume(
    number: number,
    { partition, gone }: { readonly partition: DatasetPartition; readonly gone: AbortController },
  ): void {
    this.#background(number, partition, () => partition.resume(gone.signal));
  }

  /** What fails for now is tried again by the partition's own way in, from where the dataset goes on. */
  #background(number: number, partition: DatasetPartition, work: () => Promise<void>): void {
    if (this.#troubles.has(number)) return;
    work().catch((error) => {
      partition.abort(error);
      if (isTransient(error) || error instanceof PartitionLostError) this.#consumption?.reassign(number);
      else this.#fatal ??= { error };
    });
  }

  #noteTrouble({ partition, error, attempt, waitMs }: Trouble): void {
    const message = `partition ${partition}: ${error.message} (attempt ${attempt}, again in ${waitMs} ms)`;
    this.#troubles.set(partition, message);
    this.#context.reporter.log("warn", message);
    this.#reportHealth();
  }

  #reportHealth(): void {
    const { is, message, partitions } = this.#health();
    if (!this.#report(is, message, partitions, standingOf(this.#consumption?.state()))) return;
    // What is tried again was logged as it failed; a lost session and a lock that another holds are told here only.
    if (is === "ready") this.#messageLogged = null;
    if (message === null || message === this.#messageLogged || this.#troubles.size > 0) return;
    this.#messageLogged = message;
    this.#context.reporter.log(is === "failing" ? "warn" : "info", message);
  }

  #health(): LoopHealth {
    const partitions = [...this.#owned.keys()].sort((a, b) => a - b);
    const [trouble] = this.#troubles.values();
    if (trouble !== undefined) return { is: "failing", message: trouble, partitions };
    const state = this.#consumption?.state();
    if (state?.is === "away") {
      return { is: "failing", message: state.reason ?? "the log is away", partitions };
    }
    const phase = (wanted: DatasetPartition["phase"]) =>
      partitions.filter((number) => this.#owned.get(number)!.partition.phase === wanted);
    const locked = phase("waiting for lock");
    if (locked.length > 0) {
      return { is: "waiting", message: `waiting for lock of partition ${locked.join(", ")}`, partitions };
    }
    const [lost] = phase("lost");
    if (lost !== undefined) {
      return { is: "waiting", message: this.#owned.get(lost)!.partition.lost?.message ?? null, partitions };
    }
    const opening = [...phase("opening"), ...phase("let go"), ...phase("aborted")];
    if (state?.is !== "joined" || opening.length > 0) return { is: "starting", message: null, partitions };
    return { is: "ready", message: null, partitions };
  }
}
