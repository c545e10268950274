import { expect, test } from "vitest";
import type { Fact } from "../../facts/facts.ts";
import { notedSteps } from "./noted.ts";
import type { SourceRecord } from "./product_event.ts";

const AT = "2026-01-01T00:00:00.000Z";

function record(offset: number, event: string): SourceRecord {
  const headers = { id: `e${offset}`, event };
  return { topic: "t", partition: 3, offset, timestamp: 0, value: new Uint8Array(), headers } as SourceRecord;
}

function fact(offset: number, kind: string): Fact {
  return {
    fact: kind,
    subject: "a".repeat(32),
    at: 0,
    position: { partition: 3, offset },
  } as unknown as Fact;
}

test("an event that says who somebody is tells what it brought, also where that is nothing; a use, that it is not counted", () => {
  const records = [
    record(0, "$identify"),
    record(1, "$set"),
    record(2, "feature_used"),
    record(3, "feature_used"),
    record(4, "generation_failed"),
    record(5, "$pageview"),
    record(6, "email_unsubscribed"),
  ];
  const facts = [
    fact(0, "merge_asked"),
    fact(0, "addressed"),
    fact(2, "counted"),
    fact(5, "addressed"),
    fact(6, "opted_out"),
  ];
  expect(notedSteps(records, { facts, at: AT })).toEqual([
    { step: "noted", id: "e0", what: ["join", "address"], at: AT },
    { step: "noted", id: "e1", what: [], at: AT },
    { step: "noted", id: "e3", what: ["not_counted"], at: AT },
    { step: "noted", id: "e6", what: ["opt_out"], at: AT },
  ]);
});
