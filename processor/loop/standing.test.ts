import { describe, expect, test } from "vitest";
import { reportHealth } from "./health.ts";
import type { LoopMessage } from "./loop.ts";
import { standingLines, standingOf, standingText } from "./standing.ts";

const AT = { partition: 3, offset: 42, reason: "the record batch cannot be read: its checksum is wrong" };

describe("a partition that stands", () => {
  test("is told with where, why and the command that sets it aside", () => {
    expect(standingText(AT)).toBe(
      "partition 3 stands at 3:42: the record batch cannot be read: its checksum is wrong. " +
        '"deno task skip 3:42 --reason TEXT" sets it aside as a dead letter.',
    );
  });

  test("is told without the bytes that cannot be read", () => {
    const records = { ...AT, nextOffset: 50, bytes: new Uint8Array(1_000_000) };
    expect(standingOf({ is: "joined", partitions: [3], standing: [records] })).toEqual([AT]);
    expect([standingOf({ is: "joined", partitions: [] }), standingOf(undefined)]).toEqual([[], []]);
  });

  test("is logged once when it begins, once when it goes on, and not when it has gone to another processor", () => {
    expect(standingLines([], { standing: [AT], partitions: [3] })).toEqual([standingText(AT)]);
    expect(standingLines([AT], { standing: [AT], partitions: [3] })).toEqual([]);
    expect(standingLines([AT], { standing: [], partitions: [3] })).toEqual([
      "partition 3 goes on behind 3:42.",
    ]);
    expect(standingLines([AT], { standing: [], partitions: [] })).toEqual([]);
    const next = { ...AT, offset: 60 };
    expect(standingLines([AT], { standing: [next], partitions: [3] })).toEqual([
      "partition 3 goes on behind 3:42.",
      standingText(next),
    ]);
  });

  test("leaves its loop ready, and is part of its health", () => {
    const messages: LoopMessage[] = [];
    const health = reportHealth((message) => messages.push(message));
    for (let i = 0; i < 3; i++) health("ready", null, [3], [AT]);
    expect(messages).toEqual([
      { kind: "health", health: { is: "ready", message: null, partitions: [3], standing: [AT] } },
      { kind: "log", level: "warn", text: standingText(AT) },
    ]);
  });
});
