import type { Clock } from "../../runtime/clock.ts";
import { FACTS_TOPIC } from "../../contract/names.ts";
import type { TopicLog } from "../../topic/topic.ts";
import { decodeFact, type Fact } from "../facts/facts.ts";
import { FACTS_TOPIC_SPEC, factsEnd, publishFacts } from "../facts/topic.ts";

/**
 * Which dataset the group dataset-writer writes. One group writes one dataset, on one host: a second processor with a
 * dataset of its own would get half of the partitions, and both datasets would have holes.
 *
 * The first `dataset` fact in the topic holds. A later one holds where it names the one that held before: that is what
 * `replay --take-over` publishes.
 */
export class DatasetOwner {
  #id: string | null = null;
  #next = 0;
  readonly #decoder = new TextDecoder();

  constructor(private readonly log: TopicLog) {}

  /** Reads up to the facts' end of this moment; the id that holds, or null where none has been named. */
  async current(): Promise<string | null> {
    const until = await factsEnd(this.log);
    for await (const batch of this.log.read(FACTS_TOPIC, { partition: 0, from: this.#next, until })) {
      for (const record of batch.records) {
        const outcome = decodeFact(this.#decoder.decode(record.value));
        if (outcome.ok) this.#apply(outcome.fact);
      }
      this.#next = batch.nextOffset;
    }
    return this.#id;
  }

  /** Names this dataset where none is named yet, and answers the one that holds: two processors may start at once. */
  async claim(id: string, now: number): Promise<string> {
    const held = await this.current();
    if (held !== null) return held;
    await publishFacts(this.log, [{ fact: "dataset", at: now, id }]);
    return (await this.current())!;
  }

  #apply(fact: Fact): void {
    if (fact.fact !== "dataset") return;
    if (this.#id === null || fact.takesOver === this.#id) this.#id = fact.id;
  }
}

/** Makes this dataset the one that the group writes; whoever wrote before sees it and steps out. */
export async function takeOverDataset(
  log: TopicLog,
  { id, now }: { readonly id: string; readonly now: number },
): Promise<void> {
  await log.ensureTopic(FACTS_TOPIC_SPEC);
  for (;;) {
    const held = await new DatasetOwner(log).current();
    if (held === id) return;
    // Another one may take over in the same moment: then this fact is void, and we take over from that one.
    await publishFacts(log, [{ fact: "dataset", at: now, id, takesOver: held }]);
  }
}

/** Why a processor with this dataset must stay out of the group, in words; null where the dataset is its own. */
export function whyItStaysOut(held: string, own: string): string | null {
  if (held === own) return null;
  return `the group dataset-writer writes dataset ${held}, this processor has ${own}: it stays out. ` +
    "Share that DATASET_DIR on one host, or take over with `deno task replay --take-over`.";
}

/** How often a writer looks whether another dataset has taken over, in ms. */
const LOOK_EVERY_MS = 5_000;

/** Resolves when the dataset that holds is another than `held`, or when the signal aborts. */
export async function untilOwnerChanges(
  owner: DatasetOwner,
  { held, clock, signal }: { readonly held: string; readonly clock: Clock; readonly signal: AbortSignal },
): Promise<void> {
  while (!signal.aborted) {
    await clock.wait(LOOK_EVERY_MS, signal);
    // The log being away changes no owner; the group's own loop says that it is away.
    if (!signal.aborted && await owner.current().catch(() => held) !== held) return;
  }
}
