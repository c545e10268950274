import type { Admin, Kafka } from "kafkajs";
import { describe, expect, test } from "vitest";
import { missingTopic } from "./errors.ts";
import { AdminConnection, type AskableCluster, knownEverywhere } from "./admin.ts";

const refused = (type: string) => Object.assign(new Error("not now"), { type });
const unreachable = () =>
  Object.assign(new Error("Connection error: connect ECONNREFUSED"), { name: "KafkaJSConnectionError" });

/** A client that counts its connections; its waits take no time, and are counted. */
function connections() {
  const seen = { made: 0, ended: 0, waits: [] as number[] };
  const client = {
    admin: () => {
      seen.made++;
      return {
        connect: () => Promise.resolve(),
        disconnect: () => Promise.resolve(void seen.ended++),
      } as unknown as Admin;
    },
  } as Pick<Kafka, "admin">;
  const clock = { wait: (ms: number) => Promise.resolve(void seen.waits.push(ms)) };
  return { seen, admin: new AdminConnection(client, clock) };
}

/** A call that fails with each of the errors in turn, and then succeeds. */
function failing(admin: AdminConnection, errors: readonly Error[]) {
  const left = [...errors];
  return async () => {
    await admin.connected();
    const error = left.shift();
    if (error) throw error;
    return "done";
  };
}

describe("A call in the first seconds of a broker", () => {
  test.each([
    "LEADER_NOT_AVAILABLE",
    "NOT_CONTROLLER",
    "GROUP_COORDINATOR_NOT_AVAILABLE",
    "GROUP_LOAD_IN_PROGRESS",
    "NOT_COORDINATOR_FOR_GROUP",
    "INVALID_REPLICATION_FACTOR",
    "BROKER_NOT_AVAILABLE",
    "REQUEST_TIMED_OUT",
  ])("is tried again after %s, with growing waits", async (type) => {
    const { admin, seen } = connections();
    expect(await admin.doing("look", failing(admin, Array(4).fill(refused(type))))).toBe("done");
    expect(seen.waits).toHaveLength(4);
    expect(seen.waits[3]!).toBeGreaterThan(seen.waits[0]!);
  });

  test("is tried again after UNKNOWN_TOPIC_OR_PARTITION only where its own topic may be new", async () => {
    const { admin } = connections();
    const error = refused("UNKNOWN_TOPIC_OR_PARTITION");
    expect(await admin.doing("make", failing(admin, [error]), "UNKNOWN_TOPIC_OR_PARTITION")).toBe("done");
    await expect(admin.doing("look", failing(admin, [error]))).rejects.toThrow(missingTopic("look").message);
  });

  test("is given up where the broker stays so, in words that ask nobody to look at KAFKA_BROKERS", async () => {
    const { admin, seen } = connections();
    const call = admin.doing("look", failing(admin, Array(99).fill(refused("NOT_CONTROLLER"))));
    await expect(call).rejects.toThrow(/^Cannot look: the broker is not ready for it now \(NOT_CONTROLLER/);
    expect(seen.waits).toHaveLength(6);
  });
});

describe("A call whose broker is gone", () => {
  test("is tried once more on a new connection where the last had worked, and the old one is let go", async () => {
    const { admin, seen } = connections();
    await admin.doing("look", failing(admin, []));
    expect(await admin.doing("look", failing(admin, [unreachable()]))).toBe("done");
    expect(seen).toMatchObject({ made: 2, ended: 1 });
    await expect(admin.doing("look", failing(admin, [unreachable(), unreachable()]))).rejects.toThrow(
      /KAFKA_BROKERS/,
    );
    expect(seen.made - seen.ended).toBe(0);
    expect(await admin.doing("look", failing(admin, []))).toBe("done");
  });

  test("is not tried again where no connection has worked yet: the client has asked every address", async () => {
    const { admin, seen } = connections();
    await expect(admin.doing("look", failing(admin, [unreachable()]))).rejects.toThrow(/KAFKA_BROKERS/);
    expect(seen).toMatchObject({ made: 1, ended: 1, waits: [] });
  });
});

describe("A topic that was made just now", () => {
  /** Brokers that answer so when they are asked for the topic. */
  const cluster = (answers: readonly (Error | null)[]): AskableCluster => ({
    connect: () => Promise.resolve(),
    refreshMetadata: () => Promise.resolve(),
    getNodeIds: () => [...answers.keys()].map(String),
    findBroker: ({ nodeId }) => {
      const error = answers[Number(nodeId)];
      return Promise.resolve({ metadata: () => error ? Promise.reject(error) : Promise.resolve() });
    },
    disconnect: () => Promise.resolve(),
  });

  test("is there when every broker that can be reached knows it: a loop may ask any of them", async () => {
    await knownEverywhere(cluster([null, unreachable(), null]), "t");
    const unknown = refused("UNKNOWN_TOPIC_OR_PARTITION");
    await expect(knownEverywhere(cluster([null, unknown]), "t")).rejects.toBe(unknown);
  });
});
