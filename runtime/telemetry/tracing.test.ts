import { describe, expect, test } from "vitest";
import { beginSpan, isTracing, readTraceparent } from "./tracing.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";

describe("a traceparent", () => {
  test.each([["01", 1], ["00", 0]])("with flags %s names trace, span and flags", (flags, traceFlags) => {
    expect(readTraceparent(`00-${TRACE}-${SPAN}-${flags}`)).toEqual({
      traceId: TRACE,
      spanId: SPAN,
      traceFlags,
    });
  });

  test("of a later version is read as far as it is known", () => {
    expect(readTraceparent(`01-${TRACE}-${SPAN}-01-what-comes`)?.traceId).toBe(TRACE);
  });

  test.each([
    ["nothing", null],
    ["an empty text", ""],
    ["upper case", `00-${TRACE.toUpperCase()}-${SPAN}-01`],
    ["no flags", `00-${TRACE}-${SPAN}`],
    ["a trace of zeros", `00-${"0".repeat(32)}-${SPAN}-01`],
    ["a span of zeros", `00-${TRACE}-${"0".repeat(16)}-01`],
    ["version ff", `ff-${TRACE}-${SPAN}-01`],
    ["more than version 00 says", `00-${TRACE}-${SPAN}-01-more`],
    ["a line feed", `00-${TRACE}-${SPAN}-01\n`],
    ["more than 256 characters", `01-${TRACE}-${SPAN}-01-${"x".repeat(256)}`],
  ])("is none: %s", (_, text) => {
    expect(readTraceparent(text)).toBe(null);
  });
});

test("without OTEL_DENO=true there are no spans", () => {
  expect(isTracing).toBe(false);
  expect(beginSpan("anything")).toBe(null);
});
