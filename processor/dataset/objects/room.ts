/** Bytes of lines that the partitions of a writer gather before the fullest becomes objects. */
const GATHERED_BYTES_MAX = 20 * 1024 * 1024;
/** The same with those on their way to the bucket: above it a partition waits until some have arrived. */
const HELD_BYTES_MAX = 32 * 1024 * 1024;
/** Objects on their way to the bucket at once. */
const PUTS_MAX = 16;

/** A partition as the room sees it. */
export type Tenant = {
  /** Bytes that it has gathered and does not put yet. */
  gatheredRoom(): number;
  /** Bytes that are on their way. */
  heldRoom(): number;
  isFlushing(): boolean;
  /** Begins to put everything that it has gathered. */
  beginFlush(): void;
};

/** The memory and the connections that the partitions of one writer share. */
export class Room {
  readonly #tenants = new Set<Tenant>();
  readonly #waiting: (() => void)[] = [];
  readonly #turns: (() => void)[] = [];
  #putting = 0;

  constructor(
    private readonly gatheredBytesMax = GATHERED_BYTES_MAX,
    private readonly heldBytesMax = HELD_BYTES_MAX,
  ) {}

  enter(tenant: Tenant): void {
    this.#tenants.add(tenant);
  }

  leave(tenant: Tenant): void {
    this.#tenants.delete(tenant);
    this.freed();
  }

  /** Makes objects of whole partitions, the fullest first, until what is gathered fits; waits while too much is on its way. */
  async make(): Promise<void> {
    this.#relieve();
    while (this.#held() > this.heldBytesMax && [...this.#tenants].some((one) => one.isFlushing())) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
      this.#relieve();
    }
  }

  /** Something has arrived, or was given up. */
  freed(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** Runs what puts one object, with at most {@link PUTS_MAX} others. */
  async inTurn<T>(put: () => Promise<T>): Promise<T> {
    if (this.#putting >= PUTS_MAX) await new Promise<void>((resolve) => this.#turns.push(resolve));
    else this.#putting++;
    try {
      return await put();
    } finally {
      const next = this.#turns.shift();
      if (next) next();
      else this.#putting--;
    }
  }

  #relieve(): void {
    const fullest = [...this.#tenants].filter((one) => !one.isFlushing())
      .sort((a, b) => b.gatheredRoom() - a.gatheredRoom());
    let gathered = [...this.#tenants].reduce((sum, one) => sum + one.gatheredRoom(), 0);
    for (const one of fullest) {
      if (gathered <= this.gatheredBytesMax) return;
      gathered -= one.gatheredRoom();
      one.beginFlush();
    }
  }

  #held(): number {
    let bytes = 0;
    for (const one of this.#tenants) bytes += one.gatheredRoom() + one.heldRoom();
    return bytes;
  }
}
