// The unit tests of web/ lie here, not beside their files: web/ is its own root, where vitest is not known.
import { describe, expect, test } from "vitest";
import type { TraceStep } from "../../contract/trace_step.ts";
import {
  announcement,
  asCurl,
  backfillCommand,
  type Capture,
  type EventRow,
  follow,
  ROWS_MAX,
  type Told,
  toldByIngest,
} from "../../web/core/trace.ts";

const at = (second: number) => new Date(Date.UTC(2026, 0, 1, 12, 0, second)).toISOString();

const captured: Capture = {
  step: "captured",
  id: "e1",
  event: "generation_failed",
  distinctId: "u1",
  at: at(0),
  properties: { input_prompt: "it's me", failure_reason: "timeout" },
};
const polled: TraceStep = {
  step: "polled",
  id: "e1",
  event: "generation_failed",
  distinctId: "u1",
  position: "3:41",
  eventAt: at(0),
  receivedAt: at(1),
  at: at(2),
};
const written: TraceStep = {
  step: "written",
  id: "e1",
  file: "f.jsonl",
  line: 17,
  prompt: "it's <PERSON>",
  at: at(3),
};
const earned: TraceStep = {
  step: "earned",
  id: "e1",
  offer: "3:41",
  distinctId: null,
  dueAt: at(59),
  addressKnown: true,
  at: at(3),
};
const sent: TraceStep = {
  step: "mail",
  offer: "3:41",
  distinctId: null,
  outcome: "accepted",
  words: "written",
  messageId: "m1",
  nextAttemptAt: null,
  at: at(60),
};

const rowOf = (steps: Told[]) => [...follow(new Map(), steps).values()][0] as EventRow;

