import { Builds } from "../../../processor/dataset/objects/builds.ts";
import { compactPartition } from "../../../processor/dataset/objects/compact.ts";
import { CommitLog } from "../../../processor/dataset/objects/commit_log.ts";
import { hashes } from "../../../processor/dataset/fixtures/run.ts";
import { Bucket } from "../../../processor/dataset/objects/bucket.ts";
import { ObjectMissingError } from "../../../processor/dataset/objects/lines.ts";
import { type ObjectStore, ObjectStoreAwayError } from "../../../processor/dataset/objects/object_store.ts";
import { PartitionLostError } from "../../../processor/dataset/store.ts";
import { createLineIds } from "../../../processor/record/line_id.ts";
import { noFaultPoint } from "../../../runtime/fault_point.ts";
import { CommandFailedError } from "../../../tools/command.ts";
import { eraseBuilds } from "../../../tools/erase/builds.ts";
import { bucketHome } from "../../../tools/replay/bucket_home.ts";
import { replayInPlace } from "../../../tools/replay/in_place.ts";
import { StaleBuildError } from "../../../tools/replay/rebuild.ts";
import { type Actor, type ActorTools, CHECKPOINT_EVERY, DEDUP_WINDOW, OBJECTS, PARTITIONS } from "./world.ts";

/** Ends loudly, and is to be begun again: somebody else was at the same, or has dropped the build. */
const metOthers = (error: Error) =>
  error instanceof PartitionLostError || error instanceof CommandFailedError ||
  error instanceof StaleBuildError || error instanceof ObjectMissingError;

/** A replay that seals the partitions of the live build, and of which nothing more is heard: writers take the old one up again. */
export const REPLAY_THAT_DIES: Actor = {
  name: "a replay that dies",
  share: 0.001,
  async run({ store, clock }) {
    const current = await new Builds(store, clock).current();
    if (!current) return;
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const log = new CommitLog(store, { build: current.build, partition }, {
        checkpointEvery: CHECKPOINT_EVERY,
      });
      for (;;) {
        await log.readOn();
        const { firstOffset, nextOffset, lettersPublished } = log.state;
        const at = new Date(clock.now()).toISOString();
        const draft = {
          kind: "seal" as const,
          writer: "replay",
          at,
          firstOffset,
          nextOffset,
          lettersPublished,
        };
        if (!await log.append({ ...draft, builds: current.number })) break;
      }
    }
  },
};

/** Joins whatever there is, of days that are not closed too. */
export const COMPACTION: Actor = {
  name: "a compaction",
  share: 0.01,
  gaveUp: metOthers,
  async run({ store, clock, world }) {
    const current = await new Builds(store, clock).current();
    if (!current) return;
    for (let partition = 0; partition < PARTITIONS; partition++) {
      await compactPartition(store, {
        build: current.build,
        partition,
        before: "9999",
        objectBytes: 1_000 + Math.floor(world.random() * 10_000),
        compression: "none",
        clock,
        checkpointEvery: CHECKPOINT_EVERY,
      });
    }
  },
};

const ATTEMPTS_MAX = 5;

/** As the client of a real bucket does it: what a command asks is asked again, also where the answer alone was lost. */
function patient(store: ObjectStore): ObjectStore {
  async function again<T>(ask: () => Promise<T>): Promise<T> {
    for (let attempt = 1;; attempt++) {
      try {
        return await ask();
      } catch (error) {
        if (!(error instanceof ObjectStoreAwayError) || attempt === ATTEMPTS_MAX) throw error;
      }
    }
  }
  return {
    ...store,
    put: (key, bytes) => again(() => store.put(key, bytes)),
    create: (key, bytes) => again(() => store.create(key, bytes)),
    get: (key) => again(() => store.get(key)),
    read: (key, options) => again(() => store.read(key, options)),
    list: async function* (prefix) {
      yield* await again(() => Array.fromAsync(store.list(prefix)));
    },
    remove: (keys) => again(() => store.remove(keys)),
    abortUploads: (prefix) => again(() => store.abortUploads(prefix)),
  };
}

