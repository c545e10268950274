import type { ObjectsConfig } from "../../processor/dataset/objects/config.ts";
import type { LoopMessage } from "../../processor/loop/loop.ts";
import type { LogConfig } from "../../topic/log_config.ts";
import type { TopicLog } from "../../topic/topic.ts";
import { SECRET } from "./filled_topic.ts";
import { type Measured, ownCpuMicros, Stretch } from "./measuring.ts";

/**
 * One measurement in a process of its own, with the modules of a checkout: the dataset writer in a Worker, as in the
 * processor, or reading the same records and JSON-parsing them alone. Its one argument is an order as JSON; it prints
 * what it measured as JSON.
 */
export type WriterOrder = {
  /** The directory whose modules are measured: this tree's, or another checkout's. */
  readonly checkout: string;
  readonly what: "write" | "parse";
  readonly log: LogConfig;
  /** Empty: the dataset and all else that this process keeps go there. */
  readonly dataDir: string;
  /** What the topic holds. */
  readonly records: number;
  readonly warmUp: number;
  /** Writers in a Worker each. */
  readonly writers: number;
  /** Default: the dataset is a directory. */
  readonly bucket?: ObjectsConfig | undefined;
  /**
   * Counts by what the writers have handled, and ends when they have been told to let go and all of it is durable: what
   * becomes durable in large pieces is counted whole. Default: by what is durable.
   */
  readonly untilLetGo?: boolean | undefined;
  /** V8's flags and all else that `deno task processor` sets, for a bucket what a pod's memory has. Default: Deno's own. */
  readonly asService?: boolean | undefined;
};

/** Between two looks at how much was handled, in ms. */
const LOOK_EVERY_MS = 20;
/** Between two looks at the memory, in ms. */
const SAMPLE_EVERY_MS = 100;

/** Runs an order; what the process says of trouble goes to standard error. */
export async function runWriterProcess(order: WriterOrder): Promise<Measured> {
  const flags = [`--config=${order.checkout}/deno.json`];
  if (order.asService) flags.push(`--env-file=${order.checkout}/runtime/telemetry/processor.env`);
  const { success, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", ...flags, import.meta.filename!, JSON.stringify(order)],
    env: order.asService && order.bucket ? podMemory(order.checkout) : {},
    stderr: "inherit",
  }).output();
  if (!success) {
    throw new Error(
      `Cannot measure the checkout ${order.checkout}: its process said why.`,
    );
  }
  return JSON.parse(new TextDecoder().decode(stdout));
}

/** What bounds the memory of a writer into a bucket in deploy/kubernetes/. */
function podMemory(checkout: string): Record<string, string> {
  const manifest = Deno.readTextFileSync(`${checkout}/deploy/kubernetes/base/processor.yaml`);
  const found = manifest.matchAll(/name: (DENO_V8_FLAGS|MALLOC_\w+), value: "([^"]+)"/g);
  return Object.fromEntries(found.map(([, name, value]) => [name, value]));
}

if (import.meta.main) {
  try {
    console.log(JSON.stringify(await measure(JSON.parse(Deno.args[0]!))));
    Deno.exit(0);
  } catch (error) {
    console.error((error as Error).message);
    Deno.exit(1);
  }
}

async function measure(order: WriterOrder): Promise<Measured> {
  const load = <T>(path: string): Promise<T> => import(`file://${order.checkout}/${path}`);
  const { openTopicLog } = await load<typeof import("../../topic/open_topic.ts")>("topic/open_topic.ts");
  const log = await openTopicLog(order.log, "processor");
  const stretch = new Stretch(order.warmUp, ownCpuMicros);
  let rss = 0;
  const rssMbAt: number[] = [];
  const sampling = setInterval(sample, SAMPLE_EVERY_MS);
  const measured = await (order.what === "write" ? writeAll : parseAll)(order, { log, load, passed });
  clearInterval(sampling);
  await log.close();
  return { ...measured, rssMbAt };

  /** Answers what was measured once all records have passed. */
  function passed(records: number, isOpen?: () => boolean): Measured | null {
    const now = sample();
    while (records >= order.records / 10 * (rssMbAt.length + 1)) rssMbAt.push(Math.round(now / 1e6));
    if (records >= order.records) return stretch.end(order.records, Math.round(rss / 1e6));
    stretch.passed(records, isOpen);
    return null;
  }

  function sample(): number {
    const now = Deno.memoryUsage().rss;
    rss = Math.max(rss, now);
    return now;
  }
}

type Parts = {
  readonly log: TopicLog;
  readonly load: <T>(path: string) => Promise<T>;
  readonly passed: (records: number, isOpen?: () => boolean) => Measured | null;
};

