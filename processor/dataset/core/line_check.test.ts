import { describe, expect, test } from "vitest";
import { formatLine } from "./line.ts";
import { lineFault } from "./line_check.ts";

const PLACE = { event: "generation_failed", date: "2025-11-30" };
const SEED =
  `{"timestamp":"2025-11-30T16:38:21.968Z","event":"generation_failed","failure_reason":"timeout","input_prompt":"generate a marketing email for new users","distinct_id":"019ad56c-5168-7457-bac6-82981da45fb3"}`;

const bytes = (text: string) => new TextEncoder().encode(text);
const faultOf = (text: string, place = PLACE) => lineFault(bytes(text), place);
const changed = (from: string, to: string) => {
  expect(SEED).toContain(from);
  return SEED.replace(from, () => to);
};

describe("a line of the dataset", () => {
  test("has no fault as the seed wrote it", () => {
    expect(faultOf(SEED)).toBeNull();
    expect(faultOf(changed(`"timeout"`, "null"))).toBeNull();
  });

  test("has no fault whatever text the writer has put into it", () => {
    const inputPrompt = `tab\t quote " \\ / 𝄞 \u0085 \u2028 \u2029 \ufeff ü \ufffd \r\n <EMAIL_ADDRESS>`;
    const line = formatLine({
      timestamp: "2025-11-30T16:38:21.968Z",
      event: "generation_failed",
      failure_reason: "\u2028",
      input_prompt: inputPrompt,
      distinct_id: "d",
    });
    expect(faultOf(line.slice(0, -1))).toBeNull();
  });

  test("may have a name that its directory holds encoded, or cut", () => {
    expect(faultOf(changed("generation_failed", "a b/ü"), { ...PLACE, event: "a%20b%2F%C3%BC" })).toBeNull();
    expect(faultOf(changed("generation_failed", "a b"), { ...PLACE, event: "a b" }))
      .toBe("lies under another event than its own");
  });

  test.each([
    ["no JSON", SEED.slice(0, -1), "is no JSON object"],
    ["nothing", "", "is no JSON object"],
    ["a list", "[]", "is no JSON object"],
    ["null", "null", "is no JSON object"],
    ["a key more", changed("}", `,"x":1}`), "has other keys or types than a line has"],
    ["a key less", changed(`"failure_reason":"timeout",`, ""), "has other keys or types than a line has"],
    [
      "a number for the prompt",
      changed(`"generate a marketing email for new users"`, "7"),
      "has other keys or types than a line has",
    ],
    [
      "no distinct_id",
      changed("019ad56c-5168-7457-bac6-82981da45fb3", ""),
      "has other keys or types than a line has",
    ],
    [
      "keys in another order",
      changed(
        `"event":"generation_failed","failure_reason":"timeout"`,
        `"failure_reason":"timeout","event":"generation_failed"`,
      ),
      "has its keys in another order",
    ],
    ["no milliseconds", changed(".968Z", "Z"), "has a timestamp that is no UTC time with milliseconds"],
    ["another zone", changed(".968Z", ".968+00:00"), "has a timestamp that is no UTC time with milliseconds"],
    [
      "a time that there is not",
      changed("T16:", "T24:"),
      "has a timestamp that is no UTC time with milliseconds",
    ],
    ["another day", changed("11-30T", "11-29T"), "lies under another date than its own"],
    ["another event", changed("generation_failed", "feature_used"), "lies under another event than its own"],
    ["a lone surrogate", changed("generate a", "\\ud800"), "holds a lone surrogate"],
    [
      "an escape sequence",
      changed("generate a", "\\u001b[31m"),
      "holds a control character in prompt or reason",
    ],
    [
      "a C1 control in the reason",
      changed("timeout", "\u009b"),
      "holds a control character in prompt or reason",
    ],
    ["spaces", changed(`,"event"`, `, "event"`), "is written in another way than the pipeline writes it"],
    [
      "a needless escape",
      changed("generate", "\\u0067enerate"),
      "is written in another way than the pipeline writes it",
    ],
    [
      "a key twice",
      changed(`"event"`, `"timestamp":"2025-11-30T16:38:21.968Z","event"`),
      "is written in another way than the pipeline writes it",
    ],
    ["a carriage return at its end", `${SEED}\r`, "is written in another way than the pipeline writes it"],
    ["a byte order mark", `\ufeff${SEED}`, "is no JSON object"],
  ])("is found faulty with %s", (_, text, fault) => {
    expect(faultOf(text)).toBe(fault);
  });

  test.each([..."\u0085\u2028\u2029"])("is found faulty where %j stands in it unescaped", (end) => {
    expect(faultOf(changed("generate", end))).toBe(
      "ends a line inside a line (U+0085, U+2028 or U+2029 unescaped)",
    );
  });

  test.each([
    ["a byte that begins nothing", [0xff]],
    ["a surrogate in three bytes", [0xed, 0xa0, 0x80]],
    ["an overlong slash", [0xc0, 0xaf]],
    ["a cut character", [0xe2, 0x80]],
  ])("is found faulty with %s", (_, wrong) => {
    const [before, after] = SEED.split("marketing");
    const line = new Uint8Array([...bytes(before!), ...wrong, ...bytes(after!)]);
    expect(lineFault(line, PLACE)).toBe("is not well-formed UTF-8");
  });
});
