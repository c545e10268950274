import { expect, test } from "vitest";
import type { About } from "../../runtime/log.ts";
import { CaughtUp, createRebalanceLines } from "./group_lines.ts";

test("a rebalance is said once a member is ready with other partitions, of groups alone", () => {
  const said: [string, string, About?][] = [];
  const lines = createRebalanceLines((...line) => void said.push(line));
  const ready = (name: string, partitions: number[]) => lines.look(name, { is: "ready", partitions });
  lines.look("dataset-writer", { is: "starting", partitions: [0] });
  ready("dataset-writer", [2, 0, 1, 5]);
  ready("dataset-writer", [0, 1, 2, 5]);
  lines.look("dataset-writer", { is: "failing", partitions: [] });
  ready("dataset-writer", []);
  ready("dataset-writer 2", [3]);
  ready("offer-sender", [0]);
  expect(said.map(([level, words]) => `${level} ${words}`)).toEqual([
    "info rebalance: dataset-writer reads partitions 0-2, 5 now (before: none)",
    "info rebalance: dataset-writer reads partitions none now (before: 0-2, 5)",
    "info rebalance: dataset-writer 2 reads partitions 3 now (before: none)",
  ]);
  expect(said[2]![2]).toEqual({ group: "dataset-writer", topic: "posthog.webhooks" });
});

test("a group has caught up behind its start and behind each time that it was behind, not behind each record", () => {
  const group = new CaughtUp();
  const look = (lag: number, lagSeconds = 0) => group.look({ lag, lagSeconds });
  expect([look(70, 1), look(90, 2), look(0), look(0)]).toEqual([
    null,
    null,
    "caught up with posthog.webhooks: 90 records had waited",
    null,
  ]);
  expect([look(5, 1), look(0)]).toEqual([null, null]);
  expect([look(5, 10), look(9, 20), look(2, 1), look(0)]).toEqual([
    null,
    null,
    null,
    "caught up with posthog.webhooks: 9 records had waited",
  ]);
  expect(new CaughtUp().look({ lag: 0, lagSeconds: 0 })).toBe(
    "caught up with posthog.webhooks: nothing waits",
  );
});
