import process from "node:process";
import { parseArgs } from "node:util";
import { systemClock } from "../runtime/clock.ts";
import { decodeJson, parseEnvelope, toRecord } from "../contract/envelope.ts";
import { createKeyedHashes } from "../contract/keyed_hash.ts";
import { DISCOUNT_OFFERS_GROUP, WEBHOOKS_TOPIC } from "../contract/names.ts";
import { readProcessorConfig } from "../processor/config.ts";
import { startLoop } from "../processor/start_loop.ts";
import { confirmSecret } from "../processor/facts/identity.ts";
import { openTopicLog } from "../topic/open_topic.ts";
import { WEBHOOKS_TOPIC_SPEC } from "../topic/raw_topics.ts";
import type { TopicLog } from "../topic/topic.ts";

/**
 * How many records per second discount-offers passes: of new people, whose every record brings facts that are published
 * and applied before the offset is committed, and of settled ones, who bring nothing. Both loops in Workers of their own
 * on the embedded log, as the processor runs them; timed from their start to the last commit.
 *
 *     deno run -A bench/offers.ts [--people 10000] [--settled 300000] [--json]
 *
 * `--people`: new people, with five uses, an address and a person.id each; `--settled`: further uses by the same people.
 */
const { values } = parseArgs({
  options: {
    people: { type: "string", default: "10000" },
    settled: { type: "string", default: "300000" },
    json: { type: "boolean", default: false },
  },
});
const people = Number(values.people);
const settled = Number(values.settled);
const SECRET = "a secret for a benchmark";
const RECEIVED_AT = Date.UTC(2025, 11, 1);

function bodyOf(n: number): Uint8Array {
  const hex = (of: number) => of.toString(16).padStart(12, "0");
  const distinct_id = `019ad56c-5168-7457-bac6-${hex(n % people)}`;
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
      id: `019ad56c-1111-7457-bac6-${hex(n % people)}`,
      properties: { email: `user${n % people}@example.test` },
      name: distinct_id,
    },
  }));
}

async function fill(log: TopicLog, { from, until }: { from: number; until: number }): Promise<void> {
  for (let first = from; first < until; first += 1000) {
    const records = Array.from({ length: Math.min(1000, until - first) }, (_, i) => {
      const body = bodyOf(first + i);
      return toRecord(body, parseEnvelope(decodeJson(body)), { receivedAt: RECEIVED_AT });
    });
    await log.publish(WEBHOOKS_TOPIC, records);
  }
}

async function isCommitted(log: TopicLog): Promise<boolean> {
  const committed = await log.committed(WEBHOOKS_TOPIC, DISCOUNT_OFFERS_GROUP);
  const bounds = await log.bounds(WEBHOOKS_TOPIC);
  return bounds.every((one) =>
    one.endOffset === one.startOffset || committed[one.partition] === one.endOffset
  );
}

async function passAll(log: TopicLog, dataDir: string) {
  const config = readProcessorConfig({ DATA_DIR: dataDir });
  const begin = performance.now();
  const cpu = process.cpuUsage();
  const loops = (["offer-view", "discount-offers"] as const).map((loop) =>
    startLoop(loop, { config, pipelineSecret: SECRET, report: () => {} })
  );
  while (!(await isCommitted(log))) {
    await Promise.race([systemClock.wait(20), ...loops.map(({ ended }) => ended)]);
  }
  const seconds = (performance.now() - begin) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  for (const loop of loops) loop.drain();
  await Promise.all(loops.map(({ ended }) => ended));
  return { seconds, cpuSeconds: Math.round((user + system) / 1e4) / 100 };
}

const dataDir = await Deno.makeTempDir();
const log = await openTopicLog({ kind: "embedded", dataDir }, "command");
await log.ensureTopic(WEBHOOKS_TOPIC_SPEC);
await confirmSecret(log, { ranBefore: null, hashes: createKeyedHashes(SECRET), clock: systemClock });

await fill(log, { from: 0, until: people * 5 });
const fresh = await passAll(log, dataDir);
await fill(log, { from: people * 5, until: people * 5 + settled });
const known = await passAll(log, dataDir);
await log.close();
await Deno.remove(dataDir, { recursive: true });

const result = {
  new: {
    records: people * 5,
    perSecond: Math.round(people * 5 / fresh.seconds),
    cpuSeconds: fresh.cpuSeconds,
  },
  settled: { records: settled, perSecond: Math.round(settled / known.seconds), cpuSeconds: known.cpuSeconds },
};
if (values.json) console.log(JSON.stringify(result));
else {
  for (const [who, { records, perSecond, cpuSeconds }] of Object.entries(result)) {
    console.log(`${who.padEnd(8)} ${records} records, ${perSecond} records/s, ${cpuSeconds} CPU s`);
  }
}
