import { expect, test } from "vitest";
import { until } from "../tests/support/until.ts";
import type { SettingBreach } from "../topic/topic.ts";
import { fakeLog } from "./fixtures/fake_log.ts";
import { startTestIngest } from "./fixtures/test_ingest.ts";

test("a setting of the topic that breaks a promise shows in /readyz, in the log and in the metrics", async () => {
  const words = 'topic "posthog.webhooks" has max.message.bytes=1000';
  const breach: SettingBreach = {
    topic: "posthog.webhooks",
    setting: "max.message.bytes",
    loses: false,
    words,
  };
  const log = Object.assign(fakeLog(), { breaches: () => Promise.resolve([breach]) });
  await using held = new AsyncDisposableStack();
  const ingest = await startTestIngest({ log });
  held.defer(() => ingest.remove());
  const readiness = await until("it shows", async () => {
    const answer = await (await fetch(`${ingest.url}/readyz`)).json();
    return answer.warnings && answer;
  });
  expect(readiness).toMatchObject({ status: "ready", warnings: [words] });
  expect(ingest.said).toEqual([`${words}.`]);
  const metrics = await (await fetch(`${ingest.url}/metrics`)).text();
  expect(metrics).toMatch(/^ingest_topic_setting_breaches 1$/m);
});
