import { allBroken, runInWorkers, serveSeeds } from "./seed_workers.ts";
import { brokenPromises } from "./promises.ts";
import { moodOf, Simulation } from "./simulation.ts";
import type { Rule, SimulationOptions } from "./terms.ts";

/** What came of some seeds: how much happened in them, and which of them broke a promise. */
export type SeedsOutcome = {
  readonly seeds: number;
  readonly mails: number;
  readonly facts: number;
  readonly broken: readonly { readonly seed: number; readonly promises: readonly string[] }[];
};

export type SeedsAsked = {
  readonly seeds: readonly number[];
  readonly without: readonly Rule[];
  /** Ends at the first seed that breaks a promise. */
  readonly untilBroken: boolean;
};

/** Runs worlds one after the other. The seed alone says which mailer and which MAIL_ON_UNKNOWN a world has. */
export async function runSeeds({ seeds, without, untilBroken }: SeedsAsked): Promise<SeedsOutcome> {
  let [ran, mails, facts] = [0, 0, 0];
  const broken: { seed: number; promises: string[] }[] = [];
  for (const seed of seeds) {
    const promises = await inSimulation(seed, without, (simulation) => {
      mails += simulation.mails.length;
      facts += simulation.facts.length;
      return brokenPromises(simulation);
    });
    ran++;
    if (promises.length > 0) broken.push({ seed, promises });
    if (promises.length > 0 && untilBroken) break;
  }
  return { seeds: ran, mails, facts, broken };
}

/** A world in which PostHog shows whom it takes for one person, and nobody is erased: every join can be held against it. */
export function personsAreKnown(seed: number): boolean {
  const { personsShown, provenOnly } = optionsOf(seed);
  return personsShown && !provenOnly && moodOf(seed).erasures === 0;
}

function optionsOf(seed: number): SimulationOptions {
  return {
    seed,
    onUnknown: seed % 2 === 0 ? "resend-once" : "hold",
    provenOnly: seed % 3 === 1,
    personsShown: seed % 5 < 3,
    mailer: seed % 4 === 3 ? "maildir" : "smtp",
  };
}

async function inSimulation<T>(
  seed: number,
  without: readonly Rule[],
  look: (simulation: Simulation) => T,
): Promise<T> {
  const simulation = new Simulation({ ...optionsOf(seed), without });
  // Back-off takes its random part from here; a seed must say everything.
  const random = Math.random;
  Math.random = simulation.random;
  try {
    await simulation.run();
    return look(simulation);
  } finally {
    Math.random = random;
    simulation.close();
  }
}

/** As {@link runSeeds}, in Workers. */
export async function runSeedsInWorkers(asked: SeedsAsked): Promise<SeedsOutcome> {
  const outcomes = await runInWorkers<SeedsAsked, SeedsOutcome>(import.meta.url, asked);
  const sum = (of: (outcome: SeedsOutcome) => number) => outcomes.reduce((total, one) => total + of(one), 0);
  return {
    seeds: sum(({ seeds }) => seeds),
    mails: sum(({ mails }) => mails),
    facts: sum(({ facts }) => facts),
    broken: allBroken(outcomes),
  };
}

serveSeeds(runSeeds);
