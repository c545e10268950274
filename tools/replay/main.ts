import { dirname, resolve } from "node:path";
import { accessOf } from "../../runtime/data_dir.ts";
import { narrowTree } from "../../runtime/durable_file.ts";
import { systemClock } from "../../runtime/clock.ts";
import { EnvironmentReader } from "../../runtime/environment.ts";
import { createKeyedHashes } from "../../contract/keyed_hash.ts";
import { WEBHOOKS_TOPIC } from "../../contract/names.ts";
import {
  type ObjectsConfig,
  objectsConfig,
  openBucket,
  openDatasetLocks,
  readObjectsUrl,
} from "../../processor/dataset/mod.ts";
import { type ProcessorConfig, readCommandConfig } from "../../processor/config.ts";
import { createLineIds } from "../../processor/record/line_id.ts";
import { remembering } from "../../runtime/remember.ts";
import { SANITISER_VERSION } from "../../processor/sanitise/mod.ts";
import { checkSecret } from "../../processor/facts/identity.ts";
import { faultPointFrom } from "../../runtime/fault_point.ts";
import {
  type Command,
  CommandFailedError,
  type CommandLine,
  grouped,
  print,
  printJson,
  refuseMissing,
  runCommand,
  secretOfServices,
  table,
  UsageError,
  withLog,
  workAlone,
} from "../command.ts";
import { checkDataset, type CheckResult, datasetToCheck } from "./check.ts";
import { bucketHome, bucketTarget } from "./bucket_home.ts";
import { directoryHome, directoryTarget } from "./directory_home.ts";
import { replayInPlace } from "./in_place.ts";
import { createProgress, type ToldProgress } from "./progress.ts";
import type { ReplayDependencies } from "./home.ts";
import { replayTo } from "./to.ts";
import type { ReplayParameters, ReplayResult } from "./tree.ts";

/** `deno task replay`: the dataset once more from the topic. Nothing that can mail is part of this program. */
export const replayCommand: Command = {
  help:
    `Rebuilds the dataset from the topic and puts it in the place of the live one, also while the services run.

Usage: deno task replay [--json]
       deno task replay --to DIR [--from-time T] [--until-time T] [--json]
       deno task replay --check [--json]
       deno task replay --take-over [--json]

  --to DIR         leaves the new dataset in DIR (or s3://bucket/prefix), which is to be empty, and the live one alone; up
                   to the topic's end
  --from-time T    only records received at T or later, such as 2025-11-30 or 2025-11-30T16:00:00Z (UTC unless it says)
  --until-time T   only records received before T
  --check          compares the live dataset with a replay by SHA-256 of every file; exit code 1 on any difference
  --take-over      builds a dataset with a new name here and makes it the one that the group dataset-writer writes, in
                   place of another host's (or of one that is gone)

It never sends mail, joins no group and commits nothing. Killed at any moment, the same command again goes on where it
was; the live dataset stays as it is until the new one is complete. One replay or erasure runs at a time.

BEFORE and AFTER are lines of the old and the new dataset, CHANGED those that stand in both with other bytes, as after a
change of the sanitiser (counted per file: of the lines of the one with fewer, those that the other lacks). Dead letters
are records of the range that give no line because they were set aside; those that fail only now are among them, and are
published once the new dataset is in place.
`,
  options: {
    "to": { type: "string" },
    "from-time": { type: "string" },
    "until-time": { type: "string" },
    "check": { type: "boolean" },
    "take-over": { type: "boolean" },
  },
  async run(line) {
    const wanted = readWish(line);
    const config = readCommandConfig(Deno.env.toObject());
    if (wanted.is === "check") refuseMissing(dirname(config.datasetDir));
    const hashes = createKeyedHashes(secretOfServices(config, "replay"));
    await withLog(config, async (log) => {
      await checkSecret(log, hashes);
      const subject = remembering((distinctId) => hashes.subject(distinctId), { entriesMax: SUBJECTS_MAX });
      const progress = progressOnStderr();
      const deps: Omit<ReplayDependencies, "home"> = {
        log,
        trainingEvents: new Set(config.trainingEvents),
        dedupWindow: config.dedupWindow,
        subject,
        lineId: createLineIds(subject),
        clock: systemClock,
        faultPoint: faultPointFrom(config.faultPoint ?? undefined),
        progress,
      };
      line.ifStopped(() => {
        const state = progress.state() ?? "nothing was built yet";
        return wanted.is === "check"
          ? `${state}. A check changes nothing; run it again.`
          : `${state}. What is not complete is in nobody's use; the same command again goes on from there.`;
      });
      const parameters = parametersOf(config, hashes.fingerprint);
      await replay(wanted, { deps, config, json: line.json, parameters });
      if (wanted.is === "to" && !isUrl(wanted.dir)) {
        narrowTree(wanted.dir, accessOf(wanted.dir, config.dataDir));
      }
    });
  },
};

