import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { until } from "../../tests/support/until.ts";
import { type GroupClientEvents, KafkaMembership } from "./membership.ts";

/**
 * A member over crashes of its client, outages and pauses. The client is in-test: it joins, beats and crashes when a
 * test says so, and does not imitate a group.
 */
const SESSION_TIMEOUT_MS = 300;

let dataDir: string;
let memberships: KafkaMembership[];
beforeEach(async () => {
  dataDir = await Deno.makeTempDir({ prefix: "membership-" });
  memberships = [];
});
afterEach(async () => {
  for (const membership of memberships) await membership.leave();
  await Deno.remove(dataDir, { recursive: true });
});

type InTestClient = { readonly events: GroupClientEvents; disconnects: number };

function member(
  { connect = () => Promise.resolve(), run = () => Promise.resolve(), leaveInNameOf }: {
    connect?: () => Promise<void>;
    run?: () => Promise<void>;
    leaveInNameOf?: (memberId: string) => Promise<void>;
  } = {},
) {
  const clients: InTestClient[] = [];
  const calls: string[] = [];
  const former: string[] = [];
  const commits: number[] = [];
  const membership = new KafkaMembership({
    group: "g",
    dataDir,
    sessionTimeoutMs: SESSION_TIMEOUT_MS,
    createClient: (events) => {
      const client = { events, disconnects: 0 };
      clients.push(client);
      return {
        connect,
        run,
        commit: (offsets) => Promise.resolve(void commits.push(...offsets.values())),
        disconnect: () => Promise.resolve(void client.disconnects++),
      };
    },
    leaveInNameOf: async (memberId) => {
      former.push(memberId);
      await leaveInNameOf?.(memberId);
    },
    messageOf: (error) => (error as Error).message,
  });
  memberships.push(membership);
  const join = () =>
    membership.join({
      owns: (partitions) => void calls.push(`owns ${partitions}`),
      lost: () => void calls.push("lost"),
      away: (reason) => void calls.push(`away: ${reason}`),
    });
  return { membership, join, clients, calls, former, commits };
}

const joined = (memberId: string, ...partitions: number[]) => ({ memberId, partitions });

/** As after kill -9: the lock is gone, what lay on the disk is still there. */
function killed(membership: KafkaMembership): Promise<void> {
  memberships.splice(memberships.indexOf(membership), 1);
  const path = `${dataDir}/kafka-members/g.0.id`;
  const id = Deno.readTextFileSync(path);
  return membership.leave().then(() => Deno.writeTextFileSync(path, id));
}

describe("A member that starts", () => {
  test("takes its killed former self out of the group first", async () => {
    const before = member();
    await before.join();
    before.clients[0]!.events.joined(joined("m-1", 0));
    await killed(before.membership);
    const after = member();
    await after.join();
    expect(after.former).toEqual(["m-1"]);
    expect(after.clients).toHaveLength(1);
  });

  test.each([
    ["no broker answers", new Error("refused")],
    ["no broker is ready", Object.assign(new Error("refused"), { type: "GROUP_COORDINATOR_NOT_AVAILABLE" })],
  ])("keeps its former self in mind while %s", async (_, error) => {
    const before = member();
    await before.join();
    before.clients[0]!.events.joined(joined("m-1", 0));
    await killed(before.membership);
    let isAway = true;
    const after = member({
      leaveInNameOf: () => isAway ? Promise.reject(error) : Promise.resolve(),
    });
    await expect(after.join()).rejects.toThrow("refused");
    isAway = false;
    await after.join();
    expect(after.former).toEqual(["m-1", "m-1"]);
  });

  test("joins all the same where the group has forgotten its former self", async () => {
    const before = member();
    await before.join();
    before.clients[0]!.events.joined(joined("m-1", 0));
    await killed(before.membership);
    const unknown = Object.assign(new Error("unknown"), { type: "UNKNOWN_MEMBER_ID" });
    const after = member({ leaveInNameOf: () => Promise.reject(unknown) });
    await after.join();
    expect(after.clients).toHaveLength(1);
  });

  test("has no former self where it left by itself", async () => {
    const before = member();
    await before.join();
    before.clients[0]!.events.joined(joined("m-1", 0));
    await before.membership.leave();
    const after = member();
    await after.join();
    expect(after.former).toEqual([]);
  });

  test("beside another one on the same DATA_DIR leaves that one alone", async () => {
    const one = member();
    await one.join();
    one.clients[0]!.events.joined(joined("m-1", 0));
    const other = member();
    await other.join();
    other.clients[0]!.events.joined(joined("m-2", 1));
    expect(other.former).toEqual([]);
  });
});

