import { join } from "node:path";
import { systemClock } from "../runtime/clock.ts";
import { DATASET_WRITER_GROUP, WEBHOOKS_TOPIC } from "../contract/names.ts";
import { readProcessorConfig } from "../processor/config.ts";
import { readScriptOptions } from "../runtime/script_options.ts";
import { SECRET, sums } from "../processor/dataset/fixtures/run.ts";
import { fillTopic } from "../tests/support/replay_topic.ts";
import { spawnProgram } from "../tests/support/run_command.ts";
import { openTopicLog } from "../topic/open_topic.ts";
import { hasCommitted } from "./support/filled_topic.ts";

/**
 * How many records per second a replay rebuilds (all of the command: start, look for erasures, build, swap, comparison)
 * and a check reads, against the live dataset writer on the same topic, each as a process of its own, one after the
 * other on the embedded log; and whether the bytes are the same.
 *
 *     deno run -A bench/replay.ts [--records 1000000] [--kills 10] [--json]
 *
 * `--kills`: replays that are killed with -9 at seeded moments before one may come to its end.
 */
const { records: count, kills, json } = readScriptOptions(
  "Usage: deno task bench replay [--records 1000000] [--kills 10] [--json]",
  { numbers: { records: [1, 1_000_000, 1e8], kills: [0, 10, 1_000] }, flags: ["json"] },
);
const DEDUP_WINDOW = "100000";

const dataDir = await Deno.makeTempDir({ prefix: "bench-replay-" });
const env = { DATA_DIR: dataDir, PIPELINE_SECRET: SECRET, DEDUP_WINDOW };

async function untilWritten(): Promise<number> {
  const log = await openTopicLog(readProcessorConfig(env).log, "command");
  try {
    while (!(await hasCommitted(log, DATASET_WRITER_GROUP))) await systemClock.wait(50);
    const bounds = await log.bounds(WEBHOOKS_TOPIC);
    return bounds.reduce((sum, { startOffset, endOffset }) => sum + endOffset - startOffset, 0);
  } finally {
    await log.close();
  }
}

async function seconds(act: () => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  await act();
  return (performance.now() - begin) / 1000;
}

async function run(...args: string[]): Promise<void> {
  const child = spawnProgram("tools/replay/main.ts", { args, env });
  const { code, stderr } = await child.output();
  if (code !== 0) throw new Error(new TextDecoder().decode(stderr));
}

const log = await openTopicLog(readProcessorConfig(env).log, "ingest");
await fillTopic(log, { seed: 1, count, dedupWindow: Number(DEDUP_WINDOW) });
await log.close();

let records = 0;
const writing = await seconds(async () => {
  const writer = spawnProgram("processor/dataset/fixtures/writer_process.ts", { args: [SECRET, "500"], env });
  records = await untilWritten();
  writer.kill("SIGTERM");
  await writer.output();
});
const live = sums(dataDir);
const replaying = await seconds(() => run());
const checking = await seconds(() => run("--check"));
const same = () => JSON.stringify(sums(dataDir)) === JSON.stringify(live);
const sameOnce = same();

let [killed, seed] = [0, 1];
const root = () => Deno.realPathSync(join(dataDir, "dataset"));
const first = root();
while (killed < kills) {
  seed = (seed * 48271) % 2147483647;
  const child = spawnProgram("tools/replay/main.ts", { env });
  const output = child.output();
  await systemClock.wait(seed / 2147483647 * replaying * 1000);
  try {
    child.kill("SIGKILL");
    killed++;
  } catch {
    // It was done before.
  }
  await output;
}
await run();
const sameAfterKills = same() && root() !== first;
await Deno.remove(dataDir, { recursive: true });

const perSecond = (time: number) => Math.round(records / time);
const result = {
  records,
  writer: { seconds: writing, perSecond: perSecond(writing) },
  replay: { seconds: replaying, perSecond: perSecond(replaying), same: sameOnce },
  check: { seconds: checking, perSecond: perSecond(checking) },
  killed,
  sameAfterKills,
  loadAverage: Deno.loadavg()[0],
};
if (json) console.log(JSON.stringify(result));
else {
  console.log(`${records} records`);
  console.log(`live dataset writer   ${result.writer.perSecond} records/s`);
  console.log(`replay, swap included ${result.replay.perSecond} records/s, same bytes: ${sameOnce}`);
  console.log(`check                 ${result.check.perSecond} records/s`);
  console.log(`killed ${killed} times and resumed, same bytes: ${sameAfterKills}`);
}
if (!sameOnce || !sameAfterKills) Deno.exit(1);
