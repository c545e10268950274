import type { Clock } from "../../runtime/clock.ts";
import type { Log } from "../../runtime/log.ts";
import { DATASET_WRITER_GROUP, DISCOUNT_OFFERS_GROUP, WEBHOOKS_TOPIC } from "../../contract/names.ts";
import type { GroupLag } from "../../contract/processor_api.ts";
import { groupLag } from "../../topic/group_lag.ts";
import type { TopicLog } from "../../topic/topic.ts";
import type { LoopHealth } from "../loop/loop.ts";

/** What the log says of consumer groups: which partitions they read here, and that they have caught up. */

/** Milliseconds between two looks. */
const LOOK_EVERY_MS = 5_000;
/** From so many seconds on a group is behind; below that it is at work. */
const BEHIND_SECONDS = 10;

const GROUP_NAMES: readonly string[] = [DATASET_WRITER_GROUP, DISCOUNT_OFFERS_GROUP];

/** Says which partitions a member reads, each time that it is ready with others than before. */
export function createRebalanceLines(
  say: Log,
  { rebalanced = () => {} }: { readonly rebalanced?: (group: string) => void } = {},
): { look(name: string, health: Pick<LoopHealth, "is" | "partitions">): void } {
  const before = new Map<string, string>();
  return {
    look(name, { is, partitions }) {
      const group = GROUP_NAMES.find((one) => name === one || name.startsWith(`${one} `));
      if (group === undefined || is !== "ready") return;
      const now = numbersText(partitions);
      const was = before.get(name) ?? "none";
      if (now === was) return;
      before.set(name, now);
      rebalanced(group);
      say("info", `rebalance: ${name} reads partitions ${now} now (before: ${was})`, {
        group,
        topic: WEBHOOKS_TOPIC,
      });
    },
  };
}

/** `0-3, 5`; `none` where there is none. */
function numbersText(numbers: readonly number[]): string {
  const runs: [number, number][] = [];
  for (const number of [...numbers].sort((a, b) => a - b)) {
    const last = runs.at(-1);
    if (last !== undefined && last[1] + 1 === number) last[1] = number;
    else runs.push([number, number]);
  }
  if (runs.length === 0) return "none";
  return runs.map(([from, to]) => from === to ? `${from}` : `${from}-${to}`).join(", ");
}

/** Whether a group that was behind, or had just started, has caught up; what is under way is no news. */
export class CaughtUp {
  /** Most records that waited since it fell behind; null: it is not behind. */
  #most: number | null = 0;

  /** Answers in words, once each time. */
  look({ lag, lagSeconds }: { readonly lag: number; readonly lagSeconds: number }): string | null {
    if (lag > 0) {
      if (this.#most !== null || lagSeconds >= BEHIND_SECONDS) this.#most = Math.max(this.#most ?? 0, lag);
      return null;
    }
    if (this.#most === null) return null;
    const words = this.#most === 0 ? "nothing waits" : `${this.#most} records had waited`;
    this.#most = null;
    return `caught up with ${WEBHOOKS_TOPIC}: ${words}`;
  }
}

/** Looks until the signal aborts; a log that is away is looked at again. */
export async function sayWhenCaughtUp(
  log: TopicLog,
  { groups, clock, say, saw, signal }: {
    readonly groups: readonly string[];
    readonly clock: Clock;
    readonly say: Log;
    /** Gets each look at a group whose lag is known. */
    readonly saw: (lag: GroupLag) => void;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const watched = groups.map((group) => ({ group, caughtUp: new CaughtUp() }));
  while (!signal.aborted) {
    for (const { group, caughtUp } of watched) {
      try {
        const now = clock.now();
        const lag = await groupLag(log, { topic: WEBHOOKS_TOPIC, group, now, standing: () => [] });
        // Where no broker leads a partition, nobody knows what waits there.
        if (lag.partitions.some(({ noLeader }) => noLeader)) continue;
        saw(lag);
        const words = caughtUp.look(lag);
        if (words !== null) say("info", `${group}: ${words}`, { group, topic: WEBHOOKS_TOPIC });
      } catch {
        // Who reads the log says what is wrong with it.
      }
    }
    await clock.wait(LOOK_EVERY_MS, signal);
  }
}
