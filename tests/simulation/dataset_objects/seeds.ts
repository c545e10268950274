import { allBroken, runInWorkers, serveSeeds } from "../seed_workers.ts";
import type { ObjectStore } from "../../../processor/dataset/objects/object_store.ts";
import { ACTORS, LAST_ERASURE } from "./actors.ts";
import { brokenPromises } from "./promises.ts";
import { World } from "./world.ts";

/** What came of some seeds: how much happened in them, and which of them broke a promise. */
export type SeedsOutcome = {
  readonly seeds: number;
  readonly happened: Readonly<Record<string, number>>;
  readonly broken: readonly { readonly seed: number; readonly promises: readonly string[] }[];
};

/** What a bucket may do that the dataset cannot live with: each is there to show that the worlds see it. */
const WORSE = {
  "looks and then puts": (store: ObjectStore): ObjectStore => ({
    ...store,
    async create(key, bytes) {
      if (await store.get(key)) return "unsure";
      await store.put(key, bytes);
      return "created";
    },
  }),
  "says created where it was not": (store: ObjectStore): ObjectStore => ({
    ...store,
    create: (key, bytes) => store.create(key, bytes).then(() => "created"),
  }),
  "removes nothing": (store: ObjectStore): ObjectStore => ({ ...store, remove: () => Promise.resolve() }),
};
export type Worse = keyof typeof WORSE;

export type SeedsAsked = {
  readonly seeds: readonly number[];
  readonly worse?: Worse | undefined;
  /** Ends at the first seed that breaks a promise. */
  readonly untilBroken?: boolean;
};

export async function runSeeds({ seeds, worse, untilBroken = false }: SeedsAsked): Promise<SeedsOutcome> {
  const happened: Record<string, number> = {};
  const broken: { seed: number; promises: readonly string[] }[] = [];
  // Back-off takes its random part from here; a seed must say everything.
  const { random } = Math;
  let ran = 0;
  for (const seed of seeds) {
    const world = new World(seed, {
      actors: ACTORS,
      atLast: LAST_ERASURE,
      ...(worse ? { worsen: WORSE[worse] } : {}),
    });
    Math.random = world.random;
    await world.run();
    const promises = brokenPromises(world);
    if (promises.length > 0) broken.push({ seed, promises });
    ran++;
    const lines = world.produced.flat().length;
    for (const [what, times] of Object.entries({ ...world.happened, records: lines })) {
      happened[what] = (happened[what] ?? 0) + times;
    }
    if (untilBroken && broken.length > 0) break;
  }
  Math.random = random;
  return { seeds: ran, happened, broken };
}

/** As {@link runSeeds}, in Workers. */
export async function runSeedsInWorkers(asked: SeedsAsked): Promise<SeedsOutcome> {
  const outcomes = await runInWorkers<SeedsAsked, SeedsOutcome>(import.meta.url, asked);
  const happened: Record<string, number> = {};
  for (const [what, times] of outcomes.flatMap((one) => Object.entries(one.happened))) {
    happened[what] = (happened[what] ?? 0) + times;
  }
  return {
    seeds: outcomes.reduce((sum, one) => sum + one.seeds, 0),
    happened,
    broken: allBroken(outcomes),
  };
}

serveSeeds(runSeeds);
