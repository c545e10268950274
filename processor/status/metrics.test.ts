import { expect, test } from "vitest";
import type { SettingBreach } from "../../topic/topic.ts";
import type { PipelineStatus } from "../../contract/processor_api.ts";
import { countLatencies } from "../loop/latency.ts";
import { createProcessorMetrics, type MetricsNow } from "./metrics.ts";

const status: PipelineStatus = {
  log: "kafka",
  groups: [{
    group: "dataset-writer",
    topic: "posthog.webhooks",
    lag: 7,
    lagSeconds: 3,
    partitions: [{ partition: 0, nextOffset: 1, endOffset: 8, lag: 7, lagSeconds: 3 }],
  }],
  dataset: { records: 0, bytes: 0, files: 0 },
  offers: { counting: 0, waiting: 0, sending: 0, offered: 0, failed: 0, closed: 0 },
  mails: { accepted: 0, deferred: 0, refused: 0, unknown: 0 },
  deadLetters: { total: 0, byReason: {} },
};

const now = (given: Partial<MetricsNow> = {}): MetricsNow => ({
  status,
  ever: { records: 9, lines: 4, duplicates: 2 },
  placeholders: {},
  promptLengths: [],
  lettersByStep: new Map(),
  diskFreeBytes: null,
  ...given,
});

const create = () => createProcessorMetrics({ uncaught: () => 0, breaches: () => [] });

test("totals are what the manifests and the topic of letters say, whatever was counted since the start", async () => {
  const metrics = create();
  metrics.count("lines", 1, "dataset-writer");
  metrics.count("dead_letters", 1, "parse");
  const text = await metrics.text(now({ lettersByStep: new Map([["parse", 5], ["of another program", 1]]) }));
  expect(text).toContain('processor_lines_total{what="dataset-writer"} 4\n');
  expect(text).toContain('processor_records_total{what="dataset-writer"} 9\n');
  expect(text).toContain('processor_dead_letters_total{what="parse"} 5\n');
  expect(text).not.toContain("of another program");
});

test("a log that is away leaves out what nobody knows then, and says so", async () => {
  const metrics = create();
  expect(await metrics.text(now({ status: null }))).not.toContain("processor_dead_letters_total{");
  expect(await metrics.text(now())).toContain(
    'processor_lag_records{group="dataset-writer",partition="0"} 7',
  );
  const text = await metrics.text(now({ status: null }));
  expect(text).toContain("processor_log_available 0\n");
  expect(text).not.toContain("processor_lag_records{");
  expect(text).toContain('processor_lines_total{what="dataset-writer"} 4\n');
});

test("times to a line are a histogram whose buckets add up", async () => {
  const metrics = create();
  const { counts, sumMs } = countLatencies([3, 40, 40, 7_200_000]);
  metrics.lines(counts, sumMs);
  metrics.lines(counts, sumMs);
  const text = await metrics.text(now());
  expect(text).toContain("# TYPE processor_click_to_line_seconds histogram\n");
  for (
    const line of [
      'bucket{le="0.005"} 2',
      'bucket{le="0.05"} 6',
      'bucket{le="3600"} 6',
      'bucket{le="+Inf"} 8',
      "count 8",
    ]
  ) {
    expect(text).toContain(`processor_click_to_line_seconds_${line}\n`);
  }
  expect(text).toContain("processor_click_to_line_seconds_sum 14400.166\n");
});

test("settings of topics that break a promise are in the metrics while they do", async () => {
  const breach: SettingBreach = {
    topic: "discount.facts",
    setting: "cleanup.policy",
    loses: true,
    words: "",
  };
  let breaches: SettingBreach[] = [breach];
  const metrics = createProcessorMetrics({ uncaught: () => 0, breaches: () => breaches });
  const text = () => metrics.text(now());
  expect(await text()).toContain(
    'processor_topic_setting_breaches{topic="discount.facts",setting="cleanup.policy"} 1',
  );
  breaches = [];
  expect(await text()).not.toContain("processor_topic_setting_breaches{");
});
