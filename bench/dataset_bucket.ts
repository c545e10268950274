import { join, resolve } from "node:path";
import { DATASET_WRITER_GROUP, WEBHOOKS_TOPIC } from "../contract/names.ts";
import type { ObjectsConfig } from "../processor/dataset/objects/config.ts";
import { logError } from "../runtime/printable.ts";
import { readScriptOptions } from "../runtime/script_options.ts";
import { startKafkaBroker } from "../tests/support/kafka_broker.ts";
import { startS3 } from "../tests/support/s3/servers.ts";
import type { LogRole } from "../topic/log_config.ts";
import { openTopicLog } from "../topic/open_topic.ts";
import { WEBHOOKS_TOPIC_SPEC } from "../topic/raw_topics.ts";
import type { TopicLog } from "../topic/topic.ts";
import { bodyOf } from "./support/envelopes.ts";
import { fill } from "./support/filled_topic.ts";
import { heldLines, holdTheSame } from "./support/held_lines.ts";
import { logOf } from "./support/log_of.ts";
import { type Measured, medians } from "./support/measuring.ts";
import { runWriterProcess } from "./support/writer_process.ts";

/**
 * How many records per second does one dataset writer bring into a bucket, at what CPU time and memory, against the same
 * records into a local directory?
 *
 * Both read the same topic, each in a process of its own, the directory's with V8's flags of `deno task processor`, the bucket's
 * with those of deploy/kubernetes/, in turns, round by round;
 * medians are shown. The count begins when `--warm-up` records are handled and ends when all are durable, so what the bucket's
 * writer has in memory at its beginning is counted too. Afterwards both are read: each partition's lines of a day have to be
 * the same in the same order; exit code 1 where they are not. The bucket is one of versitygw on this machine.
 *
 *     deno run -A bench/dataset_bucket.ts [--kafka] [--records 1000000] [--warm-up 100000] [--rounds 3] [--days 0]
 *       [--compression none] [--only directory|bucket] [--json]
 *
 * `--kafka`: from a real Kafka that is started for it (or the one that KAFKA_BROKERS names), not from the embedded log.
 * `--days`: events happened on so many days in turns, and each day's lines are an object or a file of their own per
 * partition; 0: one day or two.
 */
const USAGE =
  "Usage: deno task bench dataset_bucket [--kafka] [--records 1000000] [--warm-up 100000] [--rounds 3] [--days 0] " +
  "[--compression none] [--only directory|bucket] [--json]";
const { records: count, "warm-up": warmUp, rounds, days, compression, only, kafka, json } = readScriptOptions(
  USAGE,
  {
    numbers: {
      records: [1, 1_000_000, 1e8],
      "warm-up": [0, 100_000, 1e8],
      rounds: [1, 3, 99],
      days: [0, 0, 10_000],
    },
    texts: { compression: "none", only: "" },
    flags: ["kafka", "json"],
  },
);
if (warmUp >= count) {
  logError(`Cannot count ${count} records after ${warmUp} to warm up: give more --records.`);
  Deno.exit(2);
}

type Place = "directory" | "bucket";
const places = (["directory", "bucket"] as const).filter((one) => only === "" || only === one);
const HERE = resolve(import.meta.dirname!, "..");
const tempDir = await Deno.makeTempDir();
const broker = kafka ? await startKafkaBroker() : null;
const s3 = await startS3("versitygw");
const prefix = `bench${crypto.randomUUID()}.`;
const logConfig = (dataDir: string) => logOf(broker, { prefix, dataDir, embeddedIn: tempDir });

async function withLog<T>(role: LogRole, use: (log: TopicLog) => Promise<T>): Promise<T> {
  const log = await openTopicLog(logConfig(tempDir), role);
  try {
    return await use(log);
  } finally {
    await log.close();
  }
}

