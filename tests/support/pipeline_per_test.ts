import { afterAll, afterEach, beforeAll, beforeEach, expect } from "vitest";
import { type DatasetPlace, type DatasetPlaces, linesAt, openPlaces, whyNoBucket } from "./dataset_place.ts";
import { type KafkaBroker, startKafkaBroker, whyNoKafka } from "./kafka_broker.ts";
import {
  offerOf,
  post,
  posthogBody,
  type Service,
  type ServiceName,
  startService,
  untilCaughtUp,
} from "./pipeline.ts";
import { until } from "./until.ts";

/** The logs that journeys run on; `why` says why one cannot be had on this machine. */
export const LOGS: readonly {
  readonly name: string;
  readonly kafka: boolean;
  readonly why: string | null;
}[] = [
  { name: "the embedded log", kafka: false, why: null },
  { name: "Kafka", kafka: true, why: await whyNoKafka() },
];

/** The same with the dataset in a directory, and the embedded log with it in a bucket. */
export const PIPELINES: readonly (typeof LOGS[number] & { readonly isBucket: boolean })[] = [
  ...LOGS.map((log) => ({ ...log, isBucket: false })),
  { name: "the embedded log and a bucket", kafka: false, isBucket: true, why: whyNoBucket },
];

/** The place of the test at hand. */
export type PipelinePlace = {
  readonly dataDir: string;
  readonly env: Record<string, string>;
  readonly dataset: DatasetPlace;
};

export type PipelinePerTest = {
  /** Starts a service in this test's place; it is killed after the test. */
  start(name: ServiceName, more?: Record<string, string>): Promise<Service>;
  /** Ends every service as Ctrl-C does; answers their exit codes. */
  stopAll(): Promise<readonly number[]>;
  /** Both groups work: five uses and a failure of this person lead to one mail and one line. */
  worksFor(person: string, services: { ingest: Service; processor: Service }): Promise<void>;
};

/** After an outage the last of all connections may come back late. */
const WORKS_MS_MAX = 60_000;

/**
 * Registers hooks that give every test of a suite a DATA_DIR and topics of its own, on Kafka one broker for all of them.
 * `place` is told before each test.
 */
export function pipelinePerTest(
  { kafka, isBucket = false, env, place }: {
    /** Or how the suite's own broker is started. */
    readonly kafka: boolean | (() => Promise<KafkaBroker>);
    /** Where the dataset lies; default: in DATA_DIR. */
    readonly isBucket?: boolean;
    /** What services are given beside their place. */
    readonly env: Record<string, string>;
    readonly place: (place: PipelinePlace) => void;
  },
): PipelinePerTest {
  let broker: KafkaBroker | null = null;
  let places: DatasetPlaces;
  let here: PipelinePlace;
  const running: Service[] = [];

  beforeAll(async () => {
    places = await openPlaces({ isBucket });
    if (kafka) broker = await (kafka === true ? startKafkaBroker : kafka)();
  });
  afterAll(async () => {
    await broker?.stop();
    await places.stop();
  });
  beforeEach(async () => {
    const dataDir = await Deno.makeTempDir({ prefix: "pipeline-" });
    const log: Record<string, string> = broker === null ? {} : {
      KAFKA_BROKERS: broker.brokers,
      KAFKA_TOPIC_PREFIX: `t${crypto.randomUUID()}.`,
      KAFKA_SESSION_TIMEOUT: "6s",
    };
    const dataset = places.at(dataDir);
    here = { dataDir, dataset, env: { DATA_DIR: dataDir, ...log, ...dataset.env, ...env } };
    place(here);
  });
  afterEach(async () => {
    for (const service of running.splice(0)) await service.kill();
    await Deno.remove(here.dataDir, { recursive: true });
  });

  return {
    async start(name, more = {}) {
      const service = await startService(name, { ...here.env, ...more });
      running.push(service);
      return service;
    },
    async stopAll() {
      const codes: number[] = [];
      for (const service of running.splice(0)) codes.push(await service.stop());
      return codes;
    },
    async worksFor(person, { ingest, processor }) {
      const lines = async () => (await linesAt(here.dataset)).length;
      const before = await lines();
      const use = () =>
        posthogBody({ event: "feature_used", distinctId: person, email: `${person}@example.org` });
      for (let n = 0; n < 5; n++) expect(await post(ingest.url, use())).toBe(200);
      expect(await post(ingest.url, posthogBody({ distinctId: person }))).toBe(200);
      await until("the line is there", async () => await lines() === before + 1, { limitMs: WORKS_MS_MAX });
      const isMailed = async () => (await offerOf(processor.url, person))?.state === "offered";
      await until("the mail is sent", isMailed, { limitMs: WORKS_MS_MAX });
      await untilCaughtUp(processor.url);
    },
  };
}
