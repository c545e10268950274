import { describe, expect, test } from "vitest";
import type { EventDetail } from "../../contract/processor_api.ts";
import { post, posthogBody, type Service, untilCaughtUp } from "../support/pipeline.ts";
import { LOGS, pipelinePerTest } from "../support/pipeline_per_test.ts";
import { until } from "../support/until.ts";

describe.each(LOGS)("What became of an event, on $name", ({ kafka, why }) => {
  if (why !== null) {
    test("is the same after kill -9 of ingest and processor", (running) => running.skip(why));
    return;
  }
  const { start } = pipelinePerTest({
    kafka,
    env: { PIPELINE_SECRET: "a secret of sixteen characters" },
    place: () => {},
  });

  test("is the same after kill -9 of ingest and processor", async () => {
    const uuid = crypto.randomUUID();
    const body = posthogBody({ uuid });
    const ingest = await start("ingest");
    const processor = await start("processor");
    for (const one of [body, body, posthogBody({ event: "feature_used" })]) await post(ingest.url, one);
    await untilCaughtUp(processor.url);
    const event = async ({ url }: Service): Promise<EventDetail> =>
      await (await fetch(`${url}/api/events/${uuid}`)).json();
    const recent = async ({ url }: Service) => {
      const { recent, topic } = await (await fetch(`${url}/api/recent`)).json();
      return recent.length === 3 && topic.at !== null ? { recent, ends: topic.partitions } : null;
    };
    const before = {
      event: await event(processor),
      recent: await until("ingest tells all", () => recent(ingest)),
    };
    expect(before.event.deliveries.map(({ outcome }) => outcome)).toEqual(["line", "duplicate"]);
    expect(before.event.line?.line).toBe(1);
    await Promise.all([ingest.kill(), processor.kill()]);

    const [ingestAgain, processorAgain] = [await start("ingest"), await start("processor")];
    await untilCaughtUp(processorAgain.url);
    expect(await event(processorAgain)).toEqual(before.event);
    expect(await until("ingest tells all again", () => recent(ingestAgain))).toEqual(before.recent);
    const stream = await fetch(`${processorAgain.url}/api/events`);
    const reader = stream.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    while (!/"step":"duplicate"[^\n]*\n\n/.test(text)) text += (await reader.read()).value ?? "";
    await reader.cancel();
    expect(text).toContain('"fromLog":true');
  });
});
