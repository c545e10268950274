import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { DISCOUNT_OFFERS_GROUP } from "../contract/names.ts";
import { readProcessorConfig } from "./config.ts";
import type { FromWorker } from "./loop_messages.ts";
import { loadLoop, seatsOf, startLoop } from "./start_loop.ts";

let folder: string;
let dataDir: string;
beforeEach(async () => {
  folder = await Deno.makeTempDir();
  dataDir = join(folder, "data");
});
afterEach(() => Deno.remove(folder, { recursive: true }));

const configOf = () =>
  readProcessorConfig({ DATA_DIR: dataDir, PROCESSOR_GROUPS: `dataset-writer,${DISCOUNT_OFFERS_GROUP}` });
const orders = () => ({ config: configOf(), pipelineSecret: "s".repeat(32), report: () => {} });

test("loops that have loaded touch nothing before they are started", async () => {
  const loaded = seatsOf(configOf()).map(({ loop }) => loadLoop(loop));
  const answers = await Promise.all(loaded.map(({ worker }) => {
    const answer = new Promise<FromWorker>((resolve) => worker.onmessage = ({ data }) => resolve(data));
    worker.postMessage({ order: "find", ask: 1, ids: [] });
    return answer;
  }));
  expect(answers).toEqual(Array(4).fill({ kind: "found", ask: 1, findings: [] }));
  for (const { worker } of loaded) worker.terminate();
  expect([...Deno.readDirSync(folder)]).toEqual([]);
});

test("a loop whose Worker died while it loaded ends with its words, also where it is started only then", async () => {
  const module = new URL(`data:text/javascript,throw new Error("not on this machine")`);
  const loaded = loadLoop("offer-view", module);
  await expect(loaded.failed).rejects.toThrow("not on this machine");
  const loop = startLoop("offer-view", { ...orders(), loaded });
  await expect(loop.ended).rejects.toThrow("not on this machine");
  expect(await loop.find(["id"])).toEqual([]);
});
