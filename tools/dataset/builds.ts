import { systemClock } from "../../runtime/clock.ts";
import { type Bucket, type FoundBuild, openBucket, openDatasetLocks } from "../../processor/dataset/mod.ts";
import type { ProcessorConfig } from "../../processor/config.ts";
import {
  CommandFailedError,
  type CommandLine,
  grouped,
  print,
  printable,
  printJson,
  table,
  UsageError,
  workAlone,
} from "../command.ts";

/** What is done with the objects of a bucket by hand: `dataset compact` and `dataset drop BUILD`. */
export type BucketVerb =
  | { readonly is: "compact" }
  | { readonly is: "drop"; readonly build: string };

/** Throws {@link UsageError} where the dataset lies in a directory. */
export async function inBucket(
  verb: BucketVerb,
  { config, line }: { readonly config: ProcessorConfig; readonly line: CommandLine },
): Promise<void> {
  const { objects, datasetDir } = config;
  if (!objects) {
    throw new UsageError(
      `Cannot ${verb.is} in the directory "${datasetDir}": compact and drop are for a dataset in a bucket. Set DATASET_URL.`,
    );
  }
  using bucket = await openBucket(objects, { clock: systemClock });
  if (verb.is === "compact") return await compact(bucket, line);
  // A replay of this host may be at work on the very build.
  const locks = openDatasetLocks(datasetDir);
  await workAlone(locks, { verb: "drop", what: "a drop" }, () => drop(bucket, { build: verb.build, line }));
}

type Day = { readonly event: string; readonly date: string; before: number; after: number };

async function compact(bucket: Bucket, line: CommandLine): Promise<void> {
  line.ifStopped(() =>
    "what was joined until then stands, and the dataset has the lines that it had. Run it again."
  );
  if (await bucket.live() === null) {
    throw new CommandFailedError(
      `Cannot compact: there is no dataset at "${bucket.place}". Set DATASET_URL to the place of one.`,
    );
  }
  const days = new Map<string, Day>();
  for await (const partition of bucket.compact(new Date().toISOString().slice(0, 10))) {
    for (const { event, date, before, after } of partition) {
      const name = `${event} ${date}`;
      const day = days.get(name) ?? { event, date, before: 0, after: 0 };
      day.before += before;
      day.after += after;
      days.set(name, day);
    }
  }
  const sorted = [...days].sort(([a], [b]) => a < b ? -1 : 1).map(([, day]) => day);
  const sum = (side: "before" | "after") => sorted.reduce((sum, day) => sum + day[side], 0);
  const [before, after] = [sum("before"), sum("after")];
  if (line.json) return printJson({ before, after, days: sorted });
  const joined = sorted.filter((day) => day.before !== day.after);
  if (joined.length > 0) {
    print(
      `${
        table(
          ["DATE", "EVENT", "BEFORE", "AFTER"],
          joined.map((one) => [one.date, one.event, one.before, one.after]),
        )
      }\n`,
    );
  }
  print(
    `Objects of closed days: ${grouped(before)} before, ${grouped(after)} now.${
      before === after ? "" : " Those that were joined stay an hour for readers that list."
    }`,
  );
}

async function drop(
  bucket: Bucket,
  { build, line }: { readonly build: string; readonly line: CommandLine },
): Promise<void> {
  line.ifStopped(() =>
    `what is left of the build is no dataset any more. The same command again finishes it.`
  );
  const builds = await bucket.builds();
  const named = builds.find((one) => one.build === build);
  if (build === "") throw new UsageError(`Cannot drop without BUILD. ${sayBuilds(builds)}`);
  if (!named) {
    throw new CommandFailedError(
      `Cannot drop "${build}": no such build is in "${bucket.place}". ${sayBuilds(builds)}`,
    );
  }
  const discarded = await bucket.discard(build);
  if (discarded === null) {
    throw new CommandFailedError(
      `Cannot drop "${build}": it is the current build, which is the dataset. ${sayBuilds(builds)}`,
    );
  }
  if (line.json) return printJson({ build, ...discarded });
  const { objects, bytes } = discarded;
  print(
    `Dropped ${printable(bucket.place)}/${printable(build)}: ${grouped(objects)} objects, ${
      grouped(bytes)
    } bytes.`,
  );
}

const WHAT: Readonly<Record<FoundBuild["is"], string>> = {
  current: "current",
  before: "replaced",
  interrupted: "a replay's that has not ended",
  left: "left of a deleted one",
};

function sayBuilds(builds: readonly FoundBuild[]): string {
  const others = builds.filter(({ is }) => is !== "current");
  if (others.length === 0) return "There is no other.";
  return `What can be dropped: ${others.map(({ build, is }) => `${build} (${WHAT[is]})`).join(", ")}.`;
}
