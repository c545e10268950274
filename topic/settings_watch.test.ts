import { beforeEach, describe, expect, test } from "vitest";
import { type ManualClock, manualClock, settle } from "../tests/support/manual_clock.ts";
import { MemoryLog } from "../tests/support/memory_log.ts";
import { DEAD_LETTER_TOPIC_SPEC, WEBHOOKS_TOPIC_SPEC } from "./raw_topics.ts";
import { SETTINGS_LOOK_AGAIN_MS, SETTINGS_LOOK_EVERY_MS, SettingsWatch } from "./settings_watch.ts";
import { LogUnavailableError, type SettingBreach, type TopicLog } from "./topic.ts";

const COMPACT: SettingBreach = {
  topic: "posthog.webhooks",
  setting: "cleanup.policy",
  loses: true,
  words: 'topic "posthog.webhooks" has cleanup.policy=compact',
};
const SMALL: SettingBreach = {
  topic: "posthog.webhooks",
  setting: "max.message.bytes",
  loses: false,
  words: 'topic "posthog.webhooks" has max.message.bytes=1000',
};

let clock: ManualClock;
let broken: readonly SettingBreach[] | Error;
let looks: number;
let said: string[];
let stopping: AbortController;
let watch: SettingsWatch;

function begin(log: TopicLog): Promise<void> {
  watch = new SettingsWatch(log, {
    specs: [WEBHOOKS_TOPIC_SPEC, DEAD_LETTER_TOPIC_SPEC],
    clock,
    report: (level, text) => said.push(`${level}: ${text}`),
  });
  return watch.run(stopping.signal);
}

beforeEach(async () => {
  [clock, broken, looks, said, stopping] = [manualClock(), [], 0, [], new AbortController()];
  const log: TopicLog = Object.assign(new MemoryLog(), {
    breaches({ name }: { name: string }) {
      if (name !== WEBHOOKS_TOPIC_SPEC.name) return Promise.resolve([]);
      looks++;
      return broken instanceof Error ? Promise.reject(broken) : Promise.resolve(broken);
    },
  });
  void begin(log);
  await settle();
  return () => stopping.abort();
});

describe("the settings of topics beside a running service", () => {
  test("are looked at at once and then every five minutes", async () => {
    expect(looks).toBe(1);
    await clock.advance(SETTINGS_LOOK_EVERY_MS - 1);
    expect(looks).toBe(1);
    await clock.advance(1);
    expect(looks).toBe(2);
    expect(said).toEqual([]);
  });

  test("are said once when they change, not at each look, and again when they are mended", async () => {
    broken = [COMPACT];
    await clock.advance(SETTINGS_LOOK_EVERY_MS);
    expect(watch.breaches).toEqual([COMPACT]);
    await clock.advance(10 * SETTINGS_LOOK_AGAIN_MS);
    expect(said).toEqual([`warn: ${COMPACT.words}.`]);
    broken = [COMPACT, SMALL];
    await clock.advance(SETTINGS_LOOK_AGAIN_MS);
    expect(said.slice(1)).toEqual([`warn: ${SMALL.words}.`]);
    broken = [];
    await clock.advance(SETTINGS_LOOK_AGAIN_MS);
    expect(watch.breaches).toEqual([]);
    expect(said.slice(2)).toEqual([
      'info: topic "posthog.webhooks": cleanup.policy is as it must be again',
      'info: topic "posthog.webhooks": max.message.bytes is as it must be again',
    ]);
  });

  test("are looked at soon after trouble, yet never more often than every half minute", async () => {
    for (let n = 0; n < 100; n++) watch.lookSoon();
    await settle();
    expect(looks).toBe(1);
    await clock.advance(SETTINGS_LOOK_AGAIN_MS);
    expect(looks).toBe(2);
    await clock.advance(2 * SETTINGS_LOOK_AGAIN_MS);
    expect(looks).toBe(2);
    watch.lookSoon();
    await settle();
    expect(looks).toBe(3);
  });

  test("stay known while the log is away", async () => {
    broken = [SMALL];
    await clock.advance(SETTINGS_LOOK_EVERY_MS);
    broken = new LogUnavailableError("away");
    await clock.advance(SETTINGS_LOOK_AGAIN_MS);
    expect(looks).toBe(3);
    expect(watch.breaches).toEqual([SMALL]);
    expect(said).toHaveLength(1);
  });

  test("are nobody else's to change in a log that does not know the question", async () => {
    await begin(new MemoryLog());
    expect(watch.breaches).toEqual([]);
  });
});
