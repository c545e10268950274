import { describe, expect, test } from "vitest";
import type { Noted, TraceStep } from "../../contract/trace_step.ts";
import { stationsReached, stopsOf, tookTo } from "../../web/core/event_path.ts";
import { type Capture, type EventRow, follow, type Told } from "../../web/core/trace.ts";

const at = (ms: number) => new Date(Date.UTC(2026, 0, 1, 12) + ms).toISOString();
const polled = (event: string, more: Partial<Extract<TraceStep, { step: "polled" }>> = {}): TraceStep => ({
  step: "polled",
  id: "e1",
  event,
  distinctId: "u1",
  position: "3:41",
  eventAt: at(0),
  receivedAt: at(9),
  at: at(12),
  ...more,
});
const captured = (event: string): Capture => ({
  step: "captured",
  id: "e1",
  event,
  distinctId: "u1",
  at: at(0),
  properties: {},
});
const written: TraceStep = {
  step: "written",
  id: "e1",
  file: "a/p00003-0000.jsonl",
  line: 17,
  prompt: "",
  at: at(34),
};
const noted = (...what: Noted[]): TraceStep => ({ step: "noted", id: "e1", what, at: at(30) });
const ignored = (reason: "other_event" | "has_letter" | "no_line", fromLog?: true): TraceStep => ({
  step: "ignored",
  id: "e1",
  reason,
  at: at(30),
  ...(fromLog ? { fromLog } : {}),
});
const counted: TraceStep = { step: "counted", id: "e1", uses: 3, threshold: 5, at: at(30) };
const letter: TraceStep = {
  step: "dead_lettered",
  id: "e1",
  position: "3:41",
  reason: "no text",
  at: at(30),
};
const repeat: TraceStep = { step: "duplicate", id: "e1", position: "3:41", at: at(30) };
const durable = (position: string | null): Told => ({
  step: "durable",
  id: "e1",
  event: "generation_failed",
  receivedAt: at(9),
  position,
});
const fromLog = { fromLog: true, at: at(900) } as const;

const rowOf = (...steps: Told[]) => follow(new Map(), steps).get("e1") as EventRow;
/** Awaited stops in brackets, failed ones with a sign. */
const pathOf = (...steps: Told[]) =>
  stopsOf(rowOf(...steps)).map(({ label, state }) =>
    state === "awaited" ? `[${label}]` : state === "failed" ? `!${label}` : label
  ).join(" ");

const dropped: Told = { step: "dropped", id: "e1", event: null, at: at(99), attempts: 3, words: "503" };
const failure = "generation_failed";

describe("the path of every kind of event has the stops that exist for it, and no other as missing", () => {
  test.each<[string, string, Told[]]>([
    ["captured", "captured [webhook] [topic] [dataset]", [captured(failure)]],
    ["in the spool", "captured webhook spool [dataset]", [captured(failure), durable(null)]],
    ["in the topic", "captured webhook p3 @ 41 [dataset]", [captured(failure), durable("3:41")]],
    ["a failure", "captured webhook p3 @ 41 [dataset]", [polled(failure)]],
    ["a line", "captured webhook p3 @ 41 p00003-0000:17", [polled(failure), written]],
    ["a line told first", "captured webhook topic p00003-0000:17", [written]],
    ["a line too far back to be found", "captured webhook p3 @ 41 dataset", [polled(failure, fromLog)]],
    [
      "a line that is gone",
      "captured webhook p3 @ 41 no line any more",
      [polled(failure, fromLog), ignored("no_line", true)],
    ],
    [
      "a failure that is no training event here",
      "captured webhook p3 @ 41 nothing is made of it",
      [polled(failure), ignored("other_event")],
    ],
    ["a dead letter", "captured webhook p3 @ 41 !dead letter", [polled(failure), letter]],
    ["a dead letter that is no event", "received p3 @ 41 !dead letter", [letter]],
    [
      "a repeat of what is no longer in the list",
      "captured webhook p3 @ 41 there already",
      [polled(failure), repeat],
    ],
    ["a use", "captured webhook p3 @ 41 [count]", [polled("feature_used", { eventAt: null })]],
    [
      "a counted use",
      "captured webhook p3 @ 41 counted 3 of 5",
      [polled("feature_used"), counted, noted("address")],
    ],
    [
      "a use beyond the offer's",
      "captured webhook p3 @ 41 counts no further",
      [polled("feature_used"), noted("not_counted")],
    ],
    [
      "a use from before a restart",
      "captured webhook p3 @ 41 use handled before",
      [polled("feature_used", fromLog)],
    ],
    ["$identify, on its way", "captured webhook p3 @ 41", [polled("$identify")]],
    [
      "$identify",
      "captured webhook p3 @ 41 address known, ids joined",
      [polled("$identify"), noted("join", "address")],
    ],
    ["$identify once more", "captured webhook p3 @ 41 nothing new", [polled("$identify"), noted()]],
    ["$set", "captured webhook p3 @ 41 address known", [polled("$set"), noted("address")]],
    [
      "another product event",
      "captured webhook p3 @ 41 nothing is made of it",
      [polled("signed_up"), ignored("other_event")],
    ],
    [
      "an opt-out by the mail's link",
      "received p3 @ 41 opted out",
      [polled("email_unsubscribed", { distinctId: "person-1", eventAt: null }), noted("opt_out")],
    ],
    [
      "an opt-out from PostHog",
      "captured webhook p3 @ 41 opted out",
      [polled("email_unsubscribed"), noted("opt_out")],
    ],
    ["given up by PostHog", "captured !dropped by PostHog", [captured(failure), dropped]],
  ])("%s", (_, path, steps) => expect(pathOf(...steps)).toBe(path));
});

test("a journey passes the strip's stations in their order, each with the time that was measured", () => {
  const steps = [captured(failure), durable("3:41"), polled(failure), written];
  expect(steps.map((_, i) => stationsReached(rowOf(...steps.slice(0, i + 1))))).toEqual([1, 4, 5, 5]);
  const row = rowOf(...steps);
  expect([0, 1, 2, 3, 4].map((station) => tookTo(station, row))).toEqual([
    null,
    null,
    "9 ms",
    "3 ms",
    "22 ms",
  ]);
  expect(stationsReached(rowOf(captured("$identify"), polled("$identify")))).toBe(5);
});

test("after a restart no time of that reading is shown as one of the way", () => {
  const row = rowOf(polled(failure, fromLog), { ...written, at: at(900), fromLog: true });
  expect(stopsOf(row).map((stop) => stop.at)).toEqual([at(0), at(9), null, null]);
});

test("a use that was counted before the dataset's reader had polled it says nothing of clocks", () => {
  const counted: TraceStep = { step: "counted", id: "e1", uses: 1, threshold: 5, at: at(10) };
  const [row] = follow(new Map(), [counted, polled("feature_used")]).values();
  expect(tookTo(4, row as EventRow)).toBe(null);
  const [later] = follow(new Map(), [{ ...counted, at: at(15) }, polled("feature_used")]).values();
  expect(tookTo(4, later as EventRow)).toBe("3 ms");
});
