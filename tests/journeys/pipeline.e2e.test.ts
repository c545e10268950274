import { join } from "node:path";
import { WEBHOOKS_PARTITIONS } from "../../contract/names.ts";
import { partitionOf } from "../../topic/partitioner.ts";
import { describe, expect, test } from "vitest";
import {
  killServiceAt,
  mailFiles,
  offerOf,
  post,
  posthogBody,
  statusOf,
  untilCaughtUp,
} from "../support/pipeline.ts";
import { type DatasetPlace, linesAt } from "../support/dataset_place.ts";
import { pipelinePerTest, PIPELINES } from "../support/pipeline_per_test.ts";
import { until } from "../support/until.ts";

/** The services as real processes on each log: webhook → line, five uses → one mail, and kill -9 between every two effects. */
const EXAMPLE_LINE =
  '{"timestamp":"2025-11-30T16:38:21.968Z","event":"generation_failed","failure_reason":"timeout",' +
  '"input_prompt":"generate a marketing email for new users","distinct_id":"019ad56c-5168-7457-bac6-82981da45fb3"}\n';
const EXAMPLE = {
  event: "generation_failed",
  distinct_id: "019ad56c-5168-7457-bac6-82981da45fb3",
  properties: { failure_reason: "timeout", input_prompt: "generate a marketing email for new users" },
  timestamp: "2025-11-30T16:38:21.968Z",
};
const LEGACY = {
  hook: { id: "1", event: "action_performed", target: "https://example.test/hook" },
  data: {
    event: EXAMPLE.event,
    distinctId: EXAMPLE.distinct_id,
    properties: EXAMPLE.properties,
    timestamp: EXAMPLE.timestamp,
    person: { uuid: "0190a000-0000-7000-8000-0000000000aa", properties: {} },
  },
};

