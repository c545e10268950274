import { expect, test } from "vitest";
import { type Rule, RULES } from "../../sanitise/rules.ts";
import { decide, type Rules } from "./decision.ts";

const RULES_OF_THE_LOG: Rules = {
  trainingEvents: new Set(["generation_failed"]),
  seen: () => false,
  hasLetter: () => false,
  erased: () => false,
  lineId: (distinctId) => distinctId,
};

function failed(properties: Record<string, unknown>) {
  const event = { event: "generation_failed", distinct_id: "u1", properties };
  const value = new TextEncoder().encode(JSON.stringify(event));
  return { key: null, value, timestamp: 1_764_520_701_968, headers: {}, partition: 0, offset: 7 };
}

test("a prompt or a reason that takes the rules too many looks is a dead letter that says so, never a line", () => {
  const endless: Rule = {
    name: "endless",
    when: () => true,
    find: (text) => {
      while (text.includes("secret") && text.length > 0);
    },
  };
  (RULES as Rule[]).push(endless);
  try {
    const refused = {
      is: "dead_letter",
      step: "sanitise",
      reason: "the sanitiser refused the text (too_complex)",
    };
    for (
      const properties of [{ input_prompt: "a secret" }, { input_prompt: "a", failure_reason: "secret" }]
    ) {
      expect(decide(failed(properties), RULES_OF_THE_LOG).outcome).toEqual(refused);
    }
    expect(decide(failed({ input_prompt: "a" }), RULES_OF_THE_LOG).outcome.is).toBe("line");
  } finally {
    (RULES as Rule[]).pop();
  }
});