function isUrl(place: string): boolean {
  return place.startsWith("s3://");
}

/** Another place in a bucket, by everything else that the environment says of buckets. */
function objectsAt(url: string): ObjectsConfig {
  const place = readObjectsUrl(url);
  if (typeof place === "string") throw new UsageError(`Cannot read --to "${url}": ${place}.`);
  const env = new EnvironmentReader(Deno.env.toObject());
  const config = objectsConfig(env, place);
  env.finish();
  return config;
}

/** Keyed hashes that are kept. */
const SUBJECTS_MAX = 20_000;

type Wish =
  | { readonly is: "swap" | "take-over" | "check" }
  | {
    readonly is: "to";
    readonly dir: string;
    readonly fromTime: number | null;
    readonly untilTime: number | null;
  };

function readWish({ positionals, values }: CommandLine): Wish {
  if (positionals.length > 0) {
    throw new UsageError(`Cannot read "${positionals[0]}": replay takes options only.`);
  }
  const [fromTime, untilTime] = [readTime(values, "from-time"), readTime(values, "until-time")];
  const [check, takeOver] = [values.check === true, values["take-over"] === true];
  if (typeof values.to === "string") {
    if (check || takeOver) {
      throw new UsageError(
        "Cannot combine --to with --check or --take-over: it leaves the live dataset alone.",
      );
    }
    if (values.to === "") throw new UsageError('Cannot write to "": name a directory.');
    if (fromTime !== null && untilTime !== null && fromTime >= untilTime) {
      throw new UsageError(
        "Cannot replay from a time that is not before the other: see --from-time, --until-time.",
      );
    }
    return { is: "to", dir: isUrl(values.to) ? values.to : resolve(values.to), fromTime, untilTime };
  }
  if (fromTime !== null || untilTime !== null) {
    throw new UsageError(
      "Cannot replay a stretch of time into the live dataset: --from-time and --until-time go with --to DIR.",
    );
  }
  if (check && takeOver) throw new UsageError("Cannot combine --check with --take-over: it changes nothing.");
  return { is: check ? "check" : takeOver ? "take-over" : "swap" };
}

const TIME = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d)?)?$/;

/** Milliseconds since 1970; null where the option is not given. Without a zone it is UTC. */
function readTime(values: CommandLine["values"], name: "from-time" | "until-time"): number | null {
  const text = values[name];
  if (typeof text !== "string") return null;
  const match = TIME.exec(text);
  const time = Date.parse(match?.[1] && !match[4] ? `${text}Z` : text);
  if (match && !Number.isNaN(time)) return time;
  throw new UsageError(`Cannot read --${name} "${text}": expected ISO 8601, such as 2025-11-30T16:00:00Z.`);
}

function parametersOf(config: ProcessorConfig, fingerprint: string) {
  const { log, dedupWindow, trainingEvents } = config;
  return {
    log: log.kind === "embedded" ? "embedded" : `kafka ${log.prefix}${WEBHOOKS_TOPIC}`,
    sanitiserVersion: SANITISER_VERSION,
    dedupWindow,
    trainingEvents,
    fingerprint,
  };
}

