import { DATASET_WRITER_GROUP, DISCOUNT_OFFERS_GROUP, WEBHOOKS_TOPIC } from "../contract/names.ts";
import type { GroupLag } from "../contract/processor_api.ts";
import { readProcessorConfig } from "../processor/config.ts";
import { standingText } from "../processor/loop/standing.ts";
import { groupLag, standingFrom } from "../topic/group_lag.ts";
import {
  type Command,
  print,
  printable,
  printJson,
  refuseMissing,
  runCommand,
  table,
  UsageError,
  withLog,
} from "./command.ts";

/** `deno task lag`: how far each consumer group is behind, from the log itself; no processor has to run. */
export const lagCommand: Command = {
  help: `Shows how far each consumer group is behind.

Usage: deno task lag [--json]

  --json   the groups as one JSON array, as /api/status has them
  --help   this text

Next offset is the committed one ("none" before the first commit: lag then counts from the log's start).
Below the table: where a group stands at what cannot be read, and where a transaction of another client is open,
and which partitions have no leader (their end and lag are unknown).
Lag in seconds is the age of the oldest record not yet handled.
DATA_DIR, or KAFKA_BROKERS and what goes with it, say which log.
`,
  async run({ positionals, json }) {
    if (positionals.length > 0) {
      throw new UsageError(`Cannot read "${positionals[0]}": lag takes no arguments.`);
    }
    const config = readProcessorConfig(Deno.env.toObject());
    if (config.log.kind === "embedded") refuseMissing(config.dataDir);
    await withLog(config, async (log) => {
      const now = Date.now();
      const groups = await Promise.all(
        [DATASET_WRITER_GROUP, DISCOUNT_OFFERS_GROUP].map((group) =>
          groupLag(log, {
            topic: WEBHOOKS_TOPIC,
            group,
            now,
            standing: (lags) => standingFrom(log, { topic: WEBHOOKS_TOPIC, lags }),
          })
        ),
      );
      if (json) return printJson(groups);
      const rows = groups.flatMap(({ group, partitions }) =>
        partitions.map((one) => [
          group,
          one.partition,
          one.nextOffset === null ? "none" : String(one.nextOffset),
          one.noLeader ? "unknown" : one.endOffset,
          one.noLeader ? "unknown" : one.lag,
          Math.round(one.lagSeconds * 10) / 10,
        ])
      );
      print(table(["GROUP", "PARTITION", "NEXT OFFSET", "END OFFSET", "LAG", "LAG SECONDS"], rows));
      for (const line of groups.flatMap(whyBehind)) print(printable(line));
    });
  },
};

/** What holds a group up, in words. */
function whyBehind({ group, partitions }: GroupLag): string[] {
  return partitions.flatMap(({ partition, standing, openTransactionAt: open, noLeader }) => [
    ...(standing ? [`${group}: ${standingText({ partition, ...standing })}`] : []),
    ...(open === undefined ? [] : [
      `${group}: a transaction of another client is open at ${partition}:${open}; nobody reads on from there until it ` +
      "has ended.",
    ]),
    ...(noLeader
      ? [
        `${group}: partition ${partition} has no leader, so its end is not known; start the broker that holds it.`,
      ]
      : []),
  ]);
}

if (import.meta.main) Deno.exit(await runCommand(lagCommand, Deno.args));