describe.each(PIPELINES)("The pipeline on $name", ({ kafka, isBucket, why }) => {
  if (why !== null) {
    test("runs its journeys", (running) => running.skip(why));
    return;
  }
  let dataDir: string;
  let env: Record<string, string>;
  let dataset: DatasetPlace;
  const { start } = pipelinePerTest({
    kafka,
    isBucket,
    env: { DISCOUNT_WAIT: "300ms" },
    place: (here) => ({ dataDir, env, dataset } = here),
  });

  const bodies: [string, unknown][] = [["wrapped", { event: EXAMPLE, person: null }], ["bare", EXAMPLE], [
    "legacy",
    LEGACY,
  ]];
  test.each(isBucket ? bodies.slice(0, 1) : bodies)(
    "the example event as a %s body gives exactly the example's line",
    async (_, body) => {
      const [ingest, processor] = [await start("ingest"), await start("processor")];
      expect(await post(ingest.url, JSON.stringify(body))).toBe(200);
      await until("the line is there", async () => (await linesAt(dataset)).length > 0);
      await untilCaughtUp(processor.url);
      const files = [...await dataset.files()];
      expect(files).toHaveLength(1);
      expect(files[0]![0]).toMatch(/^event=generation_failed\/date=2025-11-30\/p0000\d-0000\.jsonl$/);
      expect(files[0]![1]).toBe(EXAMPLE_LINE);
    },
  );

  const onDisk = [
    "dataset.intended",
    "dataset.appended",
    "dataset.synced",
    "dataset.manifest",
    "dataset.letters",
    "dataset.committed",
  ];
  // What else there is in a bucket, `processor/dataset/crash.int.test.ts` has.
  test.each(isBucket ? ["dataset.committed"] : onDisk)(
    "a processor killed at %s writes the same bytes as one that was not",
    async (point) => {
      const ingest = await start("ingest");
      const bodies = Array.from({ length: 20 }, (_, i) =>
        posthogBody({
          uuid: `0190a000-0000-7000-8000-0000000000${10 + i}`,
          distinctId: `user-${i % 7}`,
          timestamp: "2026-01-01T00:00:00.000Z",
          ...(i % 5 === 4 ? { properties: {} } : {}),
        }));
      for (const body of bodies) expect(await post(ingest.url, body)).toBe(200);
      await killServiceAt("processor", {
        env,
        point,
        act: () => post(ingest.url, bodies[0]!),
      });
      expect(await post(ingest.url, bodies[1]!)).toBe(200);
      const processor = await start("processor");
      const status = await untilCaughtUp(processor.url);
      expect(status.deadLetters.total).toBe(4);
      expect(await dataset.files()).toEqual(filesOf(bodies));
    },
  );

  test("everything killed while webhooks arrive: what was answered 200 is in the dataset once", async () => {
    const taken = new Set<string>();
    let [ingest, processor] = [await start("ingest"), await start("processor")];
    for (let round = 0; round < 3; round++) {
      const sending = Array.from({ length: 40 }, async (_, i) => {
        const uuid = crypto.randomUUID();
        const body = posthogBody({ uuid, distinctId: `user-${i % 9}` });
        if (await post(ingest.url, body) === 200) taken.add(uuid);
      });
      await until("some are answered", () => taken.size > round * 20);
      await Promise.all([ingest.kill(), processor.kill()]);
      await Promise.all(sending);
      [ingest, processor] = [await start("ingest"), await start("processor")];
    }
    await untilCaughtUp(processor.url);
    const written = (await linesAt(dataset)).map(({ input_prompt }) => input_prompt.replace("prompt ", ""));
    expect(new Set(written).size).toBe(written.length);
    expect([...taken].filter((uuid) => !written.includes(uuid))).toEqual([]);
    // Of a bucket it is up to 2 s old.
    await until(
      "the status counts every line",
      async () => (await statusOf(processor.url))?.dataset.records === written.length,
    );
  });

  // Offers and ingest know nothing of where the dataset lies.
  if (isBucket) return;

  test("five uses with an address lead to one mail, and a restart leads to none", async () => {
    const [ingest, first] = [await start("ingest"), await start("processor")];
    for (let i = 0; i < 5; i++) {
      const body = posthogBody({ event: "feature_used", distinctId: "ada", email: "ada@example.org" });
      expect(await post(ingest.url, body)).toBe(200);
      expect(await post(ingest.url, body)).toBe(200);
    }
    const offer = await until("the mail is sent", async () => {
      const offer = await offerOf(first.url, "ada");
      return offer?.state === "offered" && offer;
    });
    expect(offer).toMatchObject({ distinctId: "ada", uses: 5, code: expect.any(String), reason: null });
    expect(mailFiles(dataDir)).toHaveLength(1);
    const discount = await fetch(`${first.url}/api/discounts/${offer.code}`);
    expect([discount.status, await discount.json()]).toEqual([200, { valid: true }]);

    expect(await first.stop()).toBe(0);
    const second = await start("processor");
    for (let i = 0; i < 5; i++) {
      await post(
        ingest.url,
        posthogBody({ event: "feature_used", distinctId: "ada", email: "ADA@Example.org" }),
      );
    }
    const status = await untilCaughtUp(second.url);
    expect(status.mails).toMatchObject({ accepted: 1 });
    expect(mailFiles(dataDir)).toHaveLength(1);
  });

  test("somebody who unsubscribes while the processor is down gets no mail after it starts", async () => {
    const ingest = await start("ingest");
    const first = await start("processor", { DISCOUNT_WAIT: "1h" });
    for (let i = 0; i < 5; i++) {
      await post(
        ingest.url,
        posthogBody({ event: "feature_used", distinctId: "eve", email: "eve@example.org" }),
      );
    }
    await until("the offer waits", async () => (await offerOf(first.url, "eve"))?.state === "waiting");
    await first.stop();
    expect(await post(ingest.url, posthogBody({ event: "email_unsubscribed", distinctId: "eve" }))).toBe(200);
    const second = await start("processor");
    await until("the offer is closed", async () => (await offerOf(second.url, "eve"))?.state === "closed");
    expect(mailFiles(dataDir)).toEqual([]);
  });

  test("the view of the offers may be deleted: it is built again, and nobody is mailed twice", async () => {
    const [ingest, first] = [await start("ingest"), await start("processor")];
    for (let i = 0; i < 5; i++) {
      await post(
        ingest.url,
        posthogBody({ event: "feature_used", distinctId: "ada", email: "ada@example.org" }),
      );
    }
    const before = await until("the mail is sent", async () => {
      const offer = await offerOf(first.url, "ada");
      return offer?.state === "offered" && offer;
    });
    await first.stop();
    for (const { name } of Deno.readDirSync(dataDir)) {
      if (name.startsWith("offers")) Deno.removeSync(join(dataDir, name), { recursive: true });
    }
    const second = await start("processor");
    const after = await until("the offer is there again", () => offerOf(second.url, "ada"));
    expect(after).toEqual(before);
    await untilCaughtUp(second.url);
    expect(mailFiles(dataDir)).toHaveLength(1);
  });

  test.each(["ingest.received", "ingest.published"])(
    "a webhook whose ingest is killed at %s and which is delivered again gives one line",
    async (point) => {
      const body = posthogBody();
      let answer = -1;
      const act = async (url: string) => {
        answer = -1;
        answer = await post(url, body);
      };
      await killServiceAt("ingest", { env, point, act });
      expect(answer).not.toBe(200);
      const [ingest, processor] = [await start("ingest"), await start("processor")];
      expect(await post(ingest.url, body)).toBe(200);
      await until("the line is there", async () => (await linesAt(dataset)).length > 0);
      await untilCaughtUp(processor.url);
      expect(await linesAt(dataset)).toHaveLength(1);
    },
  );

  test.each([
    "offers.published",
    "offers.applied",
    "offers.earned",
    "offers.committed",
    "view.applied",
    "sender.claimed",
    "sender.sent",
    "sender.answered",
  ])("a processor killed at %s sends one mail in all", async (point) => {
    const ingest = await start("ingest");
    const use = () =>
      post(ingest.url, posthogBody({ event: "feature_used", distinctId: "ada", email: "ada@example.org" }));
    for (let i = 0; i < 5; i++) expect(await use()).toBe(200);
    await killServiceAt("processor", { env, point, act: use });
    const processor = await start("processor");
    await until("the mail is sent", async () => (await offerOf(processor.url, "ada"))?.state === "offered");
    await use();
    const status = await untilCaughtUp(processor.url);
    expect(status.offers).toMatchObject({ offered: 1, waiting: 0, sending: 0, failed: 0 });
    expect(mailFiles(dataDir)).toHaveLength(1);
  });
});

/** The files that these bodies give, posted one after another, when nothing is killed. */
function filesOf(bodies: readonly string[]): Map<string, string> {
  const files = new Map<string, string>();
  for (const { event } of bodies.map((body) => JSON.parse(body))) {
    if (event.properties.input_prompt === undefined) continue;
    const partition = partitionOf(new TextEncoder().encode(event.distinct_id), WEBHOOKS_PARTITIONS);
    const path = `event=generation_failed/date=${event.timestamp.slice(0, 10)}/p0000${partition}-0000.jsonl`;
    const line = {
      timestamp: event.timestamp,
      event: event.event,
      failure_reason: event.properties.failure_reason,
      input_prompt: event.properties.input_prompt,
      distinct_id: event.distinct_id,
    };
    files.set(path, (files.get(path) ?? "") + JSON.stringify(line) + "\n");
  }
  return files;
}
