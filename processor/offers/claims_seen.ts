import type { Clock } from "../../runtime/clock.ts";
import type { Claimer } from "../facts/facts.ts";
import type { ClaimSeen, Offer } from "./core/offer.ts";
import type { SenderRun } from "./sender_run.ts";

/** Whose the open claims are, and for how long this run has seen them, by its own monotonic clock. */
export class ClaimsSeen {
  readonly #seenAt = new Map<string, number>();

  constructor(private readonly run: SenderRun, private readonly clock: Pick<Clock, "monotonic">) {}

  /** @param claims How many claims this run has made. */
  look({ state }: Offer, claims: number): ClaimSeen | null {
    if (state.is !== "sending") return null;
    const { by } = state;
    const now = this.clock.monotonic();
    const seenAt = this.#seenAt.get(claimKey(by)) ?? now;
    this.#seenAt.set(claimKey(by), seenAt);
    const forMs = now - seenAt;
    if (by.dataDir !== this.run.dataDir) return { of: "another", forMs };
    if (by.start < this.run.start) return { of: "earlier_run", forMs };
    // A later start or a claim that this run never made: the DATA_DIR was put back from a backup, or copied.
    return { of: by.start === this.run.start && by.claim <= claims ? "this_run" : "another", forMs };
  }

  /** Forgets what is not open any more. */
  keep(sending: readonly Offer[]): void {
    if (this.#seenAt.size === 0) return;
    const open = new Set(sending.flatMap(({ state }) => state.is === "sending" ? [claimKey(state.by)] : []));
    for (const key of this.#seenAt.keys()) if (!open.has(key)) this.#seenAt.delete(key);
  }
}

function claimKey({ dataDir, start, claim }: Claimer): string {
  return `${dataDir}/${start}/${claim}`;
}
