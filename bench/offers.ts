import process from "node:process";
import { systemClock } from "../runtime/clock.ts";
import { createKeyedHashes } from "../contract/keyed_hash.ts";
import { DISCOUNT_OFFERS_GROUP } from "../contract/names.ts";
import { readProcessorConfig } from "../processor/config.ts";
import { confirmSecret } from "../processor/facts/identity.ts";
import { readScriptOptions } from "../runtime/script_options.ts";
import { openTopicLog } from "../topic/open_topic.ts";
import { WEBHOOKS_TOPIC_SPEC } from "../topic/raw_topics.ts";
import type { TopicLog } from "../topic/topic.ts";
import { fill, hasCommitted, RECEIVED_AT, runLoops, SECRET } from "./support/filled_topic.ts";

/**
 * How many records per second discount-offers passes: of new people, whose every record brings facts that are published
 * and applied before the offset is committed, and of settled ones, who bring nothing. Both loops in Workers of their own
 * on the embedded log, as the processor runs them; timed from their start to the last commit.
 *
 *     deno run -A bench/offers.ts [--people 10000] [--settled 300000] [--json]
 *
 * `--people`: new people, with five uses, an address and a person.id each; `--settled`: further uses by the same people.
 */
const { people, settled, json } = readScriptOptions(
  "Usage: deno task bench offers [--people 10000] [--settled 300000] [--json]",
  { numbers: { people: [1, 10_000, 1e7], settled: [0, 300_000, 1e8] }, flags: ["json"] },
);

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

async function passAll(log: TopicLog, dataDir: string) {
  const config = readProcessorConfig({ DATA_DIR: dataDir });
  const begin = performance.now();
  const cpu = process.cpuUsage();
  let [seconds, cpuMicros] = [0, 0];
  const isDone = async () => {
    const isOver = await hasCommitted(log, DISCOUNT_OFFERS_GROUP);
    const { user, system } = process.cpuUsage(cpu);
    [seconds, cpuMicros] = [(performance.now() - begin) / 1000, user + system];
    return isOver;
  };
  await runLoops(["offer-view", "discount-offers"], { config, lookMs: 20, isDone });
  return { seconds, cpuSeconds: Math.round(cpuMicros / 1e4) / 100 };
}

const dataDir = await Deno.makeTempDir();
const log = await openTopicLog({ kind: "embedded", dataDir }, "command");
await log.ensureTopic(WEBHOOKS_TOPIC_SPEC);
await confirmSecret(log, { ranBefore: null, hashes: createKeyedHashes(SECRET), clock: systemClock });

await fill(log, { from: 0, until: people * 5, bodyOf });
const fresh = await passAll(log, dataDir);
await fill(log, { from: people * 5, until: people * 5 + settled, bodyOf });
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
if (json) console.log(JSON.stringify(result));
else {
  for (const [who, { records, perSecond, cpuSeconds }] of Object.entries(result)) {
    console.log(`${who.padEnd(8)} ${records} records, ${perSecond} records/s, ${cpuSeconds} CPU s`);
  }
}
