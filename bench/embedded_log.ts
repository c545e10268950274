/**
 * How many durable records per second does the embedded log take and give, and what does a shared commit buy?
 *
 * `deno run -A bench/embedded_log.ts [--seconds 3]`: 900-byte values, keys of 500 users over 6 partitions, everything
 * in a temporary directory of this disk. The yardstick is one record per fsync, appended to a plain file.
 */
import { join } from "node:path";
import { WEBHOOKS_TOPIC, writerOf } from "../contract/names.ts";
import { WEBHOOKS_TOPIC_SPEC } from "../topic/raw_topics.ts";
import { readScriptOptions } from "../runtime/script_options.ts";
import { openSqliteLog } from "../topic/sqlite/log.ts";
import type { RecordToPublish, TopicLog } from "../topic/topic.ts";

const VALUE = new TextEncoder().encode(JSON.stringify({ event: "generation_failed", text: "x".repeat(850) }));
const KEYS = Array.from({ length: 500 }, (_, i) => new TextEncoder().encode(`user-${i}`));

function record(number: number): RecordToPublish {
  const headers = {
    id: `019ad56c-5168-7457-bac6-${number.toString().padStart(12, "0")}`,
    event: "generation_failed",
  };
  return { key: KEYS[number % KEYS.length]!, value: VALUE, headers, timestamp: Date.now() };
}

/** Units of work per second that `work` does, counted over `seconds`. */
async function rate(seconds: number, work: () => Promise<number>): Promise<number> {
  const begin = performance.now();
  let done = 0;
  while (performance.now() - begin < seconds * 1_000) done += await work();
  return done / ((performance.now() - begin) / 1_000);
}

function oneFsyncPerRecord(directory: string, seconds: number): Promise<number> {
  const file = Deno.openSync(join(directory, "plain"), { append: true, create: true });
  return rate(seconds, () => {
    file.writeSync(VALUE);
    file.syncDataSync();
    return Promise.resolve(1);
  }).finally(() => file.close());
}

async function acknowledged(log: TopicLog, concurrency: number, seconds: number): Promise<number> {
  const rates = await Promise.all(
    Array.from({ length: concurrency }, (_, i) =>
      rate(seconds, async () => {
        await log.publish(WEBHOOKS_TOPIC, [record(i++)]);
        return 1;
      })),
  );
  return rates.reduce((sum, one) => sum + one, 0);
}

function appended(log: TopicLog, seconds: number): Promise<number> {
  const batch = Array.from({ length: 500 }, (_, i) => record(i));
  return rate(seconds, async () => (await log.publish(WEBHOOKS_TOPIC, batch)).length);
}

async function read(log: TopicLog): Promise<number> {
  const begin = performance.now();
  let records = 0;
  for (const { partition, startOffset, endOffset } of await log.bounds(WEBHOOKS_TOPIC)) {
    for await (const batch of log.read(WEBHOOKS_TOPIC, { partition, from: startOffset, until: endOffset })) {
      records += batch.records.length;
    }
  }
  return records / ((performance.now() - begin) / 1_000);
}

async function consumed(log: TopicLog): Promise<number> {
  const wanted = (await log.bounds(WEBHOOKS_TOPIC)).reduce((sum, { endOffset }) => sum + endOffset, 0);
  const all = Promise.withResolvers<void>();
  const begin = performance.now();
  let records = 0;
  const consumption = log.consume({
    topic: WEBHOOKS_TOPIC,
    group: "bench",
    handler: {
      assigned: () => Promise.resolve(null),
      handle: (batch) => {
        records += batch.records.length;
        if (records >= wanted) all.resolve();
        return Promise.resolve("handled");
      },
      revoked: () => Promise.resolve(),
    },
  });
  await all.promise;
  const perSecond = records / ((performance.now() - begin) / 1_000);
  await consumption.stop();
  return perSecond;
}

/** Milliseconds from the call of `publish` to the record in another handle's reader, sorted; 100 records a second. */
async function visibleAfter(dataDir: string, publisher: TopicLog, samples: number): Promise<number[]> {
  const follower = openSqliteLog({ dataDir, role: "processor", writerOf });
  const stop = new AbortController();
  const { endOffset } = (await follower.bounds(WEBHOOKS_TOPIC))[0]!;
  const waits: number[] = [];
  const following = (async () => {
    const options = { partition: 0, from: endOffset, signal: stop.signal };
    for await (const { records } of follower.read(WEBHOOKS_TOPIC, options)) {
      for (const { headers } of records) waits.push(performance.now() - Number(headers.sent));
    }
  })();
  for (let i = 0; i < samples; i++) {
    const sent = { ...record(i), partition: 0, headers: { sent: String(performance.now()) } };
    await publisher.publish(WEBHOOKS_TOPIC, [sent]);
    await new Promise((resolve) => setTimeout(resolve, 5 + Math.random() * 10));
  }
  while (waits.length < samples) await new Promise((resolve) => setTimeout(resolve, 10));
  stop.abort();
  await following;
  await follower.close();
  return waits.sort((a, b) => a - b);
}

async function main(): Promise<void> {
  const usage = "Usage: deno task bench embedded_log [--seconds 3]";
  const seconds = Number(readScriptOptions(usage, { texts: { seconds: "3" } }).seconds);
  const dataDir = await Deno.makeTempDir({ prefix: "bench-embedded-log-", dir: Deno.env.get("BENCH_DIR") });
  try {
    const plain = await oneFsyncPerRecord(dataDir, seconds);
    const line = (what: string, perSecond: number) =>
      console.log(
        `${what.padEnd(46)} ${Math.round(perSecond).toLocaleString("en").padStart(9)}/s   ${
          (perSecond / plain).toFixed(1).padStart(5)
        } × one fsync per record`,
      );
    line("plain file, one record per fsync", plain);
    const log = openSqliteLog({ dataDir, role: "ingest", writerOf });
    await log.ensureTopic(WEBHOOKS_TOPIC_SPEC);
    for (const concurrency of [1, 16, 64, 256]) {
      line(
        `single records acknowledged, ${concurrency} at a time`,
        await acknowledged(log, concurrency, seconds),
      );
    }
    line("records appended, 500 per call", await appended(log, seconds));
    line("records read by position", await read(log));
    line("records consumed by a group, with commits", await consumed(log));
    const waits = await visibleAfter(dataDir, log, 300);
    const percentile = (p: number) => waits[Math.floor(waits.length * p)]!.toFixed(1);
    console.log(`publish → seen by another handle: p50 ${percentile(0.5)} ms, p99 ${percentile(0.99)} ms`);
    await log.close();
  } finally {
    await Deno.remove(dataDir, { recursive: true });
  }
}

if (import.meta.main) await main();
