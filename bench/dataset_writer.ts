import { join, resolve } from "node:path";
import { DATASET_WRITER_GROUP, WEBHOOKS_TOPIC } from "../contract/names.ts";
import { logError } from "../runtime/printable.ts";
import { readScriptOptions } from "../runtime/script_options.ts";
import { startKafkaBroker } from "../tests/support/kafka_broker.ts";
import type { LogConfig, LogRole } from "../topic/log_config.ts";
import { openTopicLog } from "../topic/open_topic.ts";
import { WEBHOOKS_TOPIC_SPEC } from "../topic/raw_topics.ts";
import type { TopicLog } from "../topic/topic.ts";
import { bodyOf, isTraining, PEOPLE } from "./support/envelopes.ts";
import { fill } from "./support/filled_topic.ts";
import { logOf } from "./support/log_of.ts";
import { type Measured, medians } from "./support/measuring.ts";
import { measurePeer } from "./support/peer.ts";
import { runWriterProcess, type WriterOrder } from "./support/writer_process.ts";

/**
 * How many records per second pass through the dataset writer (dedup, sanitiser, files, manifest, syncs), and what they
 * cost in CPU time, against reading the same records from the same topic and JSON-parsing them alone, another checkout's
 * writer, another program, and `kcat -C`. Each has a process of its own; they take turns, round by round, and the
 * medians are shown: what counts is the ratio. The first records of each are not counted: a processor runs for days, and
 * what V8 takes to compile it would be a tenth of so short a run. The count begins once all partitions are open and have
 * their files and manifests.
 *
 *     deno run -A bench/dataset_writer.ts [--records 300000] [--warm-up 100000] [--rounds 3] [--training 1] [--writer-of DIR]
 *       [--kafka [--writers 1] [--peer PATH]] [--json]
 *
 * Envelopes have 763 bytes on average, of 5,000 people with a name each, with prompts of four kinds.
 *
 * `--kafka`: from a real Kafka that is started for it (or the one that KAFKA_BROKERS names), beside `kcat -C` of the
 * same topic where that is installed.
 * `--writers`: DATASET_WRITERS; more than one only on Kafka.
 * `--writer-of`: another checkout, such as the build of before, with its packages installed: its writer takes turns with
 * this one's.
 * `--peer`: a program that takes a pipeline as `-c FILE`, as Benthos 4 and Redpanda Connect do; Linux only.
 * `--training`: share of records that become lines; the others are `feature_used`.
 */
const USAGE =
  "Usage: deno task bench dataset_writer [--records 300000] [--warm-up 100000] [--rounds 3] [--training 1] " +
  "[--writer-of DIR] [--kafka [--writers 1] [--peer PATH]] [--json]";
const { records: count, "warm-up": warmUp, rounds, writers, "writer-of": writerOf, peer, ...values } =
  readScriptOptions(USAGE, {
    numbers: {
      records: [1, 300_000, 1e8],
      "warm-up": [0, 100_000, 1e8],
      rounds: [1, 3, 99],
      writers: [1, 1, 64],
    },
    texts: { training: "1", "writer-of": "", peer: "" },
    flags: ["kafka", "json"],
  });
const training = Number(values.training);
const refuse = (message: string) => {
  logError(message);
  Deno.exit(2);
};
if (warmUp >= count) refuse(`Cannot count ${count} records after ${warmUp} to warm up: give more --records.`);
if (peer !== "" && !values.kafka) {
  refuse("Cannot measure a peer on the embedded log: give --kafka with --peer.");
}
if (peer !== "" && Deno.build.os !== "linux") {
  refuse(
    `Cannot measure a peer on ${Deno.build.os}: its CPU time is read from Linux's /proc. Leave --peer out.`,
  );
}

/** `kcat -C` of the same topic, written to nothing; null where it is not installed. */
async function measureKcat(log: LogConfig & { kind: "kafka" }): Promise<Measured | null> {
  const args = ["-C", "-q", "-e", "-b", log.brokers.join(","), "-t", log.prefix + WEBHOOKS_TOPIC];
  const begin = performance.now();
  const ended = await new Deno.Command("kcat", { args, stdout: "null", stderr: "null" }).output().catch(() =>
    null
  );
  if (!ended?.success) return null;
  const perSecond = Math.round(count / (performance.now() - begin) * 1000);
  return {
    records: count,
    perSecond,
    cpuSecondsPerMillion: null,
    cpuSecondsPerMillionInAll: null,
    rssMbMax: null,
  };
}

const HERE = resolve(import.meta.dirname!, "..");
const tempDir = await Deno.makeTempDir();
const broker = values.kafka ? await startKafkaBroker() : null;
const prefix = `bench${crypto.randomUUID()}.`;
const logConfig = (dataDir: string) => logOf(broker, { prefix, dataDir, embeddedIn: tempDir });

type Contestant = { readonly name: string; readonly measure: (dir: string) => Promise<Measured | null> };

