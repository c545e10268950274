import type { Consumption } from "../../topic/topic.ts";

/** A partition that stands because the records from `offset` on cannot be read; `reason` says why, in words. */
export type StandingPartition = {
  readonly partition: number;
  readonly offset: number;
  readonly reason: string;
};

/** Where a membership stands, without the bytes that cannot be read. */
export function standingOf(
  state: ReturnType<Consumption["state"]> | undefined,
): readonly StandingPartition[] {
  return (state?.standing ?? []).map(({ partition, offset, reason }) => ({ partition, offset, reason }))
    .sort((a, b) => a.partition - b.partition);
}

/** What an operator reads: where it stands, why, and the command that sets it aside. */
export function standingText({ partition, offset, reason }: StandingPartition): string {
  return `partition ${partition} stands at ${partition}:${offset}: ${reason}. ` +
    `"deno task skip ${partition}:${offset} --reason TEXT" sets it aside as a dead letter.`;
}

/** One line for each partition that begins to stand, or goes on while it is still here. */
export function standingLines(
  stood: readonly StandingPartition[],
  { standing, partitions }: {
    readonly standing: readonly StandingPartition[];
    readonly partitions: readonly number[];
  },
): readonly string[] {
  const isAmong = (all: readonly StandingPartition[], { partition, offset }: StandingPartition) =>
    all.some((one) => one.partition === partition && one.offset === offset);
  return [
    ...stood.filter((one) => !isAmong(standing, one) && partitions.includes(one.partition))
      .map(({ partition, offset }) => `partition ${partition} goes on behind ${partition}:${offset}.`),
    ...standing.filter((one) => !isAmong(stood, one)).map(standingText),
  ];
}
