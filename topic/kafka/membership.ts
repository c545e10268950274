import type { Membership, MembershipEvents } from "./consumption.ts";
import { kindOf, typeOf } from "./errors.ts";
import { type MemberSlot, takeMemberSlot } from "./member_slot.ts";

/** The client's consumer, as far as it is a member of a group; it reads nothing. */
export type GroupClient = {
  connect(): Promise<void>;
  /** Resolves when the first join has ended, well or not; a failure is told by `crashed`. */
  run(): Promise<void>;
  commit(offsets: ReadonlyMap<number, number>): Promise<void>;
  disconnect(): Promise<void>;
};
export type GroupClientEvents = {
  joined(member: { readonly memberId: string; readonly partitions: readonly number[] }): void;
  heartbeat(): void;
  /** It has given up and is disconnected. */
  crashed(error: unknown): void;
};

export type KafkaMembershipOptions = {
  readonly group: string;
  readonly dataDir: string;
  readonly sessionTimeoutMs: number;
  readonly createClient: (events: GroupClientEvents) => GroupClient;
  /** Takes a member out of the group by its id; rejects where no broker answers, or none is ready. */
  readonly leaveInNameOf: (memberId: string) => Promise<void>;
  /** What an operator is told of an error of the client. */
  readonly messageOf: (error: unknown) => string;
};

const JOIN_AGAIN_MS = 1_000;
const WATCH_EVERY_MS = 500;
/** A heartbeat after a silence may have been sent before it; the one after that was not. */
const HEARTBEATS_THAT_PROVE = 2;

/** Stays a member of a group over crashes of the client, outages and pauses of this process. */
export class KafkaMembership implements Membership {
  #client: GroupClient | null = null;
  #running: Promise<void> = Promise.resolve();
  #slot: MemberSlot | null = null;
  #isIn = false;
  #assigned: readonly number[] = [];
  #heardAt = 0;
  /** Heartbeats since the session may have ended; null while it is alive. */
  #sinceLost: number | null = null;
  #watch: ReturnType<typeof setInterval> | undefined;
  #again: ReturnType<typeof setTimeout> | undefined;
  #left = false;

  constructor(private readonly options: KafkaMembershipOptions) {}

  /** Rejects where no broker answers now; may be called again. */
  async join(callbacks: MembershipEvents): Promise<void> {
    if (this.#left) return;
    this.#slot ??= takeMemberSlot(this.options.dataDir, this.options.group);
    await this.#leaveInFormerName();
    if (this.#left) return;
    const client = this.#createClient(callbacks);
    this.#client = client;
    try {
      await client.connect();
      if (this.#left) return await client.disconnect();
    } catch (error) {
      await client.disconnect().catch(() => {});
      throw error;
    }
    this.#noteAnswer();
    this.#watchHeartbeats(callbacks);
    this.#running = client.run();
    await this.#running;
  }

  async commit(offsets: ReadonlyMap<number, number>): Promise<void> {
    // The client itself would drop them without a word.
    if (!this.#isIn || this.#sinceLost !== null) throw new Error("this member is out of its group now");
    await this.#client!.commit(offsets);
  }

  async leave(): Promise<void> {
    this.#left = true;
    clearInterval(this.#watch);
    clearTimeout(this.#again);
    // Told to disconnect while it joins, the client would join all the same, and stay a member that nobody can stop.
    await this.#running.catch(() => {});
    await this.#client?.disconnect().catch(() => {});
    if (this.#isIn) this.#slot?.forget();
    this.#slot?.release();
    this.#slot = null;
  }

  #createClient(callbacks: MembershipEvents): GroupClient {
    // What a client tells after it was replaced is no longer so.
    const current = (then: () => void) => {
      if (this.#client === client && !this.#left) then();
    };
    const client = this.options.createClient({
      joined: ({ memberId, partitions }) => {
        // Also while this member leaves: the offsets that it may still commit are those of its partitions.
        if (this.#client !== client) return;
        this.#isIn = true;
        this.#assigned = partitions;
        this.#sinceLost = null;
        this.#noteAnswer();
        this.#slot?.remember(memberId);
        callbacks.owns(partitions);
      },
      heartbeat: () => current(() => this.#heartbeat(callbacks)),
      crashed: (error) => current(() => this.#crashed(error, callbacks)),
    });
    return client;
  }

  #noteAnswer(): void {
    this.#heardAt = performance.now();
  }

  /** The session may have held after all: then no rebalance comes, and the partitions are still this member's. */
  #heartbeat(callbacks: MembershipEvents): void {
    this.#noteAnswer();
    if (this.#sinceLost === null || ++this.#sinceLost < HEARTBEATS_THAT_PROVE) return;
    this.#sinceLost = null;
    callbacks.owns(this.#assigned);
  }

  #crashed(error: unknown, callbacks: MembershipEvents): void {
    this.#isIn = false;
    callbacks.away(this.options.messageOf(error));
    clearTimeout(this.#again);
    this.#again = setTimeout(() => void this.#joinAgain(callbacks), JOIN_AGAIN_MS);
  }

  async #joinAgain(callbacks: MembershipEvents): Promise<void> {
    await this.join(callbacks).catch((error) => {
      if (!this.#left) this.#crashed(error, callbacks);
    });
  }

  /** A process that stood still sees that by its own late look, whatever lay in the socket meanwhile. */
  #watchHeartbeats(callbacks: MembershipEvents): void {
    const { sessionTimeoutMs } = this.options;
    let lookedAt = performance.now();
    clearInterval(this.#watch);
    this.#watch = setInterval(() => {
      const now = performance.now();
      const silentMs = Math.max(now - this.#heardAt, now - lookedAt);
      lookedAt = now;
      if (silentMs <= sessionTimeoutMs) return;
      const wasLost = this.#sinceLost !== null;
      this.#sinceLost = 0;
      if (wasLost) return;
      const seconds = Math.round(silentMs / 1_000);
      callbacks.lost(
        `no heartbeat went through for ${seconds} s: other members may own its partitions by now`,
      );
    }, WATCH_EVERY_MS);
  }

  /** The broker keeps a killed member until its session ends, and nobody gets its partitions: it is taken out by name. */
  async #leaveInFormerName(): Promise<void> {
    const memberId = this.#slot?.former();
    if (!memberId) return;
    try {
      await this.options.leaveInNameOf(memberId);
    } catch (error) {
      if (typeOf(error) === null || kindOf(error) === "not_ready") throw error;
      // Not known any more, or not allowed: joining waits for the session's end at worst.
    }
    this.#slot?.forget();
  }
}
