import { afterAll, afterEach, beforeAll, beforeEach, expect } from "vitest";
import { type KafkaBroker, startKafkaBroker, whyNoKafka } from "./kafka_broker.ts";
import {
  datasetLines,
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

/** The place of the test at hand. */
export type PipelinePlace = { readonly dataDir: string; readonly env: Record<string, string> };

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
  { kafka, env, place }: {
    /** Or how the suite's own broker is started. */
    readonly kafka: boolean | (() => Promise<KafkaBroker>);
    /** What services are given beside their place. */
    readonly env: Record<string, string>;
    readonly place: (place: PipelinePlace) => void;
  },
): PipelinePerTest {
  let broker: KafkaBroker | null = null;
  let here: PipelinePlace;
  const running: Service[] = [];

  beforeAll(async () => {
    if (kafka) broker = await (kafka === true ? startKafkaBroker : kafka)();
  });
  afterAll(() => broker?.stop());
  beforeEach(async () => {
    const dataDir = await Deno.makeTempDir({ prefix: "pipeline-" });
    const log: Record<string, string> = broker === null ? {} : {
      KAFKA_BROKERS: broker.brokers,
      KAFKA_TOPIC_PREFIX: `t${crypto.randomUUID()}.`,
      KAFKA_SESSION_TIMEOUT: "6s",
    };
    here = { dataDir, env: { DATA_DIR: dataDir, ...log, ...env } };
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
      const lines = () => datasetLines(here.dataDir).length;
      const before = lines();
      const use = () =>
        posthogBody({ event: "feature_used", distinctId: person, email: `${person}@example.org` });
      for (let n = 0; n < 5; n++) expect(await post(ingest.url, use())).toBe(200);
      expect(await post(ingest.url, posthogBody({ distinctId: person }))).toBe(200);
      await until("the line is there", () => lines() === before + 1, { limitMs: WORKS_MS_MAX });
      const isMailed = async () => (await offerOf(processor.url, person))?.state === "offered";
      await until("the mail is sent", isMailed, { limitMs: WORKS_MS_MAX });
      await untilCaughtUp(processor.url);
    },
  };
}
