import type { LoopHealth, LoopReport } from "./loop.ts";
import { standingLines, type StandingPartition } from "./standing.ts";

/** Answers whether the health had changed, and was reported. */
export type HealthReport = (
  is: LoopHealth["is"],
  message: string | null,
  partitions?: readonly number[],
  standing?: readonly StandingPartition[],
) => boolean;

/** Reports a loop's health where it has changed, and logs where a partition begins to stand and where it goes on. */
export function reportHealth(report: LoopReport): HealthReport {
  let reported = "";
  let stood: readonly StandingPartition[] = [];
  return (is, message, partitions = [], standing = []) => {
    const health: LoopHealth = {
      is,
      message,
      partitions,
      ...(standing.length > 0 ? { standing } : {}),
    };
    const now = JSON.stringify(health);
    if (now === reported) return false;
    reported = now;
    report({ kind: "health", health });
    for (const line of standingLines(stood, { standing, partitions })) {
      report({ kind: "log", level: "warn", text: line });
    }
    stood = standing;
    return true;
  };
}