async function parseAll(_: WriterOrder, { log, load, passed }: Parts): Promise<Measured> {
  const { decodeJson } = await load<typeof import("../../contract/envelope.ts")>("contract/envelope.ts");
  const { WEBHOOKS_TOPIC } = await load<typeof import("../../contract/names.ts")>("contract/names.ts");
  let parsed = 0;
  for (const { partition, startOffset, endOffset } of await log.bounds(WEBHOOKS_TOPIC)) {
    for await (const batch of log.read(WEBHOOKS_TOPIC, { partition, from: startOffset, until: endOffset })) {
      for (const record of batch.records) decodeJson(record.value);
      const measured = passed(parsed += batch.records.length);
      if (measured !== null) return measured;
    }
  }
  throw new Error(`Cannot measure: the topic ended after ${parsed} records.`);
}

async function writeAll(order: WriterOrder, { log, load, passed }: Parts): Promise<Measured> {
  const { systemClock } = await load<typeof import("../../runtime/clock.ts")>("runtime/clock.ts");
  const { WEBHOOKS_TOPIC } = await load<typeof import("../../contract/names.ts")>("contract/names.ts");
  const { createKeyedHashes } = await load<typeof import("../../contract/keyed_hash.ts")>(
    "contract/keyed_hash.ts",
  );
  const { readProcessorConfig } = await load<typeof import("../../processor/config.ts")>(
    "processor/config.ts",
  );
  const { confirmSecret } = await load<typeof import("../../processor/facts/identity.ts")>(
    "processor/facts/identity.ts",
  );
  const { openJsonlDataset } = await load<typeof import("../../processor/dataset/files/dataset.ts")>(
    "processor/dataset/files/dataset.ts",
  );
  const { readManifest } = await load<typeof import("../../processor/dataset/files/manifest.ts")>(
    "processor/dataset/files/manifest.ts",
  );
  const { takeOverDataset } = await load<typeof import("../../processor/dataset/owner.ts")>(
    "processor/dataset/owner.ts",
  );
  const { startLoop } = await load<typeof import("../../processor/start_loop.ts")>("processor/start_loop.ts");

  const read = readProcessorConfig({ DATA_DIR: order.dataDir });
  const config = order.bucket
    ? { ...read, log: order.log, objects: order.bucket }
    : { ...read, log: order.log };
  await confirmSecret(log, { ranBefore: null, hashes: createKeyedHashes(SECRET), clock: systemClock });
  const { dedupWindow } = config;
  const dataset = order.bucket
    ? await (await load<typeof import("../../processor/dataset/open.ts")>("processor/dataset/open.ts"))
      .openDataset(config, { dedupWindow, clock: systemClock, faultPoint: () => {} })
    : openJsonlDataset(config.datasetDir, { dedupWindow, clock: systemClock });
  const { id } = await dataset.identity();
  dataset.close();
  // Another round's dataset is the group's until now. Where a new one begins is its own to say, not the group's offset.
  await takeOverDataset(log, { id, now: Date.now() });

  const filled = (await log.bounds(WEBHOOKS_TOPIC)).filter(({ startOffset, endOffset }) =>
    endOffset > startOffset
  );
  const isOpen = () =>
    order.bucket !== undefined ||
    filled.every(({ partition, startOffset }) =>
      (readManifest(config.datasetDir, partition)?.nextOffset ?? 0) > startOffset
    );
  const startOf = (partition: number) => filled.find((one) => one.partition === partition)?.startOffset ?? 0;
  let written = 0;
  const { promise: all, resolve, reject } = Promise.withResolvers<Measured>();
  // Counted once their chunk is durable.
  const report = (message: LoopMessage) => {
    if (message.kind === "log" && message.level !== "info") console.error(message.text);
    if (message.kind !== "count" || message.counter !== "records") return;
    written += message.by;
    if (order.untilLetGo) return;
    try {
      const measured = passed(written, isOpen);
      if (measured !== null) resolve(measured);
    } catch (error) {
      reject(error);
    }
  };
  const loops = Array.from(
    { length: order.writers },
    () => startLoop("dataset-writer", { config, pipelineSecret: SECRET, report }),
  );
  const ended = Promise.all(loops.map((loop) => loop.ended));
  if (order.untilLetGo) return await measureUntilLetGo();
  const measured = await Promise.race([all, ended.then(() => all)]);
  for (const loop of loops) loop.drain();
  await ended;
  return measured;

  async function measureUntilLetGo(): Promise<Measured> {
    for (let records = 0; records < order.records;) {
      // One that has ended says why, and answers nothing.
      await Promise.race([systemClock.wait(LOOK_EVERY_MS), ended]);
      const found = (await Promise.all(loops.map((loop) => loop.find([])))).flat();
      records = found.reduce((sum, { partition, to }) => sum + to - startOf(partition), 0);
      if (records < order.records) passed(records);
    }
    for (const loop of loops) loop.drain();
    await ended;
    const measured = passed(written);
    if (measured === null) throw new Error(`Cannot measure: ${written} of the records are durable.`);
    return measured;
  }
}
