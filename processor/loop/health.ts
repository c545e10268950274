import type { LoopHealth, LoopReport } from "./loop.ts";

export type HealthReport = (
  is: LoopHealth["is"],
  message: string | null,
  partitions?: readonly number[],
) => void;

/** Reports a loop's health where it has changed. */
export function reportHealth(report: LoopReport): HealthReport {
  let reported = "";
  return (is, message, partitions = []) => {
    const health: LoopHealth = { is, message, partitions };
    const now = JSON.stringify(health);
    if (now === reported) return;
    reported = now;
    report({ kind: "health", health });
  };
}
