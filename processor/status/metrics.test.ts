import { expect, test } from "vitest";
import type { SettingBreach } from "../../topic/topic.ts";
import { createProcessorMetrics } from "./metrics.ts";

test("settings of topics that break a promise are in the metrics while they do", async () => {
  const breach: SettingBreach = {
    topic: "discount.facts",
    setting: "cleanup.policy",
    loses: true,
    words: "",
  };
  let breaches: SettingBreach[] = [breach];
  const metrics = createProcessorMetrics({ uncaught: () => 0, breaches: () => breaches });
  const status = {
    log: "kafka" as const,
    groups: [],
    dataset: { records: 0, bytes: 0, files: 0 },
    offers: {},
    mails: {},
    deadLetters: { total: 0, byReason: {} },
  };
  const text = () => metrics.text(status as unknown as Parameters<typeof metrics.text>[0]);
  expect(await text()).toContain(
    'processor_topic_setting_breaches{topic="discount.facts",setting="cleanup.policy"} 1',
  );
  breaches = [];
  expect(await text()).not.toContain("processor_topic_setting_breaches{");
});
