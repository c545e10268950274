/** What holds partitions up for good or for long, in words: for every page, since lag alone says nothing of it. Pure. */
import type { PipelineStatus } from "../../contract/processor_api.ts";

export type HeldUp = {
  /** `bad` waits for an operator, `warn` for another program. */
  readonly tone: "bad" | "warn";
  readonly text: string;
  /** What sets aside what cannot be read. */
  readonly command: string | null;
};

/** By partition, what cannot be read first; both groups stand at the same place, which is said once. Then the dataset. */
export function heldUp(status: PipelineStatus | null): HeldUp[] {
  const groups = status?.groups ?? [];
  const places = new Map<string, { partition: number; offset: number; reason: string; groups: string[] }>();
  const open = new Map<number, number>();
  const leaderless = new Set<number>();
  for (const { group, partitions } of groups) {
    for (const { partition, standing, openTransactionAt, noLeader } of partitions) {
      if (noLeader) leaderless.add(partition);
      if (openTransactionAt !== undefined) open.set(partition, openTransactionAt);
      if (!standing) continue;
      const key = `${partition}:${standing.offset}`;
      const place = places.get(key) ?? { partition, ...standing, groups: [] };
      place.groups.push(group);
      places.set(key, place);
    }
  }
  const stands = [...places].map(([key, { partition, offset, reason, groups }]): HeldUp => ({
    tone: "bad",
    text: `Partition ${partition} stands at p${partition} @ ${offset} (${groups.join(", ")}): ${reason}. ` +
      "What lies behind it waits; other partitions go on. This sets it aside as a dead letter:",
    command: `deno task skip ${key} --reason "…"`,
  }));
  const waits = [...open].map(([partition, offset]): HeldUp => ({
    tone: "warn",
    text: `Partition ${partition}: a transaction of another program is open at p${partition} @ ${offset}. ` +
      "Records behind it are read once it has ended.",
    command: null,
  }));
  const alone = [...leaderless].map((partition): HeldUp => ({
    tone: "bad",
    text:
      `Partition ${partition} has no leader: its records wait until the broker that holds it is back, and its lag is ` +
      "not known. Other partitions go on.",
    command: null,
  }));
  const dataset = status?.datasetProblem === undefined ? [] : [
    {
      tone: "bad",
      text: `What is said of the dataset is as it was known last: ${status.datasetProblem}`,
      command: null,
    } as const,
  ];
  return [...stands, ...alone, ...waits, ...dataset];
}