describe("follow()", () => {
  test("grows one row from the steps of one event", () => {
    const rows = follow(new Map(), [captured, polled, written]);
    expect([...rows.keys()]).toEqual(["e1"]);
    expect(rowOf([captured, polled, written])).toMatchObject({
      own: true,
      capturedAt: at(0),
      receivedAt: at(1),
      position: "3:41",
      polledAt: at(2),
      ending: { kind: "written", file: "f.jsonl", line: 17 },
      before: "it's me",
      after: "it's <PERSON>",
    });
  });

  test("gives the same row in whatever order the steps come, and how often", () => {
    const once = rowOf([captured, polled, written]);
    expect(rowOf([written, polled, captured])).toEqual(once);
    expect(rowOf([captured, polled, written, polled, written, captured])).toEqual(once);
  });

  test("keeps the first place of an event that is delivered again, and notes the repeat once", () => {
    const again: TraceStep = { ...polled, position: "3:57", at: at(9) };
    const dropped: TraceStep = { step: "duplicate", id: "e1", position: "3:57", at: at(9) };
    const row = rowOf([polled, written, again, dropped, dropped]);
    expect(row).toMatchObject({ position: "3:41", polledAt: at(2), repeats: ["3:57"] });
    expect(row.ending?.kind).toBe("written");
  });

  test("an event that was told before the history it is newer than stands on top of it, and a click stays the newest", () => {
    const recalled: Told = {
      step: "durable",
      id: "mine",
      event: "feature_used",
      receivedAt: at(20),
      position: "3:50",
    };
    const old = [0, 5].map((second): TraceStep => (
      { ...polled, id: `old ${second}`, receivedAt: at(second), at: at(30), fromLog: true }
    ));
    const rows = follow(follow(new Map(), [recalled]), old);
    expect([...rows.keys()]).toEqual(["old 0", "old 5", "mine"]);
    // Whatever this browser's clock says.
    const clicked = follow(rows, [{ ...captured, at: at(1) }]);
    expect([...clicked.keys()].at(-1)).toBe("e1");
    expect([...follow(clicked, [{ ...polled, at: at(31) }]).keys()].at(-1)).toBe("e1");
    const redriven: TraceStep = { ...polled, id: "redriven", receivedAt: at(-60), at: at(32) };
    expect([...follow(rows, [redriven]).keys()].at(-1)).toBe("redriven");
  });

  test("knows whose offer it is from the use that earned it", () => {
    const rows = follow(new Map(), [polled, earned, sent]);
    expect(rows.get("offer 3:41")).toMatchObject({ distinctId: "u1", last: { outcome: "accepted" } });
    expect(rows.get("mail m1")).toMatchObject({ distinctId: "u1", offer: "3:41" });
  });

  test("a mail that arrives is a row of its own on top, once however often it is told, and no attempt that failed is one", () => {
    const deferred: TraceStep = { ...sent, outcome: "deferred", words: "451 later", at: at(59) };
    const rows = follow(new Map(), [
      polled,
      earned,
      deferred,
      { ...polled, id: "e2", at: at(59) },
      sent,
      sent,
    ]);
    expect([...rows.keys()]).toEqual(["e1", "offer 3:41", "e2", "mail m1"]);
    const again = follow(rows, [{ ...sent, messageId: "m2", at: at(90) }]);
    expect([...again.keys()].at(-1)).toBe("mail m2");
    expect(announcement(again.get("mail m2")!)).toBe("Discount mail sent.");
  });

  test("an offer and a mail that are read from the log are rows at their own times, and marked so", () => {
    const read = { fromLog: true, distinctId: "u1" } as const;
    const use: TraceStep = { ...polled, at: at(90), fromLog: true };
    const later: TraceStep = { ...use, id: "e2", position: "3:42", receivedAt: at(70) };
    const rows = follow(new Map(), [use, { ...earned, ...read, at: at(1) }, { ...sent, ...read }, later]);
    expect([...rows.keys()]).toEqual(["e1", "offer 3:41", "mail m1", "e2"]);
    expect(rows.get("offer 3:41")).toMatchObject({ earnedAt: at(1), fromLog: true });
    expect(rows.get("mail m1")).toMatchObject({ at: at(60), fromLog: true, distinctId: "u1" });
  });

  test("an offer and a mail that were seen live stay as they were when they are read from the log", () => {
    const seen = follow(new Map(), [polled, { ...earned, distinctId: "u1" }, { ...sent, at: at(61) }]);
    const deferred: TraceStep = { ...sent, outcome: "deferred", words: "451", at: at(59), fromLog: true };
    const again = [{ ...earned, at: at(1), fromLog: true }, deferred, {
      ...sent,
      fromLog: true,
    }] as TraceStep[];
    const rows = follow(seen, again);
    expect([...rows]).toEqual([...seen]);
    expect(rows.get("offer 3:41")).toMatchObject({ fromLog: false, last: { outcome: "accepted" } });
  });

  test("keeps the time of an end when a processor that has started since tells it once more", () => {
    const live = rowOf([captured, polled, written]);
    const again = { ...polled, at: at(50), fromLog: true } as TraceStep;
    const end = { ...written, at: at(50), fromLog: true } as TraceStep;
    expect(rowOf([captured, polled, written, again, end])).toEqual(live);
    expect(rowOf([again, end])).toMatchObject({ fromLog: true, ending: { at: at(50) } });
  });

  test("what the offers noted of an event adds up", () => {
    const noted = (what: ("address" | "join")[]): TraceStep => ({ step: "noted", id: "e1", what, at: at(3) });
    expect(rowOf([noted(["join"]), noted([]), noted(["address", "join"])]).noted?.what).toEqual([
      "address",
      "join",
    ]);
  });

  test("leaves untouched rows the same objects, so that nothing is drawn again for them", () => {
    const before = follow(new Map(), [polled]);
    const after = follow(before, [{ ...polled, id: "e2" }]);
    expect(after.get("e1")).toBe(before.get("e1"));
  });

  test("drops the oldest rows beyond its bound", () => {
    const steps = Array.from({ length: ROWS_MAX + 5 }, (_, i) => ({ ...polled, id: `e${i}` }));
    const rows = follow(new Map(), steps);
    expect(rows.size).toBe(ROWS_MAX);
    expect([rows.has("e4"), rows.has("e5")]).toEqual([false, true]);
  });
});

