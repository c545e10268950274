import type { Clock } from "../../../runtime/clock.ts";
import { erasure, failure, RECEIVED_AT, use } from "../../../processor/dataset/fixtures/records.ts";
import { hashes } from "../../../processor/dataset/fixtures/run.ts";
import { LEAVING_MS } from "../../../processor/dataset/core/commit_state.ts";
import type { ObjectsConfig } from "../../../processor/dataset/objects/config.ts";
import { openObjectDataset } from "../../../processor/dataset/objects/dataset.ts";
import {
  type Faults,
  MemoryBucket,
  memoryStore,
  NO_FAULTS,
} from "../../../processor/dataset/objects/fixtures/memory_store.ts";
import type { ObjectStore } from "../../../processor/dataset/objects/object_store.ts";
import { runDatasetWriter } from "../../../processor/dataset/writer.ts";
import type { RecordToPublish, TopicLog, TopicRecord } from "../../../topic/topic.ts";
import { type Step, stepIn } from "../simulated_log.ts";
import { seededRandom } from "../terms.ts";
import { WorldLog } from "./topic.ts";

export const PARTITIONS = 2;
export const PEOPLE = 6;
export const DEDUP_WINDOW = 30;
/** Few, so that writers begin at one often. */
export const CHECKPOINT_EVERY = 4;
const PROCESSES = 3;
const START = RECEIVED_AT;
const LIVELY_STEPS = 1_200;
const ROW_MAX = 8;
const CALM_STEPS_MAX = 20_000;
/** Of one step: in some worlds the bucket is quick, in others a minute goes by meanwhile. */
const STEP_MS_MAX = [60, 150, 500];
const CALM_STEP_MS_MAX = 2_500;
const PAUSED_STEPS_MAX = 500;
/** Longer than writers look for leftovers once they run well. */
const QUIET_MS = 260_000;

export const OBJECTS: ObjectsConfig = {
  bucket: "memory",
  prefix: "",
  endpoint: null,
  region: null,
  forcePathStyle: false,
  objectBytes: 1_500,
  objectAgeMs: 4_000,
  compression: "none",
};

export const personOf = (who: number) => `user-${who}`;
const partitionOfPerson = (who: number) => who % PARTITIONS;

/** What one record is, for the oracle. */
export type Produced =
  | {
    readonly is: "training";
    readonly n: number;
    readonly who: number;
    readonly isValid: boolean;
    readonly time: number;
  }
  | { readonly is: "use"; readonly n: number }
  | { readonly is: "erasure"; readonly who: number; readonly at: number };

/** What the command that has published an erasure does with the bucket, once the writers have come past its records. */
export type Erasing = { readonly subject: string; readonly at: number; readonly offsets: readonly number[] };

/**
 * Somebody beside the writers: a replay, a compaction, a command that erases. It works on a store of its own whose every
 * operation is a step that the world chooses, is killed anywhere, and begun again by chance. The world makes it with the
 * `actors` of its options: what a replay's and a compaction's functions do to a bucket goes in there.
 */
export type Actor = {
  readonly name: string;
  /** Share of the world's lively steps at which one is begun, where none of its name is under way. */
  readonly share: number;
  /** Errors that it may end with beside a bucket that is away. */
  readonly gaveUp?: (error: Error) => boolean;
  run(tools: ActorTools): Promise<void>;
};
export type ActorTools = {
  readonly store: ObjectStore;
  readonly clock: Clock;
  readonly log: TopicLog;
  readonly world: World;
};

/** Something that runs, crashes and pauses as one. */
class Process {
  steps: Step[] = [];
  alive = false;
  pausedUntil = 0;
  log: WorldLog | null = null;
  stopping: AbortController | null = null;

  /** What it waits for never comes; some of what was on the wire arrives. */
  kill(random: () => number): void {
    for (const step of this.steps.splice(0)) if (!step.isTimer && random() < 0.3) step.take();
    this.steps = [];
    this.alive = false;
  }
}

/**
 * A world in which real dataset writers on object storage run step by step: a bucket and a topic in memory, a clock that the
 * world moves, and processes that crash, pause, are stopped and are overtaken between any two effects. A seed says all of it.
 *
 * What it does not imitate: a bucket that loses what it has acknowledged, sanitisers that change, more partitions later.
 */
export class World {
  readonly random: () => number;
  readonly bucket = new MemoryBucket();
  readonly raw: TopicRecord[][] = Array.from({ length: PARTITIONS }, () => []);
  /** Erasures whose command has not ended yet. */
  readonly erasing: Erasing[] = [];
  readonly produced: Produced[][] = Array.from({ length: PARTITIONS }, () => []);
  readonly letters: TopicRecord[] = [];
  readonly committed: (number | null)[] = Array.from({ length: PARTITIONS }, () => null);
  readonly owner: number[] = Array.from({ length: PARTITIONS }, (_, i) => i % PROCESSES);
  readonly ownedSince: number[] = Array.from({ length: PARTITIONS }, () => 0);
  readonly failures: string[] = [];
  generation = 0;
  time = START;
  isCalm = false;
  awayShare: number;
  /** How much has happened, so that a world in which nothing does is seen. */
  readonly happened = {
    crashes: 0,
    pauses: 0,
    stops: 0,
    erasures: 0,
    actors: 0,
    steps: 0,
    switches: 0,
    replays: 0,
    erased: 0,
    dropped: 0,
  };
  readonly #processes = Array.from({ length: PROCESSES }, () => new Process());
  readonly #actors = new Map<string, Process>();
  readonly #faults: Faults;
  readonly #stepMsMax: number;
  /** Share of steps. */
  readonly #erasures: number;
  #records = 0;

