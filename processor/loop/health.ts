import type { LoopHealth, LoopReport } from "./loop.ts";

/** Answers whether the health had changed, and was reported. */
export type HealthReport = (
  is: LoopHealth["is"],
  message: string | null,
  partitions?: readonly number[],
) => boolean;

/** Reports a loop's health where it has changed. */
export function reportHealth(report: LoopReport): HealthReport {
  let reported = "";
  return (is, message, partitions = []) => {
    const health: LoopHealth = { is, message, partitions };
    const now = JSON.stringify(health);
    if (now === reported) return false;
    reported = now;
    report({ kind: "health", health });
    return true;
  };
}
