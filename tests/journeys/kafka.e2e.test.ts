import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { DATASET_WRITER_GROUP, DISCOUNT_OFFERS_GROUP, WEBHOOKS_PARTITIONS } from "../../contract/names.ts";
import type { GroupLag } from "../../contract/processor_api.ts";
import { DATASET_PLACES, type DatasetPlace, linesAt, openPlaces } from "../support/dataset_place.ts";
import { brokerIsOurs, type KafkaBroker, startKafkaBroker, whyNoKafka } from "../support/kafka_broker.ts";
import {
  datasetLines,
  mailFiles,
  offerOf,
  post,
  posthogBody,
  type Service,
  startService,
  statusOf,
  untilCaughtUp,
} from "../support/pipeline.ts";
import { runProgram } from "../support/run_command.ts";
import { until } from "../support/until.ts";

/** What only several processors can show: rebalances, pauses, lost disks; and a broker that is nowhere. */
const ROUNDS = Number(Deno.env.get("KILL_ROUNDS") ?? 4);
const SEED = Number(Deno.env.get("SEED") ?? 7);

const why = await whyNoKafka();

/** What becomes of the partitions of a processor that is only stopped. */
const PAUSES = [
  "a processor stopped past its session and continued doubles nothing, and its partitions wait for its locks",
  "a processor stopped past its session and continued doubles nothing, and others write its partitions of a bucket",
].map((title, i) => ({ title, ...DATASET_PLACES[i]! }));