describe("what ingest says", () => {
  const spooled: Told = {
    step: "durable",
    id: "e1",
    event: "generation_failed",
    receivedAt: at(1),
    position: null,
  };
  const durable: Told = { ...spooled, position: "3:41" };

  test("fills the steps as far as they are true, before the processor has read anything", () => {
    expect(rowOf([captured, durable])).toMatchObject({
      own: true,
      receivedAt: at(1),
      durable: "log",
      position: "3:41",
      polledAt: null,
      ending: null,
    });
    expect(rowOf([captured, spooled])).toMatchObject({ receivedAt: at(1), durable: "spool", position: null });
  });

  test("follows an event from the spool into the log, and never back", () => {
    expect(rowOf([captured, spooled, durable])).toEqual(rowOf([captured, durable]));
    expect(rowOf([captured, durable, spooled])).toEqual(rowOf([captured, durable]));
  });

  test("gives way to the processor, in whatever order both come", () => {
    const read = rowOf([captured, polled, written]);
    expect(rowOf([captured, durable, polled, written])).toEqual(read);
    expect(rowOf([captured, polled, durable, written])).toEqual(read);
    expect(rowOf([durable, written, polled, captured, durable])).toEqual(read);
  });

  test("of two deliveries the first is the event's place", () => {
    const later: Told = { ...durable, receivedAt: at(9), position: "3:57" };
    expect(rowOf([later, durable])).toMatchObject({ position: "3:41" });
    expect(rowOf([durable, later])).toMatchObject({ position: "3:41" });
  });

  test("an event that PostHog gave up is dropped until a delivery of it is durable", () => {
    const dropped: Told = {
      step: "dropped",
      id: "e1",
      event: null,
      at: at(5),
      attempts: 3,
      words: "answered 503",
    };
    expect(rowOf([captured, dropped]).dropped).toEqual({ at: at(5), attempts: 3, words: "answered 503" });
    expect(rowOf([captured, dropped, durable]).dropped).toBeNull();
    expect(rowOf([captured, durable, dropped]).dropped).toBeNull();
    expect(rowOf([captured, polled, dropped]).dropped).toBeNull();
    expect(backfillCommand(at(5))).toBe(
      "deno task backfill --from 2026-01-01T11:59:00Z --until 2026-01-01T12:02:00Z",
    );
  });

  test("makes rows of what nobody here knows only where the processor is away, and none of what is not told", () => {
    const webhook = (id: string, event: string, offset: number) =>
      ({ id, event, receivedAt: at(offset), durable: "log", partition: 3, offset }) as const;
    const answer = {
      recent: [
        webhook("e4", "$pageview", 4),
        webhook("e3", "$identify", 3),
        webhook("e2", "feature_used", 2),
        webhook("e1", "x", 1),
      ],
      dropped: [],
    };
    const known = follow(new Map(), [captured]);
    const ids = (all: boolean) =>
      toldByIngest(answer, { known, all }).map((step) => "id" in step ? step.id : "");
    expect(ids(false)).toEqual(["e1"]);
    expect(ids(true)).toEqual(["e1", "e2", "e3"]);
  });
});

test("a row is announced once it has ended, and not before", () => {
  expect(announcement(rowOf([captured, polled]))).toBeNull();
  expect(announcement(rowOf([captured, polled, written]))).toBe(
    "generation_failed written to line 17 of f.jsonl.",
  );
});

describe("asCurl()", () => {
  test("posts the same event with its own id, quoted for a shell", () => {
    const command = asCurl(rowOf([captured, polled, written]), {
      url: "http://127.0.0.1:3000",
      withSecret: false,
    });
    const body = /-d '(.*)'$/s.exec(command)![1]!.replaceAll(`'\\''`, "'");
    expect(JSON.parse(body)).toEqual({
      event: {
        uuid: "e1",
        event: "generation_failed",
        distinct_id: "u1",
        timestamp: at(0),
        properties: { input_prompt: "it's me", failure_reason: "timeout" },
      },
    });
    expect(command).toContain("'http://127.0.0.1:3000/api/webhooks'");
    expect(command).not.toContain("Authorization");
  });

  test("names the secret's variable, never a secret, where ingest asks for one", () => {
    const command = asCurl(rowOf([captured]), { url: "http://127.0.0.1:3000", withSecret: true });
    expect(command).toContain('-H "Authorization: Bearer $WEBHOOK_SECRET"');
  });
});
