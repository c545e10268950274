import { expect, test } from "vitest";
import { Room } from "../runtime/room.ts";
import { manualClock, settle } from "../tests/support/manual_clock.ts";
import { BodyReader } from "./body.ts";
import { DEFAULT_LIMITS } from "./config.ts";

/** A body that a test sends, read by a reader with the default limits on a clock of its own. */
function reading({ declared, bytesMax = 2 ** 20, limits = {} }: {
  declared: number | null;
  bytesMax?: number;
  limits?: Partial<typeof DEFAULT_LIMITS>;
}) {
  const clock = manualClock();
  const all = { ...DEFAULT_LIMITS, ...limits };
  const room = new Room(clock, { ...all, requestsMax: 10, bytesMax: 2 ** 30 });
  const place = room.enter({ from: null, proven: false })!;
  let body!: ReadableStreamDefaultController<Uint8Array>;
  const request = new Request("http://ingest.test/", {
    method: "POST",
    headers: declared === null ? {} : { "content-length": String(declared) },
    body: new ReadableStream({ start: (controller) => void (body = controller) }),
  });
  let outcome: string | null = null;
  new BodyReader(clock, all).read(request, place, { bytesMax })
    .then(({ bytes, refusal }) => outcome = refusal?.code ?? `${bytes!.length} bytes`);
  return {
    clock,
    room,
    send: async (bytes: number) => {
      body.enqueue(new Uint8Array(bytes));
      await settle();
    },
    end: async () => {
      body.close();
      await settle();
    },
    outcome: () => outcome,
  };
}

const { bodyPaceMs, bodyPaceBytes, bodyReadMsMax } = DEFAULT_LIMITS;

test.each([["pieces", null], ["pieces", 200_000], ["one go", 1_000]])(
  "a body that brings nothing is given up after one pace, read in %s (declared: %s)",
  async (_, declared) => {
    const body = reading({ declared });
    await body.clock.advance(bodyPaceMs - 1);
    expect(body.outcome()).toBeNull();
    await body.clock.advance(1);
    expect(body.outcome()).toBe("body_too_slow");
    expect(body.clock.pending).toBe(0);
  },
);

test("a body that keeps the pace is read until its whole time is over", async () => {
  const keeps = reading({ declared: null });
  for (let ms = bodyPaceMs; ms < bodyReadMsMax; ms += bodyPaceMs) {
    await keeps.send(bodyPaceBytes);
    await keeps.clock.advance(bodyPaceMs);
    expect(keeps.outcome()).toBeNull();
  }
  await keeps.send(10);
  await keeps.end();
  expect(keeps.outcome()).toBe(`${bodyPaceBytes * (bodyReadMsMax / bodyPaceMs - 1) + 10} bytes`);

  const never = reading({ declared: null });
  await never.send(bodyPaceBytes * 10);
  await never.clock.advance(bodyReadMsMax);
  expect(never.outcome()).toBe("body_too_slow");
});

test("one byte a second is not the pace", async () => {
  const body = reading({ declared: 60_000, limits: { bodiesUncountedBytesMax: 0 } });
  for (let ms = 0; ms < bodyPaceMs; ms += 1_000) {
    await body.send(1);
    await body.clock.advance(1_000);
  }
  expect(body.outcome()).toBe("body_too_slow");
});

test("what was announced takes no room, what came does", async () => {
  const body = reading({ declared: 60_000, limits: { bodiesUncountedBytesMax: 59_999 } });
  await settle();
  expect(body.room.bytes).toBe(0);
  await body.send(59_000);
  expect(body.room.bytes).toBe(59_000);
  await body.send(1_000);
  await body.end();
  expect([body.outcome(), body.room.bytes]).toEqual(["60000 bytes", 60_000]);
});

test("a body whose place is lost to another request ends at once", async () => {
  for (const declared of [1_000, 200_000]) {
    const body = reading({ declared, limits: { unprovenRequestsMax: 1, stalledMs: 0 } });
    expect(body.room.enter({ from: null, proven: false })).not.toBeNull();
    await settle();
    expect([body.outcome(), body.room.requests]).toEqual(["too_busy", 1]);
  }
});