describe("Several processors on Kafka", () => {
  if (why !== null) {
    test("keep every promise through kills, pauses and outages", (running) => running.skip(why));
    return;
  }
  let broker: KafkaBroker;
  let root: string;
  let prefix: string;
  /** Where the dataset of all of them lies. */
  let datasetEnv: Readonly<Record<string, string>>;
  const running = new Set<Service>();

  beforeAll(async () => {
    broker = await startKafkaBroker();
  });
  afterAll(() => broker.stop());
  beforeEach(async () => {
    root = await Deno.makeTempDir({ prefix: "kafka-journeys-" });
    prefix = `j${crypto.randomUUID()}.`;
    datasetEnv = { DATASET_DIR: join(root, "shared", "dataset") };
  });
  afterEach(async () => {
    for (const service of running) await service.kill();
    running.clear();
    await Deno.remove(root, { recursive: true });
  });

  const dir = (name: string) => join(root, name);
  const envOf = (name: string, more: Record<string, string> = {}) => ({
    KAFKA_BROKERS: broker.brokers,
    KAFKA_TOPIC_PREFIX: prefix,
    KAFKA_SESSION_TIMEOUT: "6s",
    PIPELINE_SECRET: "one secret for all of them",
    DISCOUNT_WAIT: "300ms",
    DATA_DIR: dir(name),
    ...datasetEnv,
    ...more,
  });
  const start = async (kind: "ingest" | "processor", name: string, more: Record<string, string> = {}) => {
    await Deno.mkdir(join(root, "shared"), { recursive: true });
    const service = await startService(kind, envOf(name, more));
    running.add(service);
    return service;
  };
  const kill = async (service: Service) => {
    running.delete(service);
    await service.kill();
  };
  const written = () =>
    datasetLines(join(root, "shared")).map(({ input_prompt }) => input_prompt.replace("prompt ", ""));
  const uuidsAt = async (place: DatasetPlace) =>
    (await linesAt(place)).map(({ input_prompt }) => input_prompt.replace("prompt ", ""));
  const readyz = async (service: Service) => {
    const response = await fetch(`${service.url}/readyz`);
    return { status: response.status, body: await response.json() };
  };

  /** Posts failures at an even pace until `stop` is called; answers the uuids that were answered 200, and the others. */
  function traffic(ingest: Service, everyMs: number) {
    const taken: string[] = [];
    const refused: string[] = [];
    const under = new Set<Promise<void>>();
    let n = 0;
    const timer = setInterval(() => {
      const uuid = crypto.randomUUID();
      const one = post(ingest.url, posthogBody({ uuid, distinctId: `user-${n++ % 50}` }))
        .then((status) => void (status === 200 ? taken : refused).push(uuid)).finally(() =>
          under.delete(one)
        );
      under.add(one);
    }, everyMs);
    return {
      taken,
      refused,
      async stop() {
        clearInterval(timer);
        await Promise.all(under);
      },
    };
  }

  const useFiveTimes = async (ingest: Service, distinctId: string) => {
    const body = () => posthogBody({ event: "feature_used", distinctId, email: `${distinctId}@example.org` });
    for (let i = 0; i < 5; i++) expect(await post(ingest.url, body())).toBe(200);
  };

  test("with a broker that is nowhere, ingest answers from its spool and nothing exits", async () => {
    const nowhere = { KAFKA_BROKERS: "127.0.0.1:1" };
    const [ingest, processor] = [await start("ingest", "a", nowhere), await start("processor", "a", nowhere)];
    for (let i = 0; i < 3; i++) expect(await post(ingest.url, posthogBody())).toBe(200);
    expect(await readyz(ingest)).toMatchObject({ status: 200, body: { durable: "spool", spooled: 3 } });
    await until("the processor says what it waits for", () => /Trying again/.test(processor.errors()));
    const { status, body } = await readyz(processor);
    expect([status, JSON.stringify(body)]).toEqual([503, expect.stringMatching(/KAFKA_BROKERS/)]);
    expect(await ingest.stop()).toBe(0);
    expect(await processor.stop()).toBe(0);
    const back = await start("ingest", "a");
    await until("the spool is drained", async () => (await readyz(back)).body.spooled === 0);
  });

  test(
    `three processors, one killed at ${ROUNDS} seeded moments: one line per webhook, one mail per person (seed ${SEED})`,
    async () => {
      let state = SEED;
      const random = () => (state = (state * 1_103_515_245 + 12_345) % 2 ** 31) / 2 ** 31;
      const names = ["a", "b", "c"];
      const ingest = await start("ingest", "ingest");
      const processors = await Promise.all(names.map((name) => start("processor", name)));
      const load = traffic(ingest, 15);
      const people: string[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        const person = `person-of-round-${round}`;
        people.push(person);
        await useFiveTimes(ingest, person);
        const before = written().length;
        await until("lines are written", () => written().length > before + 20 * random());
        const victim = Math.floor(random() * processors.length);
        await kill(processors[victim]!);
        processors[victim] = await start("processor", names[victim]!);
      }
      await load.stop();
      await until("every line is there", () => written().length >= load.taken.length, { limitMs: 90_000 });
      for (const person of people) {
        await until(
          "everybody has had the mail",
          async () => (await offerOf(processors[0]!.url, person))?.state === "offered",
        );
      }
      await untilCaughtUp(processors[0]!.url);
      expect(written().sort()).toEqual(load.taken.sort());
      expect(names.flatMap((name) => mailFiles(dir(name)))).toHaveLength(people.length);
    },
    240_000,
  );

  for (const { title, isBucket, why } of PAUSES) {
    test(title, { timeout: 240_000 }, async ({ skip }) => {
      if (why !== null) return skip(why);
      const places = await openPlaces({ isBucket });
      onTestFinished(() => places.stop());
      const place = places.at(join(root, "shared"));
      if (isBucket) datasetEnv = place.env;
      const ingest = await start("ingest", "ingest");
      // In a bucket: between the objects of a flush and the commit that would name them.
      const stopsAt: Record<string, string> = isBucket ? { FAULT_POINT: "dataset.objects_put:5" } : {};
      const [paused, other] = [await start("processor", "a", stopsAt), await start("processor", "b")];
      await until(
        "both are ready",
        async () => (await readyz(paused)).status === 200 && (await readyz(other)).status === 200,
      );
      const load = traffic(ingest, 20);
      const count = async () => (await linesAt(place)).length;
      if (isBucket) {
        await until("it has stopped", () => paused.errors().includes("fault point"));
        const arrived = new Set(load.taken);
        const lacks = async () => arrived.difference(new Set(await uuidsAt(place))).size;
        await until("the other one has written them", async () => await lacks() === 0, { limitMs: 60_000 });
      } else {
        await until("lines are written", async () => await count() > 20);
        paused.signal("SIGSTOP");
        await until(
          "the other one waits for the locks",
          async () => JSON.stringify((await readyz(other)).body).includes("waiting for lock"),
          { limitMs: 60_000 },
        );
      }
      await useFiveTimes(ingest, "ada");
      paused.signal("SIGCONT");
      await load.stop();
      await until("every line is there", async () => await count() >= load.taken.length, { limitMs: 90_000 });
      await until("the mail is sent", async () => (await offerOf(other.url, "ada"))?.state === "offered", {
        limitMs: 60_000,
      });
      await untilCaughtUp(other.url);
      expect((await uuidsAt(place)).sort()).toEqual(load.taken.sort());
      expect([...mailFiles(dir("a")), ...mailFiles(dir("b"))]).toHaveLength(1);
      // Whichever it notices first: that no heartbeat went through, or that its requests were not answered.
      expect(paused.errors()).toMatch(
        /no heartbeat went through for \d+ s|Cannot read "posthog.webhooks" in group/,
      );
      if (!isBucket) expect(other.errors()).toMatch(/waiting for lock of partition/);
    });
  }

  test("offers go on at a processor on another disk, also when the first one's disk is gone", async () => {
    const ingest = await start("ingest", "ingest");
    const first = await start("processor", "a");
    await useFiveTimes(ingest, "ada");
    await until("ada has her mail", async () => (await offerOf(first.url, "ada"))?.state === "offered");
    for (let i = 0; i < 3; i++) {
      await post(
        ingest.url,
        posthogBody({ event: "feature_used", distinctId: "eve", email: "eve@example.org" }),
      );
    }
    await untilCaughtUp(first.url);
    await kill(first);
    await Deno.remove(dir("a"), { recursive: true });
    const second = await start("processor", "b");
    for (let i = 0; i < 2; i++) {
      await post(
        ingest.url,
        posthogBody({ event: "feature_used", distinctId: "eve", email: "eve@example.org" }),
      );
    }
    await until("eve has her mail", async () => (await offerOf(second.url, "eve"))?.state === "offered", {
      limitMs: 60_000,
    });
    await untilCaughtUp(second.url);
    expect((await offerOf(second.url, "ada"))?.state).toBe("offered");
    expect(mailFiles(dir("b"))).toHaveLength(1);
  }, 120_000);

  test("a processor on another dataset keeps out of dataset-writer and says so, and still serves offers", async () => {
    const ingest = await start("ingest", "ingest");
    const first = await start("processor", "a");
    await until("the first is ready", async () => (await readyz(first)).status === 200);
    const second = await start("processor", "b", { DATASET_DIR: join(root, "other", "dataset") });
    const { body } = await until("the second is ready", async () => {
      const answer = await readyz(second);
      return answer.status === 200 && answer;
    });
    expect(body.staysOut).toEqual([expect.stringMatching(/dataset-writer: .*replay --take-over/)]);
    for (let i = 0; i < 20; i++) await post(ingest.url, posthogBody({ distinctId: `user-${i}` }));
    await until("every line is in the first dataset", () => written().length === 20);
    expect(datasetLines(join(root, "other"))).toEqual([]);
  });

  test("PROCESSOR_GROUPS splits the two groups over processes", async () => {
    const ingest = await start("ingest", "ingest");
    const writer = await start("processor", "a", { PROCESSOR_GROUPS: "dataset-writer" });
    await useFiveTimes(ingest, "ada");
    await post(ingest.url, posthogBody());
    await until("the line is there", () => written().length === 1);
    const group = (await statusOf(writer.url))!.groups.find(({ group }) => group === "discount-offers")!;
    expect([group.lag, group.partitions.every(({ nextOffset }) => nextOffset === null)]).toEqual([6, true]);
    const offers = await start("processor", "b", { PROCESSOR_GROUPS: "discount-offers" });
    await until("the mail is sent", async () => (await offerOf(offers.url, "ada"))?.state === "offered");
  });

  test(
    "two dataset writers of one processor share the partitions; killed with -9 it loses and doubles nothing",
    async () => {
      const ingest = await start("ingest", "ingest");
      const two = { DATASET_WRITERS: "2" };
      let processor = await start("processor", "a", two);
      const load = traffic(ingest, 10);
      await until("each writer has three partitions", async () => {
        const members = await broker.membersOf(`${prefix}dataset-writer`);
        const has = [...new Set(members)].map((member) => members.filter((one) => one === member).length);
        return !members.includes("-") && JSON.stringify(has) === "[3,3]";
      });
      for (let round = 0; round < 2; round++) {
        const before = written().length;
        await until("lines are written", () => written().length > before + 20);
        await kill(processor);
        processor = await start("processor", "a", two);
      }
      await load.stop();
      await until("every line is there", () => written().length >= load.taken.length, { limitMs: 60_000 });
      await untilCaughtUp(processor.url);
      expect(written().sort()).toEqual(load.taken.sort());
      expect(await processor.stop()).toBe(0);
    },
    120_000,
  );

  test("a dead letter is listed, redriven, and set aside once more where its cause remains", async () => {
    const ingest = await start("ingest", "ingest");
    const processor = await start("processor", "a");
    const poison = posthogBody({ properties: {} });
    expect(await post(ingest.url, poison)).toBe(200);
    expect(await post(ingest.url, posthogBody())).toBe(200);
    await until("the line is there", () => written().length === 1);
    const command = (...args: string[]) => runProgram("tools/dead_letters.ts", { args, env: envOf("a") });
    const listed = async () =>
      (await command("list", "--json")).stdout.trim().split("\n").filter(Boolean).map((line) =>
        JSON.parse(line)
      );
    const [letter, ...others] = await until("the letter is listed", async () => {
      const letters = await listed();
      return letters.length > 0 && letters;
    });
    expect(others).toEqual([]);
    expect(letter).toMatchObject({ reason: "properties.input_prompt is missing", redrives: 0 });
    expect((await command("redrive", letter.id)).code).toBe(0);
    const again = await until("its copy is set aside", async () => {
      const [one, ...more] = await listed();
      return one !== undefined && more.length === 0 && one.id !== letter.id && one;
    });
    expect(again).toMatchObject({ reason: letter.reason, redrives: 1 });
    await untilCaughtUp(processor.url);
    expect(written()).toHaveLength(1);
  });
});

