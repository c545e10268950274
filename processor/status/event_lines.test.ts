import { expect, test } from "vitest";
import type { TraceStep } from "../../contract/trace_step.ts";
import { manualClock, settle } from "../../tests/support/manual_clock.ts";
import { createEventLines } from "./event_lines.ts";

const AT = "2026-01-01T00:00:00.000Z";
const polled = (id: string, event: string): TraceStep => ({
  step: "polled",
  id,
  event,
  distinctId: "user-7",
  position: "3:42",
  eventAt: AT,
  receivedAt: AT,
  at: AT,
  rawPrompt: "call +44 7911 123456",
});

test("each event is one line, told at its end, without a word of what the user wrote", async () => {
  const clock = manualClock();
  const said: string[] = [];
  const lines = createEventLines({
    clock,
    say: (level, words, about) => void said.push(`${level} ${words} [${about?.outcome}]`),
  });
  const later = "2026-01-01T00:00:00.038Z";
  lines.tell([
    polled("a", "generation_failed"),
    { step: "written", id: "a", file: "event=x/p.jsonl", line: 12, prompt: "call <PHONE_NUMBER>", at: later },
    polled("b", "generation_failed"),
    { step: "duplicate", id: "b", position: "3:43", at: AT },
    polled("c", "generation_failed"),
    { step: "dead_lettered", id: "c", position: "3:44", reason: "no prompt", at: AT },
    polled("d", "feature_used"),
    { step: "counted", id: "d", uses: 3, threshold: 5, at: AT },
    polled("e", "feature_used"),
    { step: "counted", id: "f", uses: 4, threshold: 5, at: AT },
    { step: "counted", id: "g", uses: 5, threshold: 5, at: AT },
    polled("g", "feature_used"),
    polled("h", "$identify"),
    { step: "noted", id: "h", what: ["join", "address"], at: AT },
    polled("i", "signed_up"),
    { step: "ignored", id: "i", reason: "other_event", at: AT },
  ]);
  await clock.advance(1_000);
  await settle();
  expect(said).toEqual([
    "debug generation_failed of user-7: line 12 of event=x/p.jsonl, 38 ms after it came [line]",
    "debug generation_failed of user-7: has come before, dropped [duplicate]",
    "debug feature_used of user-7: use 3 of 5 [counted]",
    "debug feature_used of user-7: use 5 of 5 [counted]",
    "debug $identify of user-7: a join with another id noted, address known [noted]",
    "debug signed_up of user-7: nothing is made of it [ignored]",
    "debug feature_used of user-7: counts no further [ignored]",
    "debug event f: use 4 of 5 [counted]",
  ]);
  expect(said.join()).not.toMatch(/7911|PHONE/);
});
