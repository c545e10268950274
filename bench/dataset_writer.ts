import process from "node:process";
import { parseArgs } from "node:util";
import { systemClock } from "../runtime/clock.ts";
import { decodeJson, parseEnvelope, toRecord } from "../contract/envelope.ts";
import { createKeyedHashes } from "../contract/keyed_hash.ts";
import { DATASET_WRITER_GROUP, WEBHOOKS_TOPIC } from "../contract/names.ts";
import { readProcessorConfig } from "../processor/config.ts";
import { startLoop } from "../processor/start_loop.ts";
import { confirmSecret } from "../processor/facts/identity.ts";
import { startKafkaBroker } from "../tests/support/kafka_broker.ts";
import type { LogConfig } from "../topic/log_config.ts";
import { openTopicLog } from "../topic/open_topic.ts";
import { WEBHOOKS_TOPIC_SPEC } from "../topic/raw_topics.ts";
import type { TopicLog } from "../topic/topic.ts";

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
const { values } = parseArgs({
  options: {
    records: { type: "string", default: "300000" },
    "warm-up": { type: "string", default: "100000" },
    training: { type: "string", default: "1" },
    kafka: { type: "boolean", default: false },
    writers: { type: "string", default: "1" },
    json: { type: "boolean", default: false },
  },
});
const count = Number(values.records);
const warmUp = Number(values["warm-up"]);
const training = Number(values.training);
const writers = Number(values.writers);
const SECRET = "a secret for a benchmark";

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

async function fill(log: TopicLog): Promise<number> {
  await log.ensureTopic(WEBHOOKS_TOPIC_SPEC);
  let bytes = 0;
  for (let from = 0; from < count; from += 1000) {
    const records = Array.from({ length: Math.min(1000, count - from) }, (_, i) => {
      const body = bodyOf(from + i);
      bytes += body.length;
      return toRecord(body, parseEnvelope(decodeJson(body)), { receivedAt: Date.UTC(2025, 11, 1) });
    });
    await log.publish(WEBHOOKS_TOPIC, records);
  }
  return bytes;
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
  const loops = Array.from(
    { length: writers },
    () => startLoop("dataset-writer", { config, pipelineSecret: SECRET, report: () => {} }),
  );
  for (let written = 0; written < count;) {
    await Promise.race([systemClock.wait(100), ...loops.map(({ ended }) => ended)]);
    const committed = await log.committed(WEBHOOKS_TOPIC, DATASET_WRITER_GROUP);
    written = committed.reduce<number>((sum, nextOffset) => sum + (nextOffset ?? 0), 0);
    progress(written);
  }
  for (const loop of loops) loop.drain();
  await Promise.all(loops.map(({ ended }) => ended));
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
const bytes = await fill(ingest);
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
