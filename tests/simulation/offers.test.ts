import { describe, expect, it } from "vitest";
import { personsAreKnown, runSeedsInWorkers, type SeedsOutcome } from "./seeds.ts";
import type { Rule } from "./terms.ts";

/**
 * The real fold, discount_offers, offer_view and offer_sender in a simulated world, see tests/simulation/simulation.ts:
 * users use, identify, opt out and are erased, while two processors crash, pause, lose their view and overtake each
 * other between any two effects.
 *
 * `SEED=17` runs that one world again and says what broke; `SEEDS=20000` runs more; `WITHOUT=by,uses` leaves rules out
 * (by, box, uses, current, barrier, late, proof, refuse, person, property) to see the worlds find what they are for: then it is right that this fails.
 */
const env = Deno.env.toObject();
const seeds = env.SEED !== undefined
  ? env.SEED.split(",").map(Number)
  : Array.from({ length: Number(env.SEEDS ?? 1000) }, (_, seed) => seed);
const without = (env.WITHOUT ?? "").split(",").filter((rule) => rule !== "") as Rule[];

function report({ broken }: SeedsOutcome): string[] {
  return broken.map(({ seed, promises }) => `SEED=${seed}: ${promises.join("; ")}`);
}

describe("two processors that crash, pause and lose their view between any two effects", () => {
  it(`keep every promise in ${seeds.length} worlds`, async () => {
    const outcome = await runSeedsInWorkers({ seeds, without, untilBroken: false });
    expect(report(outcome)).toEqual([]);
    expect(outcome.seeds).toBe(seeds.length);
    // A world in which nothing happens would keep every promise.
    if (env.SEED === undefined) expect(outcome.mails).toBeGreaterThan(seeds.length);
  }, 1_800_000);

  it("would be caught if a claim did not name its mailbox", async () => {
    const first = Array.from({ length: 1_000 }, (_, seed) => seed);
    const { broken } = await runSeedsInWorkers({ seeds: first, without: ["box"], untilBroken: true });
    expect(broken.flatMap(({ promises }) => promises).join()).toMatch(/mailbox/);
  }, 600_000);

  it("would be caught if a property did not opt anybody out", async () => {
    const first = Array.from({ length: 400 }, (_, seed) => seed);
    const { broken } = await runSeedsInWorkers({ seeds: first, without: ["property"], untilBroken: true });
    expect(broken.flatMap(({ promises }) => promises).join()).toMatch(/opt-out lay in the topic/);
  }, 600_000);

  it.each<Rule>(["late", "proof"])("would be caught if the rule %s did not hold", async (rule) => {
    const first = Array.from({ length: 60 }, (_, seed) => seed);
    const { broken } = await runSeedsInWorkers({ seeds: first, without: [rule], untilBroken: false });
    expect(broken.flatMap(({ promises }) => promises).join()).toMatch(/unproven, or after it was earned/);
  }, 600_000);

  it.each<Rule>(["refuse", "person"])(
    "would be caught if the rule %s did not hold: two whom PostHog keeps are one",
    async (rule) => {
      const first = Array.from({ length: 400 }, (_, seed) => seed).filter(personsAreKnown);
      const { broken } = await runSeedsInWorkers({ seeds: first, without: [rule], untilBroken: true });
      expect(broken.flatMap(({ promises }) => promises).join()).toMatch(
        /are one person, whom PostHog keeps two/,
      );
    },
    600_000,
  );
});
