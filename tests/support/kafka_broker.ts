import { Buffer } from "node:buffer";
import { dirname, join } from "node:path";

/**
 * A real Apache Kafka (KRaft, one node, or two) from Maven Central's artifacts, for tests: it can be killed with -9 and started
 * again on the same data and port. It does not imitate Redpanda.
 */
export type KafkaBroker = {
  /** host:port, as `KAFKA_BROKERS` takes it. */
  readonly brokers: string;
  /** kill -9. */
  kill(): Promise<void>;
  /** Starts it again on the same data, and waits until it answers; on another port, where one is given. */
  restart(port?: number): Promise<void>;
  /** Starts a second broker of the same cluster, which has no vote; what is made from then on lies on both. */
  addNode(): Promise<KafkaNode>;
  /** Kafka's own tool for access control lists. */
  acls(args: readonly string[]): Promise<string>;
  /** Changes settings of a topic by Kafka's own tool, such as `max.message.bytes`. */
  /** Null takes a setting away, so that the broker's default holds. */
  alterTopic(topic: string, settings: Record<string, string | null>): Promise<void>;
  /** What holds for topics without a setting of their own. */
  alterDefaults(settings: Record<string, string | null>): Promise<void>;
  /** The settings that a topic has of its own. */
  topicSettings(topic: string): Promise<Record<string, string>>;
  /** What Kafka's own tool says of a group: an independent figure for lag. */
  describeGroup(
    group: string,
  ): Promise<{ topic: string; partition: number; nextOffset: number; endOffset: number; lag: number }[]>;
  /** The member that has each partition of a group; `-` where nobody has. */
  membersOf(group: string): Promise<readonly string[]>;
  stop(): Promise<void>;
};

export type KafkaNode = Pick<KafkaBroker, "brokers" | "kill" | "restart" | "stop">;

/** The first one is what runs where none is asked for; 3.9 is the last that still takes what old clients send. */
export const KAFKA_VERSIONS = ["4.1.1", "3.9.2"] as const;
export type KafkaVersion = (typeof KAFKA_VERSIONS)[number];

const HERE = dirname(new URL(import.meta.url).pathname);
const libOf = (version: KafkaVersion) =>
  join(HERE, "..", "..", "node_modules", ".cache", `kafka-${version}`, "lib");
const START_MS_MAX = 60_000;
const FETCH_ATTEMPTS = 2;

/** Why there is no broker to test against; null where there is one (a given one, or one that can be started). */
export async function whyNoKafka(version: KafkaVersion = KAFKA_VERSIONS[0]): Promise<string | null> {
  if (Deno.env.get("KAFKA_BROKERS")) return null;
  const wanted = `Apache Kafka ${version} cannot be started`;
  for (const [program, flag] of [["java", "-version"], ["mvn", "-v"]] as const) {
    if (program === "mvn" && hasLibrary(version)) continue;
    if (!await runs(program, flag)) {
      return `${wanted}: ${program} is not installed, and KAFKA_BROKERS names no broker`;
    }
  }
  for (let attempt = 1; attempt <= FETCH_ATTEMPTS; attempt++) {
    if (hasLibrary(version) || await fetchLibrary(version)) return null;
  }
  return `${wanted}: mvn could not fetch its artifacts`;
}

/** True where the broker is one of our own, which a test may kill. */
export function brokerIsOurs(): boolean {
  return !Deno.env.get("KAFKA_BROKERS");
}

export type KafkaBrokerOptions = {
  /** Default: the first of KAFKA_VERSIONS. */
  readonly version?: KafkaVersion;
  /** Default: any free one. */
  readonly port?: number;
  /** More listeners beside the plain one: name=protocol://host:port as Kafka writes them, with their settings. */
  readonly security?: KafkaSecurity;
};

export type KafkaSecurity = {
  readonly listeners: readonly {
    readonly name: string;
    readonly protocol: string;
    readonly port: number;
    /** Default 127.0.0.1. */
    readonly host?: string;
  }[];
  /** Lines of server.properties. */
  readonly properties: string;
  /** As `StorageTool format --add-scram` takes them. */
  readonly scramUsers: readonly string[];
};

