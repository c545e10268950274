import process from "node:process";
import { systemClock } from "../runtime/clock.ts";
import { decodeJson } from "../contract/envelope.ts";
import { createKeyedHashes } from "../contract/keyed_hash.ts";
import { DATASET_WRITER_GROUP, WEBHOOKS_TOPIC } from "../contract/names.ts";
import { readProcessorConfig } from "../processor/config.ts";
import { confirmSecret } from "../processor/facts/identity.ts";
import { readScriptOptions } from "../runtime/script_options.ts";
import { startKafkaBroker } from "../tests/support/kafka_broker.ts";
import type { LogConfig } from "../topic/log_config.ts";
import { openTopicLog } from "../topic/open_topic.ts";
import { WEBHOOKS_TOPIC_SPEC } from "../topic/raw_topics.ts";
import type { TopicLog } from "../topic/topic.ts";
import { fill, runLoops, SECRET } from "./support/filled_topic.ts";

/**
 * How many records per second pass through the dataset writer (dedup, sanitiser, files, manifest, syncs), against
 * reading the same records from the same log and JSON-parsing them alone. Both in this one process, one after the
 * other, the writer in a Worker of its own as in the processor: what counts is the ratio. The first records of each are
 * not counted: a processor runs for days, and what V8 takes to compile it would be a tenth of so short a run.
 *
 *     deno run -A bench/dataset_writer.ts [--records 300000] [--warm-up 100000] [--training 1] [--kafka [--writers 1]] [--json]
 *
 * `--kafka`: from a real Kafka that is started for it (or the one that KAFKA_BROKERS names), beside `kcat -C` of the
 * same topic where that is installed.
 * `--writers`: DATASET_WRITERS; more than one only on Kafka.
 * `--training`: share of records that become lines; the others are `feature_used`.
 */
const USAGE = "Usage: deno task bench dataset_writer [--records 300000] [--warm-up 100000] [--training 1] " +
  "[--kafka [--writers 1]] [--json]";
const { records: count, "warm-up": warmUp, writers, ...values } = readScriptOptions(USAGE, {
  numbers: { records: [1, 300_000, 1e8], "warm-up": [0, 100_000, 1e8], writers: [1, 1, 64] },
  texts: { training: "1" },
  flags: ["kafka", "json"],
});
const training = Number(values.training);

const PROMPTS = [
  "generate a marketing email for new users of our spring campaign, friendly tone, three paragraphs, one call to action",
  "Summarise the quarterly report below in five bullet points and mention every figure that changed by more than 10 %.",
  "write to jane.doe@example.com or call +1 415 555 0132 and ask about the invoice",
  "Rewrite this function without recursion: function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }",
];

function bodyOf(n: number): Uint8Array {
  const event = n % 1000 < training * 1000 ? "generation_failed" : "feature_used";
  const uuid = `019ad56c-0000-7000-8000-${n.toString(16).padStart(12, "0")}`;
  const distinct_id = `019ad56c-5168-7457-bac6-${(n % 5000).toString(16).padStart(12, "0")}`;
  const timestamp = new Date(Date.UTC(2025, 10, 30) + n * 10).toISOString();
  const properties = {
    $lib: "web",
    $lib_version: "1.449.2",
    $browser: "Chrome",
    $os: "Linux",
    $current_url: "http://localhost:8000/",
    $ip: "203.0.113.42",
    failure_reason: "timeout",
    input_prompt: PROMPTS[n % PROMPTS.length],
  };
  return new TextEncoder().encode(JSON.stringify({
    event: { uuid, event, distinct_id, properties, elements_chain: "", timestamp },
    person: {
      id: uuid,
      properties: { email: `user${n % 5000}@example.test`, name: "Jane Doe" },
      name: distinct_id,
    },
  }));
}

/** Told how many records are done so far. */
type Progress = (records: number) => void;

async function parseAlone(log: TopicLog, progress: Progress): Promise<void> {
  let parsed = 0;
  for (const { partition, startOffset, endOffset } of await log.bounds(WEBHOOKS_TOPIC)) {
    for await (const batch of log.read(WEBHOOKS_TOPIC, { partition, from: startOffset, until: endOffset })) {
      for (const record of batch.records) {
        decodeJson(record.value);
        parsed++;
      }
      progress(parsed);
    }
  }
}

