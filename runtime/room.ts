import type { Clock } from "./clock.ts";

/** What requests may hold between their first byte and their answer, in number and in bytes that have come. */
export type RoomBounds = {
  readonly requestsMax: number;
  readonly bytesMax: number;
  /** The part of it that requests which have proved nothing may hold together; the rest is kept for those that have. */
  readonly unprovenRequestsMax: number;
  readonly unprovenBytesMax: number;
  /** Milliseconds without progress after which a request that has proved nothing may lose its place to another. */
  readonly stalledMs: number;
  /** Bytes that must have come to count as progress: one byte a second is none. */
  readonly progressBytes: number;
};

/** Who comes in. */
export type Guest = {
  /** The peer's address; null where it is unknown. */
  readonly from: string | null;
  /** Whether it has shown already that it may be here. */
  readonly proven: boolean;
};

/** The unproven requests of one client, those longest without progress first. */
type Crowd = { readonly places: Set<Place>; bytes: number };

/** Clients that hold nothing are forgotten beyond so many: most come again at once. */
const CLIENTS_REMEMBERED = 64;

type Measure = (crowd: Crowd) => number;

const places: Measure = (crowd) => crowd.places.size;
const bytes: Measure = (crowd) => crowd.bytes;

/**
 * Room for requests. It is taken by what has come, never by what was announced, and where it is short the newcomer is
 * not the one that pays: of the requests that have proved nothing, the client that holds the most loses the one that
 * made no progress for the longest. Where all come from one address, as behind a proxy, only what has stalled gives way.
 */
export class Room {
  requests = 0;
  bytes = 0;
  unprovenRequests = 0;
  unprovenBytes = 0;
  /** Requests that lost their place to others. */
  evicted = 0;

  readonly crowds = new Map<string, Crowd>();
  #closed = false;
  #emptied: () => void = () => {};

  constructor(readonly clock: Clock, readonly bounds: RoomBounds) {}

  /** A place for one request; null where there is none, or the service stops. */
  enter({ from, proven }: Guest): Place | null {
    if (this.#closed) return null;
    const place = new Place(this, proven ? null : clientOf(from));
    return this.makeRoomFor(place) ? place : null;
  }

  /** True where everything fits, after others have given way if need be; else it is `place` that has lost its own. */
  makeRoomFor(place: Place): boolean {
    const { requestsMax, bytesMax, unprovenRequestsMax, unprovenBytesMax } = this.bounds;
    for (;;) {
      const crowded = this.requests > requestsMax || this.unprovenRequests > unprovenRequestsMax;
      if (!crowded && this.bytes <= bytesMax && this.unprovenBytes <= unprovenBytesMax) return true;
      const victim = this.#victim(place, crowded ? places : bytes);
      victim.evict();
      if (victim === place) return false;
    }
  }

  #victim(newcomer: Place, measure: Measure): Place {
    let greediest: Crowd | null = null;
    for (const crowd of this.crowds.values()) {
      if (greediest === null || measure(crowd) > measure(greediest)) greediest = crowd;
    }
    if (greediest === null || measure(greediest) === 0) return newcomer;
    const [first] = greediest.places;
    const own = newcomer.client === null ? null : this.crowds.get(newcomer.client)!;
    // Among equals only what has stalled gives way: else newcomers would push out each other, and none be answered.
    const givesWay = own === null || measure(greediest) > measure(own) ||
      this.clock.monotonic() - first!.progressAt >= this.bounds.stalledMs;
    return givesWay ? first! : newcomer;
  }

  left(): void {
    if (this.requests === 0) this.#emptied();
  }

  /** Lets nobody in any more and resolves when everything is answered. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.requests > 0) await new Promise<void>((resolve) => this.#emptied = resolve);
  }
}

/** What one request holds. */
export class Place {
  /** Called once, when it is lost to another request. */
  onEvicted: (() => void) | null = null;
  progressAt: number;

  #bytes = 0;
  #bytesAtProgress = 0;
  #held = true;

  /** @param client Null for one that has proved itself. */
  constructor(private readonly room: Room, public client: string | null) {
    this.progressAt = room.clock.monotonic();
    room.requests++;
    if (client === null) return;
    room.unprovenRequests++;
    const crowd = room.crowds.get(client);
    if (crowd) crowd.places.add(this);
    else room.crowds.set(client, { places: new Set([this]), bytes: 0 });
  }

  /** Takes room for `bytes` that have come; false where there is none, and then it has lost its place too. */
  take(bytes: number): boolean {
    if (!this.#held) return false;
    this.#bytes += bytes;
    this.room.bytes += bytes;
    if (this.client !== null) {
      this.room.unprovenBytes += bytes;
      const crowd = this.room.crowds.get(this.client)!;
      crowd.bytes += bytes;
      if (this.#bytes - this.#bytesAtProgress >= this.room.bounds.progressBytes) {
        this.#bytesAtProgress = this.#bytes;
        this.progressAt = this.room.clock.monotonic();
        crowd.places.delete(this);
        crowd.places.add(this);
      }
    }
    return this.room.makeRoomFor(this);
  }

  /** It may be here: nobody takes its place any more. False where somebody just has. */
  prove(): boolean {
    if (this.#held) this.#leaveCrowd();
    return this.#held;
  }

  /** Gives everything back; may be called again. */
  leave(): void {
    if (!this.#held) return;
    this.#leaveCrowd();
    this.#held = false;
    this.room.requests--;
    this.room.bytes -= this.#bytes;
    this.room.left();
  }

  evict(): void {
    this.room.evicted++;
    this.leave();
    this.onEvicted?.();
  }

  #leaveCrowd(): void {
    if (this.client === null) return;
    const crowd = this.room.crowds.get(this.client)!;
    crowd.places.delete(this);
    crowd.bytes -= this.#bytes;
    if (crowd.places.size === 0 && this.room.crowds.size > CLIENTS_REMEMBERED) {
      this.room.crowds.delete(this.client);
    }
    this.client = null;
    this.room.unprovenRequests--;
    this.room.unprovenBytes -= this.#bytes;
  }
}

/** One client's name for its share: an IPv4 address, or the 64 bits of an IPv6 network, which one client has whole. */
export function clientOf(address: string | null): string {
  if (address === null || !address.includes(":")) return address ?? "";
  // An IPv4 address in IPv6's clothes.
  if (address.includes(".")) return address.slice(address.lastIndexOf(":") + 1);
  const [head = "", tail] = address.split("%", 1)[0]!.split("::");
  const groups = (text: string) => text === "" ? [] : text.split(":");
  const zeros = tail === undefined ? 0 : 8 - groups(head).length - groups(tail).length;
  const all = [...groups(head), ...Array<string>(zeros).fill("0"), ...groups(tail ?? "")];
  return all.slice(0, 4).map((group) => group.replace(/^0+(?=.)/, "")).join(":");
}
