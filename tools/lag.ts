import { DATASET_WRITER_GROUP, DISCOUNT_OFFERS_GROUP, WEBHOOKS_TOPIC } from "../contract/names.ts";
import type { GroupLag } from "../contract/processor_api.ts";
import { readCommandConfig } from "../processor/config.ts";
import { standingText } from "../processor/loop/standing.ts";
import { groupLag, standingFrom } from "../topic/group_lag.ts";
import { systemClock } from "../runtime/clock.ts";
import type { TopicLog } from "../topic/topic.ts";
import {
  type Cell,
  clearTerminal,
  type Command,
  CommandFailedError,
  print,
  printable,
  printError,
  printJson,
  refuseMissing,
  runCommand,
  spanText,
  table,
  untilStopped,
  UsageError,
  withLog,
} from "./command.ts";

/** `deno task lag`: how far each consumer group is behind, from the log itself; no processor has to run. */
export const lagCommand: Command = {
  help: `Shows how far each consumer group is behind.

Usage: deno task lag [--watch] [--json]

  --watch  again every second, in place on a terminal, one block after another elsewhere; Ctrl-C ends it
  --json   the groups as one JSON array, as /api/status has them; with --watch one array a line
  --help   this text

Next offset is the committed one ("none" before the first commit: lag then counts from the log's start).
Below the table: where a group stands at what cannot be read, and where a transaction of another client is open,
and which partitions have no leader (their end and lag are unknown).
OLDEST is the age of the oldest record not yet handled ("lagSeconds" of --json).
DATA_DIR, or KAFKA_BROKERS and what goes with it, say which log.
`,
  options: { watch: { type: "boolean" } },
  async run({ positionals, values, json }) {
    if (positionals.length > 0) {
      throw new UsageError(`Cannot read "${positionals[0]}": lag takes no arguments.`);
    }
    const config = readCommandConfig(Deno.env.toObject());
    if (config.log.kind === "embedded") refuseMissing(config.dataDir);
    await withLog(config, async (log) => {
      if (values.watch !== true) return printLag(await readLag(log), json);
      await watch(log, json);
    });
  },
};

const WATCH_EVERY_MS = 1_000;

/** A log that is away for a while is said so, and looked at again; one that was never there is a failure. */
async function watch(log: TopicLog, json: boolean): Promise<void> {
  const stopped = untilStopped();
  const isDrawn = Deno.stdout.isTerminal() && !json;
  for (let round = 0; !stopped.aborted; round++) {
    const groups = await readLag(log).catch((error: Error) => {
      if (round === 0) throw error;
      return new CommandFailedError(error.message);
    });
    if (stopped.aborted) return;
    if (isDrawn) clearTerminal();
    if (groups instanceof CommandFailedError) printError(groups.message);
    else printLag(groups, json);
    if (!isDrawn && !json) print("");
    await systemClock.wait(WATCH_EVERY_MS, stopped);
  }
}

function readLag(log: TopicLog): Promise<GroupLag[]> {
  const now = Date.now();
  return Promise.all(
    [DATASET_WRITER_GROUP, DISCOUNT_OFFERS_GROUP].map((group) =>
      groupLag(log, {
        topic: WEBHOOKS_TOPIC,
        group,
        now,
        standing: (lags) => standingFrom(log, { topic: WEBHOOKS_TOPIC, lags }),
      })
    ),
  );
}

function printLag(groups: readonly GroupLag[], json: boolean): void {
  if (json) return printJson(groups);
  const rows = groups.flatMap(({ group, partitions }) =>
    partitions.map((one): readonly Cell[] => [
      group,
      one.partition,
      one.nextOffset === null ? "none" : String(one.nextOffset),
      one.noLeader ? ["unknown", "red"] : one.endOffset,
      one.noLeader ? ["unknown", "red"] : one.lag,
      one.lag === 0 && !one.noLeader ? "" : [spanText(one.lagSeconds), one.standing ? "red" : "yellow"],
    ])
  );
  print(table(["GROUP", "PARTITION", "NEXT OFFSET", "END OFFSET", "LAG", "OLDEST"], rows));
  for (const line of groups.flatMap(whyBehind)) print(printable(line));
}

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