async function writeAll(log: TopicLog, progress: Progress): Promise<void> {
  const config = { ...readProcessorConfig({ DATA_DIR: dataDir }), log: logConfig };
  await confirmSecret(log, { ranBefore: null, hashes: createKeyedHashes(SECRET), clock: systemClock });
  const isDone = async () => {
    const committed = await log.committed(WEBHOOKS_TOPIC, DATASET_WRITER_GROUP);
    const written = committed.reduce<number>((sum, nextOffset) => sum + (nextOffset ?? 0), 0);
    progress(written);
    return written >= count;
  };
  await runLoops(Array.from({ length: writers }, () => "dataset-writer"), { config, lookMs: 100, isDone });
}

type Measured = { readonly perSecond: number; readonly cpuSecondsPerMillion: number };

async function measure(action: (progress: Progress) => Promise<void>): Promise<Measured> {
  let begin = { records: 0, at: performance.now(), cpu: process.cpuUsage() };
  await action((records) => {
    if (begin.records > 0 || records < warmUp || records === count) return;
    begin = { records, at: performance.now(), cpu: process.cpuUsage() };
  });
  const records = count - begin.records;
  const seconds = (performance.now() - begin.at) / 1000;
  const { user, system } = process.cpuUsage(begin.cpu);
  return {
    perSecond: Math.round(records / seconds),
    cpuSecondsPerMillion: Math.round((user + system) / records * 10) / 10,
  };
}

/** `kcat -C` of the same topic, written to nothing; null where it is not installed or the log is not Kafka. */
async function kcatPerSecond(logConfig: LogConfig): Promise<number | null> {
  if (logConfig.kind !== "kafka") return null;
  const args = ["-C", "-q", "-e", "-b", logConfig.brokers.join(","), "-t", logConfig.prefix + WEBHOOKS_TOPIC];
  try {
    const begin = performance.now();
    const { success } = await new Deno.Command("kcat", { args, stdout: "null", stderr: "null" }).output();
    return success ? Math.round(count / (performance.now() - begin) * 1000) : null;
  } catch {
    return null;
  }
}

const dataDir = await Deno.makeTempDir();
const broker = values.kafka ? await startKafkaBroker() : null;
const logConfig: LogConfig = broker === null ? { kind: "embedded", dataDir } : {
  kind: "kafka",
  brokers: broker.brokers.split(","),
  prefix: `bench${crypto.randomUUID()}.`,
  replication: null,
  ssl: null,
  sasl: null,
  sessionTimeoutMs: 10_000,
  dataDir,
};
const ingest = await openTopicLog(logConfig, "ingest");
await ingest.ensureTopic(WEBHOOKS_TOPIC_SPEC);
const bytes = await fill(ingest, { from: 0, until: count, bodyOf });
await ingest.close();
const kcat = await kcatPerSecond(logConfig);
const log = await openTopicLog(logConfig, "processor");
const alone = await measure((progress) => parseAlone(log, progress));
const writer = await measure((progress) => writeAll(log, progress));
await log.close();
await broker?.stop();
await Deno.remove(dataDir, { recursive: true });

const ratio = Math.round(writer.perSecond / alone.perSecond * 100) / 100;
const result = {
  records: count,
  bytesPerRecord: Math.round(bytes / count),
  training,
  alone,
  writer,
  ratio,
  kcat,
};
if (values.json) console.log(JSON.stringify(result));
else {
  console.log(
    `${count} records of ${result.bytesPerRecord} bytes (${warmUp} to warm up), ${
      training * 100
    } % training events`,
  );
  const words = ({ perSecond, cpuSecondsPerMillion }: Measured) =>
    `${perSecond} records/s, ${cpuSecondsPerMillion} CPU s per million`;
  console.log(`read and JSON-parsed alone  ${words(alone)}`);
  console.log(`through the dataset writer  ${words(writer)}`);
  console.log(`ratio                       ${ratio}`);
  if (kcat !== null) {
    console.log(
      `kcat -C                     ${kcat} records/s, ratio ${
        Math.round(writer.perSecond / kcat * 100) / 100
      }`,
    );
  }
}
