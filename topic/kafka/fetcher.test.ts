import { describe, expect, test } from "vitest";
import { type ClientBroker, type ClientCluster, KafkaFetcher } from "./fetcher.ts";
import { LogSetupError } from "../topic.ts";

/**
 * What the fetcher asks of the client's cluster. The cluster is in-test: it does not imitate connections nor the
 * protocol; `log.int.test.ts` has both.
 */
class Cluster implements ClientCluster {
  readonly calls: string[] = [];
  leaders = new Map([[0, 1], [1, 2], [2, -1]]);
  refreshPasses = true;
  readonly brokers = new Map<number, Partial<ClientBroker>>();

  #noted(call: string): Promise<void> {
    this.calls.push(call);
    return Promise.resolve();
  }
  connect = () => this.#noted("connect");
  disconnect = () => this.#noted("disconnect");
  addTargetTopic = (topic: string) => this.#noted(`topic ${topic}`);
  refreshMetadata = () =>
    this.refreshPasses ? this.#noted("refresh") : Promise.reject(new Error("all are away"));
  getNodeIds = () => ["1", "2"];
  findTopicPartitionMetadata = () =>
    [...this.leaders].map(([partitionId, leader]) => ({ partitionId, leader }));
  findGroupCoordinator = () => Promise.reject(new Error("not asked for"));
  findBroker = ({ nodeId }: { nodeId: string | number }) => {
    const broker = this.brokers.get(Number(nodeId));
    return broker
      ? Promise.resolve(broker as ClientBroker)
      : Promise.reject(new Error(`broker ${nodeId} is away`));
  };
}

/** A broker whose answer to every Fetch is `codes`, an error code by partition, and no record. */
function answering(codes: Readonly<Record<number, number>>, maxVersion = 17): Partial<ClientBroker> {
  const partitions = Object.entries(codes).map(([partition, errorCode]) => ({
    partition: Number(partition),
    errorCode,
    endOffset: 5,
    stableOffset: 5,
    aborted: [],
    records: new Uint8Array(0),
  }));
  return {
    versions: { 1: { minVersion: 0, maxVersion } },
    connectionPool: {
      send: ({ response }) => response.parse({ answer: { errorCode: 0, throttleMs: 0, partitions } }),
    },
    disconnect: () => Promise.resolve(),
  };
}

describe("Fetching", () => {
  test("gives each partition its own error, and the others what came of them", async () => {
    const cluster = new Cluster();
    cluster.brokers.set(1, answering({ 0: 0 }));
    const fetched = await new KafkaFetcher(cluster, "t").fetchAll(
      [0, 1, 2].map((partition) => ({ partition, from: 5 })),
      { waitMs: 0 },
    );
    expect(fetched).toMatchObject([
      { partition: 0, endOffset: 5 },
      { partition: 1, error: { message: "broker 2 is away" } },
      { partition: 2, error: { type: "LEADER_NOT_AVAILABLE" } },
    ]);
    expect(fetched[0]!.error).toBeUndefined();
  });

  test("names the partition in the broker's error about it", async () => {
    const cluster = new Cluster();
    cluster.brokers.set(1, answering({ 0: 6 }));
    const fetcher = new KafkaFetcher(cluster, "t");
    const [answer] = await fetcher.fetch(1, [{ partition: 0, from: 5 }], { waitMs: 0 });
    expect(answer!.error).toMatchObject({
      type: "NOT_LEADER_FOR_PARTITION",
      message: expect.stringMatching(/^partition 0: /),
    });
  });

  test("says which versions are needed of a broker that is too old", async () => {
    const cluster = new Cluster();
    cluster.brokers.set(1, answering({ 0: 0 }, 3));
    const fetching = new KafkaFetcher(cluster, "t").fetch(1, [{ partition: 0, from: 5 }], { waitMs: 0 });
    await expect(fetching).rejects.toBeInstanceOf(LogSetupError);
  });
});

describe("Recovering", () => {
  const typed = Object.assign(new Error("moved"), { type: "NOT_LEADER_FOR_PARTITION" });
  const begun = ["connect", "topic t"];

  test("an error of the protocol asks anew who leads what, on the connections that are there", async () => {
    const cluster = new Cluster();
    await new KafkaFetcher(cluster, "t").recover(typed);
    expect(cluster.calls).toEqual([...begun, "refresh"]);
  });

  test("a broker that is away is learned of from the others, whose connections stay", async () => {
    const cluster = new Cluster();
    const fetcher = new KafkaFetcher(cluster, "t");
    await fetcher.connect();
    await fetcher.recover(new Error("connection closed"));
    expect(cluster.calls).toEqual([...begun, "refresh"]);
  });

  test("begins from the first addresses where none of the known ones answers", async () => {
    const cluster = new Cluster();
    const fetcher = new KafkaFetcher(cluster, "t");
    await fetcher.connect();
    cluster.refreshPasses = false;
    await fetcher.recover(new Error("connection closed"));
    expect(cluster.calls).toEqual([...begun, "disconnect", ...begun]);
  });

  test("is done once for several partitions that ask for it at the same time", async () => {
    const cluster = new Cluster();
    const fetcher = new KafkaFetcher(cluster, "t");
    await Promise.all([fetcher.recover(typed), fetcher.recover(typed)]);
    expect(cluster.calls).toEqual([...begun, "refresh"]);
  });
});

test("where several partitions begin and end is asked of each leader once, and one without a leader stops no other", async () => {
  const cluster = new Cluster();
  const asked: [leader: number, partitions: readonly number[]][] = [];
  for (const leader of [1, 2]) {
    cluster.brokers.set(leader, {
      listOffsets: ({ topics: [topic] }) => {
        asked.push([leader, topic!.partitions.map(({ partition }) => partition)]);
        const partitions = topic!.partitions.map(({ partition, timestamp }) => ({
          partition,
          offset: String(timestamp === -2 ? partition : 10 + partition),
        }));
        return Promise.resolve({ responses: [{ partitions }] });
      },
    });
  }
  cluster.leaders.set(3, 1);
  const bounds = (partition: number) => ({ partition, startOffset: partition, endOffset: 10 + partition });
  expect(await new KafkaFetcher(cluster, "t").boundsOfAll([0, 1, 2, 3])).toEqual([
    bounds(0),
    bounds(1),
    null,
    bounds(3),
  ]);
  expect(asked.filter(([leader]) => leader === 1)).toEqual([[1, [0, 3]], [1, [0, 3]]]);
});

test("a partition that is new to the client is asked for anew before it is said that there is none", async () => {
  const cluster = new Cluster();
  const fetcher = new KafkaFetcher(cluster, "t");
  await expect(fetcher.boundsOf(7)).rejects.toBeInstanceOf(LogSetupError);
  expect(cluster.calls).toContain("refresh");
  await expect(fetcher.boundsOf(2)).rejects.toMatchObject({ type: "LEADER_NOT_AVAILABLE" });
});