function bucketOf({ store, clock }: ActorTools): Bucket {
  return new Bucket(patient(store), { config: OBJECTS, clock, checkpointEvery: CHECKPOINT_EVERY });
}

const QUIET = { begin() {}, add() {}, end() {}, say() {} };
const { subject } = hashes;

/** `deno task replay`, from its first look to its last. */
function replay(name: string): Actor {
  return {
    name,
    share: 0.002,
    gaveUp: metOthers,
    async run(tools) {
      const { log, clock, world } = tools;
      await replayInPlace({
        log,
        home: bucketHome(bucketOf(tools)),
        trainingEvents: new Set(["generation_failed"]),
        dedupWindow: DEDUP_WINDOW,
        subject,
        lineId: createLineIds(subject),
        clock,
        faultPoint: noFaultPoint,
        progress: QUIET,
      }, {
        parameters: {
          mode: "swap",
          log: "memory",
          sanitiserVersion: "1",
          dedupWindow: DEDUP_WINDOW,
          trainingEvents: ["generation_failed"],
          fingerprint: "f",
          fromTime: null,
          untilTime: null,
        },
        onResult: () => world.happened.replays++,
      });
    },
  };
}

/** What the command that erases does with builds, once the dataset has come past its records. */
async function eraseNext(tools: ActorTools): Promise<void> {
  const { world } = tools;
  const [erasing] = world.erasing;
  const bucket = bucketOf(tools);
  const live = await bucket.live();
  if (!erasing || !live) return;
  for (const [partition, offset] of erasing.offsets.entries()) {
    const written = (await live.manifest(partition))?.nextOffset ?? 0;
    if (Math.min(written, world.committed[partition] ?? 0) <= offset) return;
  }
  await eraseBuilds(bucket, {
    ...erasing,
    subjects: [erasing.subject],
    offsetIn: offsetIn(erasing.offsets),
    tools: TOOLS,
  });
  if (world.erasing.includes(erasing)) world.erasing.splice(world.erasing.indexOf(erasing), 1);
  world.happened.erased++;
}

const TOOLS = { subject, faultPoint: noFaultPoint, heartbeat: () => Promise.resolve() };
const offsetIn = (offsets: readonly number[]) => (partition: number) => offsets[partition]!;

function command(name: string): Actor {
  return { name, share: 0.002, gaveUp: metOthers, run: eraseNext };
}

/** `dataset drop`: of a build that was the dataset, or of one that is being made. */
const DROP: Actor = {
  name: "a drop",
  share: 0.0007,
  async run(tools) {
    const { world } = tools;
    const bucket = bucketOf(tools);
    const names = (await bucket.builds()).flatMap(({ build, is }) =>
      is === "before" || is === "interrupted" ? [build] : []
    );
    if (names.length === 0) return;
    if (await bucket.discard(world.pick(names)) !== null) world.happened.dropped++;
  },
};

/** Ends what is left of the commands that erase, and one of somebody who never was there. */
export const LAST_ERASURE: Actor = {
  name: "the last erasure",
  share: 0,
  async run(tools) {
    const { world } = tools;
    while (world.erasing.length > 0) {
      const before = world.erasing.length;
      await eraseNext(tools);
      if (world.erasing.length === before) throw new Error("an erasure is not come past");
    }
    const nobody = { subjects: [subject("nobody")], at: tools.clock.now(), offsetIn: () => 0, tools: TOOLS };
    await eraseBuilds(bucketOf(tools), nobody);
  },
};

export const ACTORS: readonly Actor[] = [
  REPLAY_THAT_DIES,
  COMPACTION,
  replay("a replay"),
  replay("another replay"),
  command("a command that erases"),
  command("another command that erases"),
  DROP,
];
