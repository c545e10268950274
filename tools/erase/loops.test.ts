import { expect, test } from "vitest";
import { readProcessorConfig } from "../../processor/config.ts";
import { FACTS_TOPIC_SPEC } from "../../processor/facts/topic.ts";
import { MemoryLog } from "../../tests/support/memory_log.ts";
import { WEBHOOKS_TOPIC_SPEC } from "../../topic/raw_topics.ts";
import { datasetBehind } from "./loops.ts";

test("an erasure that does the writer's work waits until that has begun; where nobody writes a dataset it does not", async () => {
  const log = new MemoryLog();
  await log.ensureTopic(WEBHOOKS_TOPIC_SPEC);
  await log.ensureTopic(FACTS_TOPIC_SPEC);
  const config = readProcessorConfig({ DATA_DIR: "/nowhere" });
  const asked = { config, bucket: null, positions: [{ partition: 0, offset: 0 }] };
  expect(await datasetBehind(log, { ...asked, own: true })).toMatch(/has not named its dataset yet/);
  expect(await datasetBehind(log, { ...asked, own: false })).toBeNull();
});