/** Kafka before 4.0, whose oldest protocol versions, message formats and tools differ. */
describe("The pipeline on Apache Kafka 3.9", () => {
  const VERSION = "3.9.2";
  test(
    "leads webhooks to lines and uses to one mail, and its lag is what Kafka's tool says",
    async (running) => {
      const why = brokerIsOurs() ? await whyNoKafka(VERSION) : "KAFKA_BROKERS names the broker";
      if (why !== null) return running.skip(why);
      await using cleanup = new AsyncDisposableStack();
      const root = await Deno.makeTempDir({ prefix: "kafka-journeys-" });
      cleanup.defer(() => Deno.remove(root, { recursive: true }));
      const broker = await startKafkaBroker({ version: VERSION });
      cleanup.defer(() => broker.stop());
      const env = {
        KAFKA_BROKERS: broker.brokers,
        KAFKA_SESSION_TIMEOUT: "6s",
        DATA_DIR: root,
        DISCOUNT_WAIT: "300ms",
      };
      const start = async (name: "ingest" | "processor") => {
        const service = await startService(name, env);
        cleanup.defer(() => service.kill());
        return service;
      };
      const [ingest, processor] = [await start("ingest"), await start("processor")];
      const uuids = Array.from({ length: 20 }, () => crypto.randomUUID());
      const send = async (some: readonly string[]) => {
        for (const uuid of some) {
          expect(await post(ingest.url, posthogBody({ uuid, distinctId: `user-${uuid}` }))).toBe(200);
        }
      };
      await send(uuids.slice(0, 10));
      await broker.kill();
      await send(uuids.slice(10, 15));
      await broker.restart();
      for (let i = 0; i < 5; i++) {
        const used = posthogBody({ event: "feature_used", distinctId: "ada", email: "ada@example.org" });
        expect(await post(ingest.url, used)).toBe(200);
      }
      await until(
        "the mail is sent",
        async () => (await offerOf(processor.url, "ada"))?.state === "offered",
        {
          limitMs: 60_000,
        },
      );
      await until("the lines are there", () => datasetLines(root).length === 15, { limitMs: 60_000 });
      await untilCaughtUp(processor.url);
      expect(await processor.stop()).toBe(0);
      await send(uuids.slice(15));
      const { code, stdout } = await runProgram("tools/lag.ts", { args: ["--json"], env });
      expect(code).toBe(0);
      const groups: GroupLag[] = JSON.parse(stdout);
      expect(groups.map(({ group, lag }) => [group, lag])).toEqual([
        [DATASET_WRITER_GROUP, 5],
        [DISCOUNT_OFFERS_GROUP, 5],
      ]);
      for (const { group, partitions } of groups) {
        const theirs = await broker.describeGroup(group);
        expect(partitions).toHaveLength(WEBHOOKS_PARTITIONS);
        const committed = partitions.filter(({ nextOffset }) => nextOffset !== null);
        expect(
          committed.map(({ partition, nextOffset, endOffset, lag }) => ({
            partition,
            nextOffset,
            endOffset,
            lag,
          })),
        )
          .toEqual(
            theirs.map(({ topic: _, ...offsets }) => offsets).sort((a, b) => a.partition - b.partition),
          );
      }
      const again = await start("processor");
      await untilCaughtUp(again.url);
      expect(datasetLines(root).map(({ input_prompt }) => input_prompt).sort())
        .toEqual(uuids.map((uuid) => `prompt ${uuid}`).sort());
      expect(mailFiles(root)).toHaveLength(1);
    },
    120_000,
  );
});