/** Uses the broker that `KAFKA_BROKERS` names, unless options ask for one of our own, which is started. */
export async function startKafkaBroker(options: KafkaBrokerOptions = {}): Promise<KafkaBroker> {
  const given = Deno.env.get("KAFKA_BROKERS");
  const ofOurs = options.version ?? options.port ?? options.security;
  if (given && ofOurs === undefined) return givenBroker(given);
  const lib = libOf(options.version ?? KAFKA_VERSIONS[0]);
  const dir = await Deno.makeTempDir({ prefix: "kafka-" });
  const [port, controllerPort] = [options.port ?? freePort(), freePort()];
  const properties = join(dir, "server.properties");
  const { security } = options;
  await Deno.writeTextFile(properties, serverProperties(dir, { port, controllerPort, security }));
  // As `StorageTool random-uuid` makes it, without a second of Java; a leading "-" would be read as an option.
  const id = `k${Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString("base64url").slice(1)}`;
  const scram = (security?.scramUsers ?? []).flatMap((user) => ["--add-scram", user]);
  await java(lib, ["kafka.tools.StorageTool", "format", "-t", id, "-c", properties, ...scram]);
  const node = await startNode(
    lib,
    dir,
    (at) => Deno.writeTextFile(properties, serverProperties(dir, { port: at, controllerPort, security })),
    port,
  );
  return {
    ...node,
    ...toolsOf(lib, node.brokers),
    async addNode() {
      const own = await Deno.makeTempDir({ prefix: "kafka-" });
      const ports = { port: freePort(), controllerPort, security: undefined };
      const write = (at: number) =>
        Deno.writeTextFile(join(own, "server.properties"), secondProperties(own, { ...ports, port: at }));
      await write(ports.port);
      const format = ["format", "-t", id, "-c", join(own, "server.properties")];
      await java(lib, ["kafka.tools.StorageTool", ...format]);
      return await startNode(lib, own, write, ports.port);
    },
  };
}

/** Starts what `dir` holds, whose properties `write` writes for a port. */
async function startNode(
  lib: string,
  dir: string,
  write: (port: number) => Promise<void>,
  port: number,
): Promise<KafkaNode> {
  const properties = join(dir, "server.properties");
  let process = spawnBroker(lib, dir, properties);
  await answers(port, process);
  const kill = async () => {
    process.kill("SIGKILL");
    await process.status;
  };
  return {
    brokers: `127.0.0.1:${port}`,
    kill,
    async restart(at = port) {
      await write(at);
      process = spawnBroker(lib, dir, properties);
      await answers(at, process);
    },
    async stop() {
      await kill().catch(() => {});
      await Deno.remove(dir, { recursive: true });
    },
  };
}

function givenBroker(brokers: string): KafkaBroker {
  const refuse = () => Promise.reject(new Error("a broker that KAFKA_BROKERS names is not ours to kill"));
  return {
    brokers,
    kill: refuse,
    restart: refuse,
    ...toolsOf(libOf(KAFKA_VERSIONS[0]), brokers),
    addNode: refuse,
    alterDefaults: refuse,
    stop: () => Promise.resolve(),
  };
}

/** Kafka's own tools, in the broker's own version. */
function toolsOf(lib: string, brokers: string) {
  const tool: Tool = (program, args) => java(lib, [program, "--bootstrap-server", brokers, ...args]);
  return {
    acls: (args: readonly string[]) => tool("org.apache.kafka.tools.AclCommand", args),
    alterTopic: (topic: string, settings: Settings) => alter(tool, topicNamed(topic), settings),
    alterDefaults: (settings: Settings) => alter(tool, BROKER_DEFAULTS, settings),
    topicSettings: (topic: string) => topicSettings(tool, topic),
    describeGroup: (group: string) => describeGroup(tool, group),
    membersOf: (group: string) => membersOf(tool, group),
  };
}

type Tool = (program: string, args: readonly string[]) => Promise<string>;
type Settings = Record<string, string | null>;

/** Session times of the broker itself are short, so that one killed with -9 is let in again at once. */
function serverProperties(
  dir: string,
  { port, controllerPort, security }: {
    readonly port: number;
    readonly controllerPort: number;
    readonly security: KafkaSecurity | undefined;
  },
): string {
  const more = security?.listeners ?? [];
  const addresses = [
    `PLAINTEXT://127.0.0.1:${port}`,
    ...more.map((one) => `${one.name}://${one.host ?? "127.0.0.1"}:${one.port}`),
  ];
  const protocols = more.map((one) => `,${one.name}:${one.protocol}`).join("");
  return `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:${controllerPort}
listeners=${addresses.join(",")},CONTROLLER://127.0.0.1:${controllerPort}
advertised.listeners=${addresses.join(",")}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT${protocols}
log.dirs=${join(dir, "data")}
num.partitions=4
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=1500
broker.heartbeat.interval.ms=300
log.retention.ms=-1
${security?.properties ?? ""}
`;
}

/** Of the second node: a broker without a vote. */
function secondProperties(dir: string, ports: Parameters<typeof serverProperties>[1]): string {
  return serverProperties(dir, ports)
    .replace("process.roles=broker,controller\nnode.id=1", "process.roles=broker\nnode.id=2")
    .replace(/,CONTROLLER:\/\/\S+$/m, "");
}