function contestants(looking: TopicLog): readonly Contestant[] {
  const inProcess = (part: Pick<WriterOrder, "checkout" | "what">) => (dataDir: string) =>
    runWriterProcess({ ...part, log: logConfig(dataDir), dataDir, records: count, warmUp, writers });
  const lines = Array.from({ length: count }, (_, n) => isTraining(n, training)).filter(Boolean).length;
  const all: Contestant[] = [{ name: "writer", measure: inProcess({ checkout: HERE, what: "write" }) }];
  if (writerOf !== "") {
    all.push({ name: "writerOf", measure: inProcess({ checkout: resolve(writerOf), what: "write" }) });
  }
  const log = logConfig(tempDir);
  if (log.kind === "kafka") {
    if (peer !== "") {
      const order = { program: peer, log, records: count, lines, warmUp };
      all.push({
        name: "peer",
        measure: (dir) => measurePeer({ ...order, dir, group: `peer-${crypto.randomUUID()}` }, looking),
      });
    }
    all.push({ name: "kcat", measure: () => measureKcat(log) });
  }
  return [...all, { name: "alone", measure: inProcess({ checkout: HERE, what: "parse" }) }];
}

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
  return await fill(log, { from: 0, until: count, bodyOf: (n) => bodyOf(n, training) });
}

async function takeTurns(log: TopicLog): Promise<void> {
  // A broker loads its groups when it is first asked for one.
  await log.committed(WEBHOOKS_TOPIC, DATASET_WRITER_GROUP);
  const all = contestants(log);
  for (let round = 1; round <= rounds; round++) {
    for (const { name, measure } of all) {
      const dir = join(tempDir, `${name}-${round}`);
      await Deno.mkdir(dir);
      const one = await measure(dir);
      if (one !== null) measured.set(name, [...measured.get(name) ?? [], one]);
      await Deno.remove(dir, { recursive: true });
    }
  }
}

let bytes = 0;
const measured = new Map<string, Measured[]>();
try {
  bytes = await withLog("ingest", fillTopic);
  await withLog("command", takeTurns);
} catch (error) {
  logError((error as Error).message);
  Deno.exitCode = 1;
} finally {
  await broker?.stop();
  await Deno.remove(tempDir, { recursive: true });
}
if (Deno.exitCode !== 0) Deno.exit();

const round2 = (value: number) => Math.round(value * 100) / 100;
const figures = Object.fromEntries([...measured].map(([name, all]) => [name, medians(all)]));
const { writer, alone, kcat, ...others } = figures as
  & Record<"writer" | "alone", Measured>
  & Record<string, Measured>;
const times = (more: number | null, less: number | null) =>
  more === null || less === null ? null : round2(more / less);
/** Ours against another's: how many times its rate, and how many times less CPU time. */
const against = (other: Measured) => ({
  rate: round2(writer.perSecond / other.perSecond),
  cpu: times(other.cpuSecondsPerMillion, writer.cpuSecondsPerMillion),
  cpuInAll: times(other.cpuSecondsPerMillionInAll, writer.cpuSecondsPerMillionInAll),
});
const result = {
  records: count,
  bytesPerRecord: Math.round(bytes / count),
  people: Math.min(PEOPLE, count),
  warmUp,
  rounds,
  training,
  writers,
  writer,
  ...others,
  alone,
  ratio: against(alone).rate,
  against: Object.fromEntries(Object.entries(others).map(([name, other]) => [name, against(other)])),
  kcat: kcat?.perSecond ?? null,
};

const NAMES: Readonly<Record<string, string>> = {
  writer: "dataset writer",
  writerOf: `the writer of ${writerOf}`,
  peer,
  kcat: "kcat -C",
  alone: "read and JSON-parsed alone",
};
if (values.json) console.log(JSON.stringify(result));
else {
  console.log(
    `${count} records of ${result.bytesPerRecord} bytes, ${result.people} people, ${
      training * 100
    } % training events; ` +
      `the first ${warmUp} and what opening took are not counted; medians of ${rounds}.\n` +
      `CPU s/M: CPU seconds per million records; in all: of the whole process, start and warm-up included\n`,
  );
  const rows = [...measured.keys()].map((name) => {
    const one = figures[name]!;
    const ratio = name === "writer" ? null : against(one);
    const cpu = [one.cpuSecondsPerMillion, one.cpuSecondsPerMillionInAll];
    return [NAMES[name]!, one.perSecond, ...cpu, one.rssMbMax, ratio?.rate, ratio?.cpu, ratio?.cpuInAll];
  });
  const head = ["", "records/s", "CPU s/M", "in all", "RSS MB", "rate: ours÷its", "CPU: its÷ours", "in all"];
  const width = Math.max(...rows.map(([name]) => String(name).length));
  for (const row of [head, ...rows]) {
    console.log(
      row.map((cell, n) =>
        n === 0 ? String(cell).padEnd(width) : String(cell ?? "–").padStart(head[n]!.length)
      )
        .join("  ").trimEnd(),
    );
  }
}
