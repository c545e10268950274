import process from "node:process";
import { systemClock } from "../runtime/clock.ts";
import { createKeyedHashes } from "../contract/keyed_hash.ts";
import { DISCOUNT_OFFERS_GROUP, WEBHOOKS_TOPIC } from "../contract/names.ts";
import { readProcessorConfig } from "../processor/config.ts";
import { confirmSecret } from "../processor/facts/identity.ts";
import { readScriptOptions } from "../runtime/script_options.ts";
import { startKafkaBroker } from "../tests/support/kafka_broker.ts";
import { openTopicLog } from "../topic/open_topic.ts";
import { WEBHOOKS_TOPIC_SPEC } from "../topic/raw_topics.ts";
import type { TopicLog } from "../topic/topic.ts";
import { logOf } from "./support/log_of.ts";
import { fill, hasCommitted, RECEIVED_AT, runLoops, SECRET } from "./support/filled_topic.ts";

const USES = 5;

/**
 * How many records per second discount-offers passes: of new people, whose every record brings facts that are published
 * and applied before the offset is committed, and of settled ones, who bring nothing. Both loops in Workers of their own,
 * as the processor runs them, from the first commit behind the warm-up to the last.
 *
 *     deno run -A bench/offers.ts [--people 10000] [--settled 500000] [--warm-up 2000] [--kafka] [--json]
 *
 * `--people`: new people, with five uses, an address and a person.id each; `--settled`: further uses by the same people.
 * `--warm-up`: other new people before them, not counted, as V8 compiles meanwhile. Of settled ones the first two records of
 * each are not counted: a processor that has just started must look each up once.
 * `--kafka`: on a real Kafka that is started for it, or the one that KAFKA_BROKERS names.
 */
const { people, settled, "warm-up": warmUp, kafka, json } = readScriptOptions(
  "Usage: deno task bench offers [--people 10000] [--settled 500000] [--warm-up 2000] [--kafka] [--json]",
  {
    numbers: { people: [1, 10_000, 1e7], settled: [0, 500_000, 1e8], "warm-up": [0, 2_000, 1e6] },
    flags: ["kafka", "json"],
  },
);

/** Numbers of records: those of the warm-up, of new people, of settled ones. */
const fresh = warmUp * USES;
const known = fresh + people * USES;
const end = known + settled;

function bodyOf(n: number): Uint8Array {
  const hex = (of: number) => of.toString(16).padStart(12, "0");
  const who = n < fresh ? n % warmUp : warmUp + (n - fresh) % people;
  const distinct_id = `019ad56c-5168-7457-bac6-${hex(who)}`;
  return new TextEncoder().encode(JSON.stringify({
    event: {
      uuid: `019ad56c-0000-7000-8000-${hex(n)}`,
      event: "feature_used",
      distinct_id,
      properties: {
        $lib: "web",
        $lib_version: "1.449.2",
        $browser: "Chrome",
        $os: "Linux",
        feature: "summarise",
      },
      elements_chain: "",
      timestamp: new Date(RECEIVED_AT).toISOString(),
    },
    person: {
      id: `019ad56c-1111-7457-bac6-${hex(who)}`,
      properties: { email: `user${who}@example.test` },
      name: distinct_id,
    },
  }));
}

type Measured = {
  readonly records: number;
  readonly perSecond: number;
  readonly cpuSecondsPerMillion: number;
};

/** Passes what the topic holds, and measures from the commit behind `from` on. */
async function passAll(log: TopicLog, from: number): Promise<Measured> {
  const config = { ...readProcessorConfig({ DATA_DIR: dataDir }), log: logConfig };
  const now = (records: number) => ({ records, at: performance.now(), cpu: process.cpuUsage() });
  let [begin, last] = [now(0), now(0)];
  const isDone = async () => {
    const committed = await log.committed(WEBHOOKS_TOPIC, DISCOUNT_OFFERS_GROUP);
    last = now(committed.reduce<number>((sum, nextOffset) => sum + (nextOffset ?? 0), 0));
    if (begin.records === 0 && last.records >= from) begin = last;
    return await hasCommitted(log, DISCOUNT_OFFERS_GROUP);
  };
  await runLoops(["offer-view", "discount-offers"], { config, lookMs: 20, isDone });
  const records = last.records - begin.records;
  const cpuMicros = last.cpu.user - begin.cpu.user + last.cpu.system - begin.cpu.system;
  return {
    records,
    perSecond: Math.round(records / (last.at - begin.at) * 1000),
    cpuSecondsPerMillion: Math.round(cpuMicros / records * 10) / 10,
  };
}

const dataDir = await Deno.makeTempDir();
const broker = kafka ? await startKafkaBroker() : null;
const logConfig = logOf(broker, { prefix: `bench${crypto.randomUUID()}.`, dataDir });
const log = await openTopicLog(logConfig, "ingest");
await log.ensureTopic(WEBHOOKS_TOPIC_SPEC);
await confirmSecret(log, { ranBefore: null, hashes: createKeyedHashes(SECRET), clock: systemClock });

await fill(log, { from: 0, until: known, bodyOf });
const ofNew = await passAll(log, Math.max(1, fresh));
await fill(log, { from: known, until: end, bodyOf });
const ofSettled = settled === 0 ? null : await passAll(log, known + Math.min(2 * people, settled - 1));
await log.close();
await broker?.stop();
await Deno.remove(dataDir, { recursive: true });

const result = { log: logConfig.kind, new: ofNew, settled: ofSettled };
if (json) console.log(JSON.stringify(result));
else {
  for (const [who, measured] of [["new", ofNew], ["settled", ofSettled]] as const) {
    if (measured === null) continue;
    const { records, perSecond, cpuSecondsPerMillion } = measured;
    console.log(
      `${
        who.padEnd(8)
      } ${records} records, ${perSecond} records/s, ${cpuSecondsPerMillion} CPU s per million`,
    );
  }
}