function spawnBroker(lib: string, dir: string, properties: string): Deno.ChildProcess {
  const log = join(dir, "broker.log");
  return new Deno.Command("sh", {
    args: ["-c", `exec java -Xmx512m -cp '${lib}/*' kafka.Kafka '${properties}' >>'${log}' 2>&1`],
    stdin: "null",
  }).spawn();
}

async function answers(port: number, process: Deno.ChildProcess): Promise<void> {
  const end = performance.now() + START_MS_MAX;
  let ended = false;
  process.status.then(() => ended = true);
  while (performance.now() < end) {
    if (ended) throw new Error("Kafka ended while it started: see broker.log in its directory");
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  throw new Error(`Kafka did not answer within ${START_MS_MAX} ms`);
}

async function describeGroup(tool: Tool, group: string) {
  return (await groupRows(tool, group)).map(([, topic, partition, nextOffset, endOffset, lag]) => ({
    topic: topic!,
    partition: Number(partition),
    nextOffset: Number(nextOffset),
    endOffset: Number(endOffset),
    lag: Number(lag),
  }));
}

async function membersOf(tool: Tool, group: string): Promise<readonly string[]> {
  return (await groupRows(tool, group)).map((row) => row[6] ?? "-");
}

/** As Kafka's own tool prints them: group, topic, partition, current offset, log end offset, lag, member, host, client. */
async function groupRows(tool: Tool, group: string): Promise<readonly (readonly string[])[]> {
  const text = await tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", [
    "--describe",
    "--group",
    group,
  ]);
  return text.split("\n").map((line) => line.trim().split(/\s+/)).filter((row) => row[0] === group);
}

const topicNamed = (topic: string) => ["--entity-type", "topics", "--entity-name", topic];
const BROKER_DEFAULTS = ["--entity-type", "brokers", "--entity-default"];

async function alter(tool: Tool, entity: readonly string[], settings: Settings): Promise<void> {
  const entries = Object.entries(settings);
  const set = entries.filter(([, value]) => value !== null).map(([name, value]) => `${name}=${value}`);
  const gone = entries.filter(([, value]) => value === null).map(([name]) => name);
  await tool("kafka.admin.ConfigCommand", [
    ...entity,
    "--alter",
    ...(set.length === 0 ? [] : ["--add-config", set.join(",")]),
    ...(gone.length === 0 ? [] : ["--delete-config", gone.join(",")]),
  ]);
}

async function topicSettings(tool: Tool, topic: string): Promise<Record<string, string>> {
  const text = await tool("kafka.admin.ConfigCommand", [...topicNamed(topic), "--describe"]);
  return Object.fromEntries(
    [...text.matchAll(/^\s+([\w.]+)=(\S*) sensitive=/gm)].map(([, name, value]) => [name!, value!]),
  );
}

async function java(lib: string, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command("java", {
    args: ["-Xmx256m", "-cp", `${lib}/*`, ...args],
    stdout: "piped",
    stderr: "piped",
  }).output();
  if (code !== 0) throw new Error(`java ${args[0]} failed: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

/**
 * A port that nothing listens on now. Below the range from which the system takes ports of outgoing connections: while the broker is down, one of the many
 * that try to reach it would otherwise get the broker's own port now and then, and hold it when it comes back.
 */
export function freePort(): number {
  for (;;) {
    const port = 15_000 + Math.floor(Math.random() * 15_000);
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}

function hasLibrary(version: KafkaVersion): boolean {
  try {
    return [...Deno.readDirSync(libOf(version))].some((entry) => entry.name.startsWith("kafka_2.13-"));
  } catch {
    return false;
  }
}

/** Fetched beside and renamed into place: two test files may want it at once. */
async function fetchLibrary(version: KafkaVersion): Promise<boolean> {
  const lib = libOf(version);
  await Deno.mkdir(dirname(lib), { recursive: true });
  const fetched = await Deno.makeTempDir({ dir: dirname(lib) });
  const { code } = await new Deno.Command("mvn", {
    args: [
      "-q",
      "-B",
      "-f",
      join(HERE, "kafka", "pom.xml"),
      "dependency:copy-dependencies",
      `-Dkafka.version=${version}`,
      "-DincludeScope=runtime",
      `-DoutputDirectory=${fetched}`,
    ],
    stdout: "null",
    stderr: "null",
  }).output();
  try {
    if (code === 0) await Deno.rename(fetched, lib);
  } catch {
    // Another test file was first.
  }
  await Deno.remove(fetched, { recursive: true }).catch(() => {});
  return hasLibrary(version);
}

async function runs(program: string, flag: string): Promise<boolean> {
  try {
    return (await new Deno.Command(program, { args: [flag], stdout: "null", stderr: "null" }).output())
      .success;
  } catch {
    return false;
  }
}
