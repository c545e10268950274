/** How many records were received in a minute, which is counted since 1970. */
export type MinuteCount = readonly [minute: number, records: number];

/** Minutes that a partition remembers: the last hour, the one that goes on, and room for a clock that jumps. */
export const MINUTES_MAX = 64;

/**
 * Counts records by the minute in which they were received, behind what was counted before. A function of the records in
 * their order: no clock says which minutes go, but what came longest ago, so that times from a wrong clock (years ahead) make
 * room again.
 */
export function addReceived(
  before: readonly MinuteCount[],
  more: readonly MinuteCount[],
): readonly MinuteCount[] {
  const counts = new Map(before);
  for (const [minute, records] of more) {
    const sum = records + (counts.get(minute) ?? 0);
    counts.delete(minute);
    counts.set(minute, sum);
    if (counts.size > MINUTES_MAX) counts.delete(counts.keys().next().value!);
  }
  return [...counts];
}

/** The same of records as they lie in the log, without forgetting any: runs of one minute are one pair. */
export function receivedOf(records: readonly { readonly timestamp: number }[]): readonly MinuteCount[] {
  const runs: [number, number][] = [];
  for (const { timestamp } of records) countMinute(runs, timestamp);
  return runs;
}

/** With one record more. */
export function countMinute(runs: [minute: number, records: number][], timestamp: number): void {
  const minute = Math.floor(timestamp / 60_000);
  const last = runs.at(-1);
  if (last !== undefined && last[0] === minute) last[1]++;
  else runs.push([minute, 1]);
}
