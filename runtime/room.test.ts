import { describe, expect, test } from "vitest";
import { manualClock } from "../tests/support/manual_clock.ts";
import { clientOf, type Guest, type Place, Room, type RoomBounds } from "./room.ts";

const BOUNDS: RoomBounds = {
  requestsMax: 10,
  bytesMax: 1_000,
  unprovenRequestsMax: 8,
  unprovenBytesMax: 800,
  stalledMs: 500,
  progressBytes: 100,
};

/** A room of which is noted who had to give way. */
function observed(bounds: Partial<RoomBounds> = {}) {
  const clock = manualClock();
  const room = new Room(clock, { ...BOUNDS, ...bounds });
  const gone: string[] = [];
  const enter = (name: string, guest: Partial<Guest> = {}): Place => {
    const place = room.enter({ from: "203.0.113.1", proven: false, ...guest });
    if (place === null) throw new Error(`${name} found no place`);
    place.onEvicted = () => gone.push(name);
    return place;
  };
  const full = (guest: Partial<Guest> = {}) =>
    room.enter({ from: "203.0.113.1", proven: false, ...guest }) === null;
  return { clock, room, gone, enter, full };
}

describe("room in number", () => {
  test("is full for what has proved nothing before it is full for what has", () => {
    const { room, enter, full } = observed();
    for (let i = 0; i < 8; i++) enter(`idle ${i}`);
    expect(full()).toBe(true);
    enter("proven", { proven: true });
    enter("proven too", { proven: true });
    expect([room.requests, room.unprovenRequests]).toEqual([10, 8]);
  });

  test("a newcomer takes the place of what has stalled, the longest first, and never of a proven one", async () => {
    const { clock, gone, enter, full } = observed({ unprovenRequestsMax: 2 });
    enter("first");
    enter("second");
    await clock.advance(499);
    expect(full()).toBe(true);
    await clock.advance(1);
    enter("third").prove();
    enter("fourth");
    await clock.advance(10_000);
    enter("fifth");
    enter("sixth");
    expect(gone).toEqual(["first", "second", "fourth"]);
  });

  test("of several clients the greediest gives way, also where nothing has stalled", () => {
    const { gone, enter, full } = observed({ unprovenRequestsMax: 4 });
    for (let i = 0; i < 4; i++) enter(`greedy ${i}`, { from: "198.51.100.9" });
    enter("a");
    enter("b");
    expect(gone).toEqual(["greedy 0", "greedy 1"]);
    // Now they hold as much as each other.
    expect([full(), full({ from: "198.51.100.9" })]).toEqual([true, true]);
  });

  test("a proven newcomer is let in before any that has proved nothing", () => {
    const { gone, enter, full } = observed({ requestsMax: 2 });
    enter("a");
    enter("b");
    enter("proven", { proven: true });
    enter("proven too", { proven: true });
    expect(gone).toEqual(["a", "b"]);
    expect(full({ proven: true })).toBe(true);
  });
});

describe("room in bytes", () => {
  test("is taken by what has come, and given back whole", () => {
    const { room, enter } = observed();
    const idle = Array.from({ length: 7 }, (_, i) => enter(`idle ${i}`));
    const place = enter("sends");
    expect(place.take(800)).toBe(true);
    expect([room.bytes, room.unprovenBytes]).toEqual([800, 800]);
    expect(place.prove()).toBe(true);
    expect([room.bytes, room.unprovenBytes]).toEqual([800, 0]);
    for (const one of [...idle, place, place]) one.leave();
    expect([room.requests, room.bytes, room.unprovenRequests, room.unprovenBytes]).toEqual([0, 0, 0, 0]);
  });

  test("a dribble is no progress: who dribbles gives way to who sends", async () => {
    const { clock, gone, enter } = observed({ unprovenBytesMax: 500 });
    const sends = enter("sends");
    const dribbles = enter("dribbles");
    dribbles.take(99);
    for (let i = 0; i < 6; i++) {
      await clock.advance(100);
      if (i < 3) sends.take(100);
      dribbles.take(i === 5 ? 0 : 1);
      if (i === 3) await clock.advance(100);
    }
    // The last hundred do not fit beside the dribble any more.
    expect(sends.take(100)).toBe(true);
    await clock.advance(10);
    expect(sends.take(50)).toBe(true);
    expect(gone).toEqual(["dribbles"]);
  });

  test("one that finds no room has lost its place, and its bytes count no more", () => {
    const { room, gone, enter } = observed();
    enter("first").take(700);
    const second = enter("second");
    expect(second.take(200)).toBe(false);
    expect(second.prove()).toBe(false);
    expect(second.take(1)).toBe(false);
    expect([gone, room.requests, room.bytes, room.evicted]).toEqual([["second"], 1, 700, 1]);
  });
});

test("clients that hold nothing any more are forgotten", () => {
  const { room, enter } = observed();
  for (let i = 0; i < 1_000; i++) enter(`client ${i}`, { from: `client ${i}` }).leave();
  expect(room.crowds.size).toBeLessThan(100);
});

test("closing lets nobody in and waits for the last answer", async () => {
  const { room, enter, full } = observed();
  const place = enter("last");
  let closed = false;
  const closing = room.close().then(() => closed = true);
  expect(full()).toBe(true);
  await Promise.resolve();
  expect(closed).toBe(false);
  place.leave();
  await closing;
});

test.each([
  ["192.0.2.7", "192.0.2.7"],
  ["::ffff:192.0.2.7", "192.0.2.7"],
  ["2001:db8:0:12:aaaa:bbbb:cccc:dddd", "2001:db8:0:12"],
  ["2001:0db8:0:12::1", "2001:db8:0:12"],
  ["2001:db8::1", "2001:db8:0:0"],
  ["::1", "0:0:0:0"],
  ["fe80::1%eth0", "fe80:0:0:0"],
  [null, ""],
])("%s shares as %s: an IPv6 network is one client", (address, client) => {
  expect(clientOf(address)).toBe(client);
});