function progressOnStderr(): ToldProgress {
  const encoder = new TextEncoder();
  const columns = Deno.stderr.isTerminal() ? columnsOr(80) : null;
  return createProgress({
    write: (text) => Deno.stderr.writeSync(encoder.encode(text)),
    columns,
    clock: systemClock,
  });
}

function columnsOr(otherwise: number): number {
  try {
    return Deno.consoleSize().columns;
  } catch {
    return otherwise;
  }
}

async function replay(
  wish: Wish,
  { deps: others, config, json, parameters }: {
    readonly deps: Omit<ReplayDependencies, "home">;
    readonly config: ProcessorConfig;
    readonly json: boolean;
    readonly parameters: Omit<ReplayParameters, "mode" | "dataset" | "fromTime" | "untilTime">;
  },
): Promise<void> {
  const { datasetDir, objects } = config;
  using bucket = objects && await openBucket(objects, { clock: systemClock });
  // Before the locks, which make their place: a check makes nothing where no dataset is.
  if (wish.is === "check") {
    await datasetToCheck(bucket ? bucketHome(bucket) : directoryHome(datasetDir, null));
  }
  // Of a bucket they keep two commands of this host apart; hosts are kept apart by what they commit.
  const locks = openDatasetLocks(datasetDir);
  const home = bucket ? bucketHome(bucket) : directoryHome(datasetDir, locks);
  const deps: ReplayDependencies = { ...others, home };
  const onResult = (result: ReplayResult) => printResult(result, json);
  await workAlone(locks, { verb: "replay", what: "a replay" }, async () => {
    switch (wish.is) {
      case "check":
        return printCheck(await checkDataset(deps), json);
      case "to": {
        const { dir, fromTime, untilTime } = wish;
        const all = { ...parameters, mode: "to", dataset: null, fromTime, untilTime } as const;
        if (!isUrl(dir)) {
          return await replayTo(directoryTarget(dir, datasetDir), { deps, parameters: all, onResult });
        }
        using target = await openBucket(objectsAt(dir), { clock: systemClock });
        return await replayTo(await bucketTarget(target), { deps, parameters: all, onResult });
      }
      case "swap":
      case "take-over": {
        const all = { ...parameters, mode: wish.is, fromTime: null, untilTime: null } as const;
        return await replayInPlace(deps, { parameters: all, onResult });
      }
    }
  });
}

function printResult(result: ReplayResult, json: boolean): void {
  if (json) return printJson(result);
  const { records, lines, deadLetters, partitions } = result;
  if (partitions.length > 0) {
    const rows = partitions.map((
      { date, event, before, after, changed },
    ) => [date, event, before, after, changed]);
    print(`${table(["DATE", "EVENT", "BEFORE", "AFTER", "CHANGED"], rows)}\n`);
  }
  print(`${grouped(records)} records, ${grouped(lines)} lines, ${grouped(deadLetters)} dead letters`);
}

function printCheck(result: CheckResult, json: boolean): void {
  printResult(result, json);
  const { differences } = result;
  if (differences.length === 0) return;
  if (!json) {
    const rows = differences.map((
      { path, live, replayed },
    ) => [path, live ?? "missing", replayed ?? "no line"]);
    print(`\n${table(["DIFFERENT FILE", "LIVE", "REPLAYED"], rows)}`);
  }
  const [first] = differences;
  const counted = differences.length === 1 ? "1 file is" : `${differences.length} files are`;
  throw new CommandFailedError(
    `Cannot confirm the dataset: ${counted} not as a ` +
      `replay makes them, the first is "${first!.path}". Rebuild it with \`deno task replay\`.`,
  );
}

if (import.meta.main) Deno.exit(await runCommand(replayCommand, Deno.args));