  constructor(
    readonly seed: number,
    private readonly options: {
      readonly actors?: readonly Actor[];
      readonly atLast?: Actor;
      /** Makes the bucket a worse one than the dataset can live with. */
      readonly worsen?: (store: ObjectStore) => ObjectStore;
    } = {},
  ) {
    this.random = seededRandom(seed);
    const share = [0.002, 0.01, 0.03][seed % 3]!;
    this.awayShare = share;
    this.#stepMsMax = this.pick(STEP_MS_MAX);
    this.#erasures = [0.001, 0.004, 0.01][Math.floor(seed / 3) % 3]!;
    this.#faults = { answerLost: share, refused: share, retried: share * 3, repeated: share * 3, late: 0.5 };
  }

  pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.random() * from.length)]!;
  }

  async run(): Promise<void> {
    for (let i = 0; i < LIVELY_STEPS; i++) await this.#step();
    this.isCalm = true;
    this.awayShare = 0;
    for (const actor of this.#actors.values()) actor.kill(this.random);
    this.bucket.settle();
    this.#rebalance();
    let quietSince = this.time;
    for (let i = 0; i < CALM_STEPS_MAX; i++) {
      await this.#step();
      const isHandled = this.raw.every((records, one) => this.committed[one] === records.length);
      if (!isHandled) quietSince = this.time;
      if (this.time - quietSince > QUIET_MS) return await this.#anHourLater();
    }
    this.failures.push("never quiet");
  }

  /** What a compaction has removed is gone by then. */
  async #anHourLater(): Promise<void> {
    this.time += LEAVING_MS;
    for (let i = 0; i < 100; i++) await this.#step();
    if (this.options.atLast) await this.#atLast(this.options.atLast);
  }

  async #step(): Promise<void> {
    const { random } = this;
    this.happened.steps++;
    this.time += 1 + Math.floor(random() * (this.isCalm ? CALM_STEP_MS_MAX : this.#stepMsMax));
    if (!this.isCalm && random() < 0.3) this.#produce();
    if (!this.isCalm && random() < this.#erasures) this.#erase(Math.floor(random() * PEOPLE));
    if (!this.isCalm) this.#beginActors();
    const busy = [...this.#processes, ...[...this.#actors.values()].filter(({ alive }) => alive)];
    const process = this.pick(busy);
    const isWriter = this.#processes.includes(process);
    if (process.pausedUntil > this.time && !this.isCalm) return;
    const luck = this.isCalm ? 1 : random();
    if (!process.alive) {
      this.#begin(this.#processes.indexOf(process));
      this.#rebalance();
    } else if (luck < 0.004) {
      this.happened.crashes++;
      process.kill(random);
      if (isWriter) this.#rebalance();
    } else if (luck < 0.014) {
      this.happened.pauses++;
      process.pausedUntil = this.time + random() * PAUSED_STEPS_MAX * this.#stepMsMax / 2;
      if (isWriter && random() < 0.7) this.#rebalance(process);
    } else if (luck < 0.017 && process.stopping) {
      this.happened.stops++;
      process.stopping.abort();
    } else {
      if (isWriter) this.#learn(process);
      // Some in a row, so that more happens between two crashes.
      for (let left = 1 + Math.floor(random() * ROW_MAX); left > 0 && this.#take(process); left--) {
        await turn();
      }
    }
    await turn();
  }

  /** Takes one of the steps that something in the process waits for. */
  #take(process: Process): boolean {
    const ready = process.steps.filter((step) => step.ready());
    if (ready.length === 0) return false;
    const effects = ready.filter((step) => !step.isTimer);
    const step = this.pick(effects.length > 0 && this.random() < 0.85 ? effects : ready);
    process.steps.splice(process.steps.indexOf(step), 1);
    step.take();
    return true;
  }

  #begin(id: number): void {
    const process = this.#processes[id]!;
    process.alive = true;
    process.steps = [];
    const { steps } = process;
    const stopping = process.stopping = new AbortController();
    const log = process.log = new WorldLog(id, this, steps);
    const clock = this.#clock(steps);
    runDatasetWriter({
      log,
      config: {
        datasetDir: "unused",
        trainingEvents: ["generation_failed"],
        dedupWindow: DEDUP_WINDOW,
        showRaw: false,
      },
      hashes,
      clock,
      report: () => {},
      faultPoint: () => {},
      signal: stopping.signal,
    }, {
      open: () =>
        openObjectDataset(OBJECTS, {
          store: this.storeOf(steps),
          dedupWindow: DEDUP_WINDOW,
          clock,
          isProbed: true,
          checkpointEvery: CHECKPOINT_EVERY,
        }),
    }).then(() => {
      if (process.steps === steps) process.alive = false;
      process.log = null;
    }, (error) => this.failures.push(`a writer ended: ${error.stack}`));
  }

  #beginActors(): void {
    for (const actor of this.options.actors ?? []) {
      if (this.#actors.get(actor.name)?.alive || this.random() >= actor.share) continue;
      this.happened.actors++;
      const process = new Process();
      this.#actors.set(actor.name, process);
      this.#act(actor, process);
    }
  }

  #act(actor: Actor, process: Process): void {
    const { steps } = process;
    process.alive = true;
    const log = new WorldLog(-1, this, steps);
    actor.run({ store: this.storeOf(steps), clock: this.#clock(steps), log, world: this }).catch((error) => {
      if (error?.code !== "EOBJECTSTORE" && !actor.gaveUp?.(error)) {
        this.failures.push(`${actor.name}: ${error.stack}`);
      }
    }).finally(() => process.alive = false);
  }

  /** Once all is quiet: whoever comes last, alone with the writers. */
  async #atLast(actor: Actor): Promise<void> {
    const process = new Process();
    this.#actors.set(actor.name, process);
    this.#act(actor, process);
    for (let i = 0; i < CALM_STEPS_MAX && process.alive; i++) await this.#step();
    if (process.alive) this.failures.push(`${actor.name} does not end`);
  }

  /** The bucket as one process sees it. */
  storeOf(steps: Step[]): ObjectStore {
    const { worsen = (store) => store } = this.options;
    return worsen(memoryStore(this.bucket, {
      random: this.random,
      faults: () => this.isCalm ? NO_FAULTS : this.#faults,
      step: () => stepIn(steps, () => {}),
      listingLags: this.isCalm ? 0 : 0.1,
    }));
  }

  #clock(steps: Step[]): Clock {
    return {
      now: () => this.time,
      monotonic: () => this.time - START,
      wait: (ms, signal) => {
        const due = this.time + ms;
        return stepIn(steps, () => {}, {
          ready: () => this.time >= due || signal?.aborted === true,
          isTimer: true,
        });
      },
    };
  }

  #rebalance(without?: Process): void {
    const live = this.#processes.flatMap((one, id) =>
      one.alive && one !== without && (this.isCalm || one.pausedUntil <= this.time) ? [id] : []
    );
    if (live.length === 0) return;
    this.generation++;
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const owner = this.pick(live);
      if (owner !== this.owner[partition] || this.isCalm) this.ownedSince[partition] = this.generation;
      this.owner[partition] = owner;
    }
  }

  /** A process hears late of what it owns: until then two of them write one partition. */
  #learn(process: Process): void {
    if (this.random() >= (this.isCalm ? 0.3 : 0.02)) return;
    const id = this.#processes.indexOf(process);
    const now = this.owner.flatMap((owner, partition) => owner === id ? [partition] : []);
    for (const group of process.log?.groups ?? []) group.learn(now);
  }

  // ---- what lies in the topic

  #produce(): void {
    const { random } = this;
    const who = Math.floor(random() * PEOPLE);
    const partition = partitionOfPerson(who);
    const earlier = this.produced[partition]!.slice(-8).flatMap((one, i) =>
      one.is === "training" ? [{ one, record: this.raw[partition]!.slice(-8)[i]! }] : []
    );
    if (earlier.length > 0 && random() < 0.2) {
      const { one, record } = this.pick(earlier);
      return this.#append(partition, { ...record, timestamp: this.time }, one);
    }
    const n = this.#records++;
    if (random() < 0.1) return this.#append(partition, use(n, personOf(who)), { is: "use", n });
    const isValid = random() > 0.15;
    // Some happened long before they came.
    const time = random() < 0.1 ? this.time - Math.floor(random() * 100_000) : this.time;
    const record = failure(n, {
      distinctId: personOf(who),
      prompt: isValid ? `write a poem about ${n}` : 17,
      timestamp: new Date(time).toISOString(),
      receivedAt: this.time,
    });
    this.#append(partition, record, { is: "training", n, who, isValid, time });
  }

  /** One record in every partition, in one moment. */
  #erase(who: number): void {
    this.happened.erasures++;
    const at = new Date(this.time).toISOString();
    const offsets = this.raw.map(({ length }) => length);
    this.erasing.push({ subject: hashes.subject(personOf(who)), at: this.time, offsets });
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const record = erasure([hashes.subject(personOf(who))], { at, partition, n: this.#records++ });
      this.#append(partition, record, { is: "erasure", who, at: this.time });
    }
  }

  #append(partition: number, record: RecordToPublish, produced: Produced): void {
    const records = this.raw[partition]!;
    const { key, value, headers, timestamp } = record;
    records.push({ key, value, headers, timestamp, partition, offset: records.length });
    this.produced[partition]!.push(produced);
  }
}

/** Lets everything run that waits for nothing but a turn of the event loop. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
