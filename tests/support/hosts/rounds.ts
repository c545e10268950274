import { join } from "node:path";
import { DATASET_WRITER_GROUP } from "../../../contract/names.ts";
import { freePort, type KafkaBroker, startKafkaBroker } from "../kafka_broker.ts";
import {
  mailFiles,
  offerOf,
  post,
  posthogBody,
  type Service,
  startService,
  statusOf,
  untilCaughtUp,
} from "../pipeline.ts";
import { until } from "../until.ts";
import { type Host, type Hosts, startHosts } from "./hosts.ts";

/** Where processors write, and how it is read in the end. */
export type HostsDataset = {
  /** What a processor on a host gets beside the rest. */
  envOf(host: Host): Record<string, string>;
  /** The prompt of every line, as `deno task dataset files` lists the places where they stand. */
  prompts(): Promise<readonly string[]>;
  /** What may happen to a host; a bucket can be cut off only where there is one. */
  readonly faults: readonly Fault[];
  stop(): Promise<void>;
};

export type Fault = "killed" | "stopped" | "cut off from the broker" | "cut off from the bucket";

export type RoundsOutcome = {
  /** Uuids of the webhooks that were answered 200, each once. */
  readonly taken: readonly string[];
  /** Those that have a line, as often as they have one. */
  readonly written: readonly string[];
  readonly earners: number;
  /** On all disks together. */
  readonly mails: number;
};

export type RoundsOptions = {
  readonly names: readonly string[];
  readonly rounds: number;
  /** Chooses faults, hosts and moments; the order in which processes come to things is theirs. */
  readonly seed: number;
  readonly dataset: (hosts: Hosts) => Promise<HostsDataset>;
  /** A line for each round. */
  readonly say: (line: string) => void;
};

/** Session of a group's member, in seconds: so soon another takes over what one had that is not heard of. */
const SESSION_SECONDS = 6;
/** Milliseconds between two webhooks. */
const PACE_MS = 15;
/** Webhooks after which each partition has had some, of 50 people. */
const MORE = 100;
/** Every tenth webhook is delivered twice. */
const TWICE = 10;
/** Seconds for which what a cut-off host has to write waits at least, before the bucket is back. */
const WITHOUT_BUCKET_SECONDS = 3;
const PATIENCE = { limitMs: 120_000 };

/**
 * Processors, each on a host of its own, lose one of them in each round to a fault and get it back, while webhooks come
 * without a pause and one person a round earns an offer. Whatever it starts has ended when it returns or throws.
 */
export async function runRounds(options: RoundsOptions): Promise<RoundsOutcome> {
  const { names, rounds, seed, say } = options;
  const random = randomFrom(seed);
  await using held = new AsyncDisposableStack();
  const hosts = await startHosts(names);
  held.defer(() => hosts.close());
  const dataset = await options.dataset(hosts);
  held.defer(() => dataset.stop());
  const port = freePort();
  const broker = await startKafkaBroker({
    security: {
      listeners: [{ name: "HOSTS", protocol: "PLAINTEXT", host: hosts.addressOf.broker, port }],
      properties: "",
      scramUsers: [],
    },
  });
  held.defer(() => broker.stop());
  const root = await Deno.makeTempDir({ prefix: "rounds-" });
  held.defer(() => Deno.remove(root, { recursive: true }));
  const shared = { PIPELINE_SECRET: "one secret for all of them", DISCOUNT_WAIT: "300ms" };
  const start = (host: Host) =>
    startService("processor", {
      ...shared,
      KAFKA_BROKERS: `${hosts.addressOf.broker}:${port}`,
      KAFKA_SESSION_TIMEOUT: `${SESSION_SECONDS}s`,
      DATA_DIR: host.dataDir,
      HOST: "0.0.0.0",
      ALLOW_ANONYMOUS: "1",
      ALLOWED_HOSTS: host.address,
      ...dataset.envOf(host),
    }, { within: host.command, address: host.address });

  const ingest = await startService("ingest", {
    ...shared,
    KAFKA_BROKERS: broker.brokers,
    DATA_DIR: join(root, "ingest"),
  });
  held.defer(() => ingest.kill());
  const processors = await Promise.all(hosts.hosts.map(start));
  held.defer(async () => {
    for (const processor of processors) await processor.kill();
  });
  // Last in, so first out: what a failed run leaves to be read.
  let isOver = false;
  held.defer(() => {
    if (isOver) return;
    processors.forEach((one, index) => say(`${names[index]} said at last:\n${lastLines(one.errors())}`));
  });
  await Promise.all(processors.map(untilReady));

  const load = traffic(ingest);
  held.defer(() => load.stop());
  const untilMore = async (more: number) => {
    const wanted = load.taken.size + more;
    await until("webhooks come", () => load.taken.size >= wanted);
  };
  const earners: string[] = [];
  for (let round = 0; round < rounds; round++) {
    const victim = Math.floor(random() * processors.length);
    const fault = dataset.faults[(round + seed) % dataset.faults.length]!;
    earners.push(await useFiveTimes(ingest, `person-of-round-${round}`));
    await untilMore(Math.floor(MORE * random()));
    const began = performance.now();
    await suffer(fault, {
      victim,
      processors,
      hosts: hosts.hosts,
      broker,
      start,
      untilMore: () => untilMore(MORE),
      atOnce: random() < 0.5,
    });
    await untilHandled(processors[victim]!, await endsOf(processors[victim]!));
    say(
      `round ${round + 1}: ${names[victim]} was ${fault}; all is written ${
        Math.round(performance.now() - began)
      } ms after it began`,
    );
  }
  await load.stop();
  await untilCaughtUp(processors[0]!.url);
  for (const person of earners) {
    await until(
      `${person} has the offer`,
      async () => (await offerOf(processors[0]!.url, person))?.state === "offered",
      PATIENCE,
    );
  }
  await untilCaughtUp(processors[0]!.url);
  const prompts = await dataset.prompts();
  isOver = true;
  return {
    taken: [...load.taken],
    written: prompts.map((prompt) => prompt.replace("prompt ", "")),
    earners: earners.length,
    mails: hosts.hosts.flatMap(({ dataDir }) => mailFiles(dataDir)).length,
  };
}

