import { type Admin, AssignerProtocol, type Kafka } from "kafkajs";
import { type Clock, systemClock } from "../../runtime/clock.ts";
import { backOffMs } from "../../runtime/retry.ts";
import { RETRY } from "./client.ts";
import type { GroupMember } from "../topic.ts";
import { kindOf, portError, typeOf } from "./errors.ts";

const ATTEMPTS_AGAIN = 6;
const BACK_OFF = { msFirst: 100, msMax: 3_200 };
/** Who leads what has changed: only a new connection makes the client forget what it knew. */
const STALE = new Set(["NOT_LEADER_FOR_PARTITION", "LEADER_NOT_AVAILABLE", "NOT_CONTROLLER"]);

/** The client's own cluster, as far as every broker of it can be asked. */
export type AskableCluster = {
  connect(): Promise<void>;
  refreshMetadata(): Promise<void>;
  getNodeIds(): string[];
  findBroker(options: { nodeId: string }): Promise<{ metadata(topics: string[]): Promise<unknown> }>;
  disconnect(): Promise<void>;
};

/**
 * Rejects with the broker's own error while one that can be reached does not know the topic or its leaders yet: a topic is
 * made by one broker, and whoever looks for it next may ask another.
 */
export async function knownEverywhere(cluster: AskableCluster, topic: string): Promise<void> {
  try {
    await cluster.connect();
    await cluster.refreshMetadata();
    await Promise.all(
      cluster.getNodeIds().map(async (nodeId) => {
        try {
          await (await cluster.findBroker({ nodeId })).metadata([topic]);
        } catch (error) {
          if (kindOf(error) !== "connection") throw error;
        }
      }),
    );
  } finally {
    await cluster.disconnect().catch(() => {});
  }
}

/** What the group's coordinator says of its members (ConsumerProtocol's assignment); names as the broker has them. */
export async function membersOf(
  admin: Pick<Admin, "describeGroups">,
  { topic, group }: { readonly topic: string; readonly group: string },
): Promise<GroupMember[]> {
  const { groups } = await admin.describeGroups([group]);
  return (groups[0]?.members ?? []).map(({ memberId, clientHost, memberAssignment }) => ({
    memberId,
    host: clientHost,
    // While it rebalances nobody has been given anything yet.
    partitions: memberAssignment.length === 0
      ? []
      : AssignerProtocol.MemberAssignment.decode(memberAssignment)?.assignment[topic] ?? [],
  }));
}

/** The client's admin calls: they share a connection, and after its failure a new one begins from KAFKA_BROKERS. */
export class AdminConnection {
  #current: { readonly admin: Admin; readonly connected: Promise<void> } | null = null;
  /** Whether a call has ever gone through `#current`. */
  #worked = false;

  constructor(
    private readonly client: Pick<Kafka, "admin">,
    private readonly clock: Pick<Clock, "wait"> = systemClock,
  ) {}

  async connected(): Promise<Admin> {
    if (this.#current === null) {
      const admin = this.client.admin({ retry: RETRY });
      this.#current = { admin, connected: admin.connect() };
    }
    const { admin, connected } = this.#current;
    await connected;
    return admin;
  }

  /**
   * Runs a call, again with back-off while the broker is not ready for it, or says `passing`; and once more where a
   * connection that had worked is gone, since the broker may be at another of the listed addresses by now.
   */
  async doing<T>(what: string, run: () => Promise<T>, passing: string | null = null): Promise<T> {
    for (let attempt = 0;; attempt++) {
      const used = this.#current;
      try {
        const answer = await run();
        this.#worked = true;
        return answer;
      } catch (error) {
        const words = portError(error, what);
        if (words === error) throw error;
        const kind = kindOf(error);
        const type = typeOf(error) ?? "";
        // What another call's new connection does to one under way: the client reads a property of nothing.
        const disturbed = error instanceof TypeError;
        const lost = kind === "connection" || disturbed;
        const passes = disturbed || kind === "not_ready" || kind === "replicas" || type === passing ||
          (lost && this.#worked);
        if (lost) this.#worked = false;
        if (lost || STALE.has(type)) this.#forget(used);
        if (attempt >= ATTEMPTS_AGAIN || !passes) throw words;
        await this.clock.wait(backOffMs(attempt + 1, BACK_OFF));
      }
    }
  }

  async close(): Promise<void> {
    await this.#current?.admin.disconnect().catch(() => {});
  }

  /** Calls that are under way on it finish or fail by themselves. */
  #forget(used: { readonly admin: Admin } | null): void {
    const gone = used ?? this.#current;
    if (this.#current === gone) this.#current = null;
    void gone?.admin.disconnect().catch(() => {});
  }
}
