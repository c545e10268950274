import { describe, expect, test } from "vitest";
import type { TraceStep } from "../../contract/trace_step.ts";
import { EVERYTHING, heldRows, isMine, isWanted, newSince, type Wanted } from "../../web/core/explore.ts";
import { follow, type Told, type TraceRow } from "../../web/core/trace.ts";

const AT = "2026-01-01T12:00:00.000Z";
const polled = (id: string, part: Partial<Extract<TraceStep, { step: "polled" }>> = {}): TraceStep => ({
  step: "polled",
  id,
  event: "generation_failed",
  distinctId: "u1",
  position: "3:41",
  eventAt: AT,
  receivedAt: AT,
  at: AT,
  rawPrompt: "call Ada",
  ...part,
});
const written = (id: string, prompt: string): TraceStep => ({
  step: "written",
  id,
  file: "f.jsonl",
  line: 1,
  prompt,
  at: AT,
});
const rowsOf = (...steps: Told[]) => [...follow(new Map(), steps).values()].reverse();
const keys = (rows: readonly TraceRow[]) => rows.map(({ key }) => key);

describe("the search", () => {
  const rows = rowsOf(
    polled("e1"),
    written("e1", "call <PERSON>"),
    polled("e2", { event: "feature_used", distinctId: "u2", position: "5:7" }),
    { step: "duplicate", id: "e2", position: "5:9", at: AT },
    polled("e3", { position: "1:2" }),
    { step: "dead_lettered", id: "e3", position: "1:2", reason: "prompt_missing", at: AT },
  );
  const found = (wanted: Partial<Wanted>, me: string[] = []) =>
    keys(rows.filter((row) => isWanted(row, { ...EVERYTHING, ...wanted }, new Set(me))));

  test("finds ids, the event's name, positions in either spelling, and the sanitised prompt, whatever the case", () => {
    expect(found({})).toEqual(["e3", "e2", "e1"]);
    expect(found({ search: " E2 " })).toEqual(["e2"]);
    expect(found({ search: "feature" })).toEqual(["e2"]);
    expect(found({ search: "p3 @ 41" })).toEqual(["e1"]);
    expect(found({ search: "p3@41" })).toEqual(["e1"]);
    expect(found({ search: "5:9" })).toEqual(["e2"]);
    expect(found({ search: "<person>" })).toEqual(["e1"]);
    expect(found({ search: "prompt_missing" })).toEqual(["e3"]);
  });

  test("finds an offer and its mail by their kind, their person and their words", () => {
    const offer = { offer: "7", distinctId: "u3", at: AT } as const;
    const mail = {
      step: "mail",
      outcome: "accepted",
      words: "250 ok",
      messageId: "m1",
      nextAttemptAt: null,
    } as const;
    const both = rowsOf(
      { step: "earned", id: "e9", dueAt: AT, addressKnown: true, ...offer },
      { ...mail, ...offer },
    );
    const kept = (wanted: Partial<Wanted>, me: string[] = []) =>
      keys(both.filter((row) => isWanted(row, { ...EVERYTHING, ...wanted }, new Set(me))));
    expect(kept({ kind: "offers" })).toEqual(["mail m1", "offer 7"]);
    expect(kept({ kind: "uses" })).toEqual([]);
    expect(kept({ search: "250" })).toEqual(["mail m1", "offer 7"]);
    expect(kept({ search: "discount mail" })).toEqual(["mail m1"]);
    expect(kept({ onlyMine: true }, ["u3"])).toEqual(["mail m1", "offer 7"]);
  });

  test("does not look into prompts as they were typed", () => {
    expect(found({ search: "Ada" })).toEqual([]);
  });

  test("keeps to a kind, and to one's own", () => {
    expect(found({ kind: "failures" })).toEqual(["e3", "e1"]);
    expect(found({ kind: "letters" })).toEqual(["e3"]);
    expect(found({ kind: "repeats" })).toEqual(["e2"]);
    expect(found({ kind: "offers" })).toEqual([]);
    expect(found({ onlyMine: true }, ["u2", "u9"])).toEqual(["e2"]);
    expect(found({ onlyMine: true })).toEqual([]);
    expect(isMine(rowsOf(polled("e9"))[0]!, new Set(["anonymous-before", "u1"]))).toBe(true);
  });
});

describe("rows that somebody reads", () => {
  test("stay when the trace drops them, and grow while it has them", () => {
    const before = follow(new Map(), [polled("e1"), polled("e2", { position: "3:42" })]);
    const held = new Map([...before].reverse());
    const after = follow(new Map(), [polled("e2", { position: "3:42" }), written("e2", "x")]);
    const rows = heldRows(held, after);
    expect(keys(rows)).toEqual(["e2", "e1"]);
    expect(rows[0]).toMatchObject({ after: "x" });
    expect(rows[1]).toBe(before.get("e1"));
  });

  test("are not moved by what came since, which is counted", () => {
    const rows = rowsOf(polled("e1"), polled("e2"), polled("e3"));
    expect(keys(newSince(new Map([["e1", rows[2]!]]), rows))).toEqual(["e3", "e2"]);
    expect(keys(newSince(new Map([["gone", rows[2]!]]), rows))).toEqual(["e3", "e2", "e1"]);
  });
});