/**
 * One host has a fault until the others have written what came meanwhile, also what was its own to write; or, where there is
 * no other, until the broker gave it up.
 */
async function suffer(fault: Fault, { victim, processors, hosts, broker, start, untilMore, atOnce }: {
  readonly victim: number;
  readonly processors: Service[];
  readonly hosts: readonly Host[];
  readonly broker: KafkaBroker;
  readonly start: (host: Host) => Promise<Service>;
  /** Resolves when so many webhooks more have been taken that each partition has some of them. */
  readonly untilMore: () => Promise<void>;
  readonly atOnce: boolean;
}): Promise<void> {
  const host = hosts[victim]!;
  const [other] = processors.filter((_, index) => index !== victim);
  const untilGivenUp = async () => {
    await untilMore();
    await (other ? untilHandled(other, await endsOf(other)) : untilNobodyReads(broker));
  };
  switch (fault) {
    case "killed":
      await processors[victim]!.kill();
      if (!atOnce) await untilGivenUp();
      processors[victim] = await start(host);
      break;
    case "stopped":
      processors[victim]!.signal("SIGSTOP");
      await untilGivenUp();
      processors[victim]!.signal("SIGCONT");
      break;
    case "cut off from the broker":
      await host.cut("broker");
      await untilGivenUp();
      await host.heal("broker");
      break;
    case "cut off from the bucket":
      await host.cut("bucket");
      await untilMore();
      await untilSomeWait(processors[victim]!, await endsOf(processors[victim]!));
      await host.heal("bucket");
  }
  await untilReady(processors[victim]!);
}

const lastLines = (text: string) => text.trimEnd().split("\n").slice(-20).join("\n");

async function untilReady({ url }: Service): Promise<void> {
  await until(`${url} is ready`, async () => {
    const response = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(2_000) }).catch(() => null);
    await response?.body?.cancel();
    return response?.ok;
  }, PATIENCE);
}

async function partitionsOf({ url }: Service) {
  return (await statusOf(url))?.groups.find(({ group }) => group === DATASET_WRITER_GROUP)?.partitions;
}

async function endsOf(processor: Service): Promise<ReadonlyMap<number, number>> {
  const partitions = await until("the ends of the topic are known", () => partitionsOf(processor));
  return new Map(partitions.map(({ partition, endOffset }) => [partition, endOffset]));
}

/** By the group's own offsets, which are committed when the lines are durable. */
async function untilHandled(processor: Service, ends: ReadonlyMap<number, number>): Promise<void> {
  await until("what had come is written", async () => {
    const partitions = await partitionsOf(processor);
    return partitions?.every(({ partition, nextOffset }) => (nextOffset ?? 0) >= ends.get(partition)!);
  }, PATIENCE);
}

async function untilSomeWait(processor: Service, ends: ReadonlyMap<number, number>): Promise<void> {
  await until("what a host without the bucket has to write waits", async () => {
    const partitions = await partitionsOf(processor);
    return partitions?.some(({ partition, nextOffset, lagSeconds }) =>
      (nextOffset ?? 0) < ends.get(partition)! && lagSeconds >= WITHOUT_BUCKET_SECONDS
    );
  }, PATIENCE);
}

async function untilNobodyReads(broker: KafkaBroker): Promise<void> {
  await until("the broker has given it up", async () => {
    const members = await broker.membersOf(DATASET_WRITER_GROUP);
    return members.every((member) => member === "-");
  }, PATIENCE);
}

/** Failures at an even pace until it is stopped. */
function traffic({ url }: Service) {
  const taken = new Set<string>();
  const under = new Set<Promise<void>>();
  let n = 0;
  const send = (uuid: string, body: string) => {
    const one = post(url, body).then((status) => {
      if (status === 200) taken.add(uuid);
    }).finally(() => under.delete(one));
    under.add(one);
  };
  const timer = setInterval(() => {
    const uuid = crypto.randomUUID();
    const body = posthogBody({ uuid, distinctId: `user-${n % 50}` });
    send(uuid, body);
    if (n++ % TWICE === 0) send(uuid, body);
  }, PACE_MS);
  return {
    taken,
    async stop() {
      clearInterval(timer);
      await Promise.all(under);
    },
  };
}

async function useFiveTimes({ url }: Service, distinctId: string): Promise<string> {
  const body = () => posthogBody({ event: "feature_used", distinctId, email: `${distinctId}@example.org` });
  for (let use = 0; use < 5; use++) {
    await until("the use is taken", async () => await post(url, body()) === 200);
  }
  return distinctId;
}

function randomFrom(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 1_103_515_245 + 12_345) % 2 ** 31) / 2 ** 31;
}
