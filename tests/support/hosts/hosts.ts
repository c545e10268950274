import { join } from "node:path";

/**
 * Several hosts on one machine: each a network namespace with a disk directory of its own, which reaches the broker by one
 * network, the bucket by another, and is itself reached by a third, which is never cut. What is started on a host is a
 * process of this machine in that namespace, so signals reach it as they do everywhere. Needs root and iproute2.
 *
 * It does not imitate a host that dies with its disk, clocks that differ, or a network that loses single packets.
 */
export type Hosts = {
  readonly hosts: readonly Host[];
  /** Where this machine is reached by the hosts, as the one that the broker and the bucket run on. */
  readonly addressOf: Readonly<Record<Network, string>>;
  /** Makes a server on this machine's loopback one that hosts reach by a network, and answers host:port for them. */
  expose(network: Network, port: number): string;
  /** Kills whatever still runs on a host, and takes namespaces, networks and disks away. */
  close(): Promise<void>;
};

export type Network = "broker" | "bucket";

export type Host = {
  readonly name: string;
  /** Where this machine reaches what listens there, cut or not. */
  readonly address: string;
  /** A DATA_DIR on its own disk. */
  readonly dataDir: string;
  /** What stands before a program that is to run there; signals reach the program itself. */
  readonly command: readonly string[];
  /** From now on not a single packet goes by this network, and nobody is told: no reset, no lost carrier. */
  cut(network: Network): Promise<void>;
  heal(network: Network): Promise<void>;
};

const NETWORKS = ["broker", "bucket", "door"] as const;
/** A port of a bridge, as the kernel names its states (linux/if_bridge.h). */
const DISABLED = "0";
const FORWARDING = "3";
/** Hosts of one run: the last part of an address, from 11 on. */
const HOSTS_MAX = 200;

/** Why there can be no hosts here; null where there can. */
export async function whyNoHosts(): Promise<string | null> {
  if (Deno.build.os !== "linux") return "network namespaces are Linux's";
  try {
    await (await startHosts(["probe"])).close();
    return null;
  } catch (error) {
    return `no network namespaces, which need root and iproute2: ${(error as Error).message}`;
  }
}

/** Rejects where it cannot make them; then nothing of them is left. */
export async function startHosts(names: readonly string[]): Promise<Hosts> {
  if (names.length > HOSTS_MAX) throw new Error(`Cannot start ${names.length} hosts: ${HOSTS_MAX} at most.`);
  // Interfaces have names of 15 bytes at most; addresses are of the block that is kept for tests of networks (RFC 2544).
  const run = crypto.randomUUID().slice(0, 6);
  const base = `198.${18 + Math.floor(Math.random() * 2)}`;
  const third = Math.floor(Math.random() * 80) * 3;
  const subnetOf = (network: string) => `${base}.${third + NETWORKS.indexOf(network as "door")}`;
  const bridgeOf = (network: string) => `hb${run}${network.slice(0, 3)}`;
  await using undo = new AsyncDisposableStack();
  const root = await Deno.makeTempDir({ prefix: "hosts-" });
  undo.defer(() => Deno.remove(root, { recursive: true }));
  for (const network of NETWORKS) {
    await iproute("ip", "link", "add", bridgeOf(network), "type", "bridge");
    undo.defer(() => iproute("ip", "link", "del", bridgeOf(network)));
    await iproute("ip", "addr", "add", `${subnetOf(network)}.1/24`, "dev", bridgeOf(network));
    await iproute("ip", "link", "set", bridgeOf(network), "up");
  }
  const hosts: Host[] = [];
  for (const [index, name] of names.entries()) {
    const namespace = `pipeline-${run}-${name}`;
    const portOf = (network: string) => `h${run}${network.slice(0, 3)}${index}`;
    await iproute("ip", "netns", "add", namespace);
    undo.defer(() => iproute("ip", "netns", "del", namespace));
    await iproute("ip", "-n", namespace, "link", "set", "lo", "up");
    for (const network of NETWORKS) {
      const port = portOf(network);
      await iproute("ip", "link", "add", port, "type", "veth", "peer", "name", network, "netns", namespace);
      // Not left to the end of the namespace, which the last packets of its sockets put off.
      undo.defer(() => iproute("ip", "link", "del", port));
      await iproute("ip", "link", "set", port, "master", bridgeOf(network), "up");
      await iproute(
        "ip",
        "-n",
        namespace,
        "addr",
        "add",
        `${subnetOf(network)}.${11 + index}/24`,
        "dev",
        network,
      );
      await iproute("ip", "-n", namespace, "link", "set", network, "up");
    }
    undo.defer(() => killAllIn(namespace));
    const turn = (network: Network, state: string) =>
      iproute("bridge", "link", "set", "dev", portOf(network), "state", state);
    const dataDir = join(root, name);
    await Deno.mkdir(dataDir);
    hosts.push({
      name,
      address: `${subnetOf("door")}.${11 + index}`,
      dataDir,
      command: ["ip", "netns", "exec", namespace],
      cut: (network) => turn(network, DISABLED),
      heal: (network) => turn(network, FORWARDING),
    });
  }
  const addressOf = { broker: `${subnetOf("broker")}.1`, bucket: `${subnetOf("bucket")}.1` };
  const made = undo.move();
  return {
    hosts,
    addressOf,
    expose(network, port) {
      const listener = Deno.listen({ hostname: addressOf[network], port: 0 });
      made.defer(() => listener.close());
      void handOn(listener, port);
      return `${addressOf[network]}:${(listener.addr as Deno.NetAddr).port}`;
    },
    close: () => made.disposeAsync(),
  };
}

async function handOn(listener: Deno.Listener<Deno.Conn>, port: number): Promise<void> {
  for await (const incoming of listener) {
    void (async () => {
      using from = incoming;
      using to = await Deno.connect({ hostname: "127.0.0.1", port });
      await Promise.all([from.readable.pipeTo(to.writable), to.readable.pipeTo(from.writable)]);
    })().catch(() => {}); // Either end may go at any time: that is what these networks are for.
  }
}

/** Stopped processes too. A namespace is gone only when nobody is in it. */
async function killAllIn(namespace: string): Promise<void> {
  for (;;) {
    const pids = (await asked("ip", "netns", "pids", namespace)).split("\n").filter(Boolean).map(Number);
    if (pids.length === 0) return;
    for (const pid of pids) {
      try {
        Deno.kill(pid, "SIGKILL");
      } catch {
        // It has ended.
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function iproute(program: "ip" | "bridge", ...args: string[]): Promise<void> {
  await asked(program, ...args);
}

async function asked(program: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, { args }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
  if (!success) throw new Error(`${program} ${args.join(" ")} failed: ${text(stderr)}`);
  return text(stdout);
}
