import { describe, expect, it } from "vitest";
import { runSeedsInWorkers, type SeedsOutcome, type Worse } from "./dataset_objects/seeds.ts";

/**
 * Real dataset writers on object storage in a simulated world, see tests/simulation/dataset_objects/world.ts: three processes
 * that crash, pause, are stopped and come back between any two effects write one dataset into a bucket that loses answers,
 * refuses, repeats and delays, while people are erased there and by commands, small objects are joined, replays build beside
 * them and switch, or seal what they never replace, and builds are dropped.
 *
 * `SEED=17` runs that one world again and says what broke; `SEEDS=20000` runs more.
 */
const env = Deno.env.toObject();
const seeds = env.SEED !== undefined
  ? env.SEED.split(",").map(Number)
  : Array.from({ length: Number(env.SEEDS ?? 1000) }, (_, seed) => seed);

function report({ broken }: SeedsOutcome): string[] {
  return broken.map(({ seed, promises }) => `SEED=${seed}: ${promises.join("; ")}`);
}

describe("writers of one dataset on object storage, at any moment of which they may crash, pause and come back", () => {
  it(`keep every promise in ${seeds.length} worlds`, async () => {
    const outcome = await runSeedsInWorkers({ seeds });
    expect(report(outcome)).toEqual([]);
    expect(outcome.seeds).toBe(seeds.length);
    // A world in which nothing happens would keep every promise.
    if (env.SEED !== undefined) return;
    for (const what of ["crashes", "pauses", "stops", "erasures", "erased", "actors", "records"]) {
      expect(outcome.happened[what], what).toBeGreaterThan(seeds.length / 2);
    }
    for (const what of ["switches", "dropped"]) {
      expect(outcome.happened[what], what).toBeGreaterThan(seeds.length / 10);
    }
  }, 1_800_000);

  it.each<[Worse, RegExp]>([
    ["looks and then puts", /is lost|too much|twice|damaged|left over|never quiet/],
    ["says created where it was not", /is lost|too much|twice|left over/],
    ["removes nothing", /left over/],
  ])("would be caught in a bucket that %s", async (worse, words) => {
    const first = Array.from({ length: 200 }, (_, seed) => seed);
    const { broken } = await runSeedsInWorkers({ seeds: first, worse, untilBroken: true });
    expect(broken.flatMap(({ promises }) => promises).join()).toMatch(words);
  }, 600_000);
});