async function fillTopic(log: TopicLog): Promise<number> {
  await log.ensureTopic(WEBHOOKS_TOPIC_SPEC);
  const options = days === 0 ? {} : { days };
  const bytes = await fill(log, { from: 0, until: count, bodyOf: (n) => bodyOf(n, 1, options) });
  // A broker loads its groups when it is first asked for one.
  await log.committed(WEBHOOKS_TOPIC, DATASET_WRITER_GROUP);
  return bytes;
}

async function measureIn(place: Place, round: number) {
  const dataDir = join(tempDir, `${place}-${round}`);
  await Deno.mkdir(dataDir);
  const bucket = place === "directory" ? undefined : {
    ...s3.config,
    prefix: `round-${round}`,
    compression: compression as ObjectsConfig["compression"],
  };
  const one = await runWriterProcess({
    checkout: HERE,
    what: "write",
    log: logConfig(dataDir),
    dataDir,
    records: count,
    warmUp,
    writers: 1,
    bucket,
    // With thousands of objects a commit takes longer than letting go may: then they become durable by their age.
    untilLetGo: days === 0,
    asService: true,
  });
  const lines = await heldLines({ datasetDir: join(dataDir, "dataset"), objects: bucket ?? null });
  await Deno.remove(dataDir, { recursive: true });
  return { one, lines };
}

let bytes = 0;
const measured = new Map<Place, Measured[]>();
const differing: number[] = [];
try {
  bytes = await withLog("ingest", fillTopic);
  for (let round = 1; round <= rounds; round++) {
    const held = [];
    for (const place of places) {
      const { one, lines } = await measureIn(place, round);
      measured.set(place, [...measured.get(place) ?? [], one]);
      held.push(lines);
      if (lines.lines !== count) differing.push(round);
    }
    const [first, second = first] = held;
    if (!holdTheSame(first!.held, second!.held)) differing.push(round);
  }
} catch (error) {
  logError((error as Error).message);
  Deno.exitCode = 1;
} finally {
  await s3.stop();
  await broker?.stop();
  await Deno.remove(tempDir, { recursive: true });
}
if (Deno.exitCode !== 0) Deno.exit();

const figures = Object.fromEntries([...measured].map(([place, all]) => [place, medians(all)]));
const { directory, bucket } = figures;
const ratioOf = (of: (one: Measured) => number | null) =>
  directory && bucket ? Math.round(of(bucket)! / of(directory)! * 100) / 100 : null;
const result = {
  records: count,
  bytesPerRecord: Math.round(bytes / count),
  days,
  warmUp,
  rounds,
  compression,
  ...figures,
  rate: ratioOf(({ perSecond }) => perSecond),
  cpu: ratioOf(({ cpuSecondsPerMillion }) => cpuSecondsPerMillion),
  holdTheSame: differing.length === 0,
};
const rssOver = (place: Place) => measured.get(place)!.at(-1)!.rssMbAt!.join(" ");
if (json) console.log(JSON.stringify(result));
else {
  console.log(
    `${count} records of ${result.bytesPerRecord} bytes${days > 0 ? ` on ${days} days` : ""}; ` +
      `the first ${warmUp} are not counted; medians of ${rounds}; lines are packed with ${compression}.\n` +
      `CPU s/M: CPU seconds of the writer's process per million records\n`,
  );
  console.log("           records/s  CPU s/M  RSS MB  RSS MB at each tenth of the records");
  for (const [place, { perSecond, cpuSecondsPerMillion, rssMbMax }] of Object.entries(figures)) {
    console.log(
      `${place.padEnd(9)}  ${String(Math.round(perSecond)).padStart(9)}  ${
        String(cpuSecondsPerMillion).padStart(7)
      }  ` +
        `${String(rssMbMax).padStart(6)}  ${rssOver(place as Place)}`,
    );
  }
  if (result.rate !== null) console.log(`\nbucket ÷ directory: rate ${result.rate}, CPU ${result.cpu}`);
}
if (differing.length > 0) {
  logError(
    `The lines are not those of the topic in their order, or not the same in both: round ${
      differing.join(", ")
    }.`,
  );
  Deno.exitCode = 1;
} else if (!json) console.log("Both hold the same lines, each partition's in the same order.");
