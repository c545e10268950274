import type { MergeHow } from "../../processor/facts/facts.ts";

/** A merge that an event asked PostHog for, as far as the rule needs it. */
export type Asked = { readonly how: MergeHow; readonly into: string; readonly other: string };

/**
 * PostHog's persons by PostHog's rule, without the pipeline's code: who is merged with whom depends on the order in which
 * PostHog sees the events. What it does not imitate: ids that are refused, properties, persons that are split by hand.
 */
export class SimulatedPosthog {
  readonly #personOf = new Map<string, string>();
  readonly #identified = new Set<string>();

  /** @param known Ids that have a person before anything happens: else one that a merge names first is added to the other's. */
  constructor(known: readonly string[] = []) {
    for (const id of known) this.see(id);
  }

  /** The person of an id after an event of it, made where it has none. */
  see(id: string): string {
    const person = this.#personOf.get(id) ?? `person-of-${id}`;
    this.#personOf.set(id, person);
    return person;
  }

  ask({ how, into, other }: Asked): void {
    const [own, others] = [this.#personOf.get(into), this.#personOf.get(other)];
    if (own === undefined && others !== undefined) this.#personOf.set(into, others);
    const person = this.see(into);
    if (others === undefined) this.#personOf.set(other, person);
    else if (others !== person && (how === "dangerous" || !this.#identified.has(others))) {
      for (const [id, of] of this.#personOf) if (of === others) this.#personOf.set(id, person);
    }
    this.#identified.add(person);
  }

  areOne(a: string, b: string): boolean {
    return this.see(a) === this.see(b);
  }
}