describe("A member whose client", () => {
  test("crashes says so, and joins again with a new one", async () => {
    const { join, clients, calls, membership } = member();
    await join();
    clients[0]!.events.joined(joined("m-1", 0, 1));
    clients[0]!.events.crashed(new Error("connection lost"));
    expect(calls).toEqual(["owns 0,1", "away: connection lost"]);
    await expect(membership.commit(new Map([[0, 1]]))).rejects.toThrow("out of its group");
    await until("it has a new client", () => clients.length === 2);
    clients[1]!.events.joined(joined("m-2", 1));
    expect(calls.at(-1)).toBe("owns 1");
    clients[0]!.events.joined(joined("m-1", 0, 1));
    expect(calls.at(-1)).toBe("owns 1");
  });

  test("is joining when it is told to leave waits for that: a client that joins cannot be stopped", async () => {
    const running = Promise.withResolvers<void>();
    const { join, clients, membership } = member({ run: () => running.promise });
    const joining = join();
    await until("it is joining", () => clients.length === 1);
    const left = membership.leave();
    await Promise.resolve();
    expect(clients[0]!.disconnects).toBe(0);
    running.resolve();
    await Promise.all([joining, left]);
    expect(clients[0]!.disconnects).toBe(1);
  });

  test("connects after it was told to leave joins no group", async () => {
    const connected = Promise.withResolvers<void>();
    let runs = 0;
    const { join, clients, membership } = member({
      connect: () => connected.promise,
      run: () => Promise.resolve(void runs++),
    });
    const joining = join();
    await until("it connects", () => clients.length === 1);
    await membership.leave();
    connected.resolve();
    await joining;
    expect(runs).toBe(0);
  });
});

describe("A member that hears nothing for its session time", () => {
  test("owns nothing, says so once, and commits nothing", async () => {
    const { join, clients, calls, membership } = member();
    await join();
    clients[0]!.events.joined(joined("m-1", 0));
    await until("it is lost", () => calls.includes("lost"), { limitMs: 5_000 });
    await expect(membership.commit(new Map([[0, 1]]))).rejects.toThrow("out of its group");
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(calls).toEqual(["owns 0", "lost"]);
  });

  test("owns again what it had when two heartbeats show that the session held: no rebalance would say it", async () => {
    const { join, clients, calls, membership, commits } = member();
    await join();
    clients[0]!.events.joined(joined("m-1", 0, 2));
    await until("it is lost", () => calls.includes("lost"), { limitMs: 5_000 });
    clients[0]!.events.heartbeat();
    expect(calls).toEqual(["owns 0,2", "lost"]);
    clients[0]!.events.heartbeat();
    expect(calls).toEqual(["owns 0,2", "lost", "owns 0,2"]);
    await membership.commit(new Map([[0, 5]]));
    expect(commits).toEqual([5]);
  });

  test("goes by the next rebalance where the session had ended", async () => {
    const { join, clients, calls } = member();
    await join();
    clients[0]!.events.joined(joined("m-1", 0, 1));
    await until("it is lost", () => calls.includes("lost"), { limitMs: 5_000 });
    clients[0]!.events.joined(joined("m-2", 1));
    expect(calls).toEqual(["owns 0,1", "lost", "owns 1"]);
  });
});
