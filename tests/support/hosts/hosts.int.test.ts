import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { firstUrl } from "../pipeline.ts";
import { until } from "../until.ts";
import { type Host, type Hosts, type Network, startHosts, whyNoHosts } from "./hosts.ts";

/** The harness itself, with a small server on each host: what it cuts is cut, what it does not is not, and it leaves nothing. */
const why = await whyNoHosts();

/** Answers who it is, and what another server answers to it: 0 where nobody does within half a second. */
const PROGRAM = `
Deno.serve({ hostname: "0.0.0.0", port: 0, onListen: ({ port }) => console.log("http://0.0.0.0:" + port) }, async (request) => {
  const { searchParams } = new URL(request.url);
  if (!searchParams.has("ask")) return new Response(Deno.args[0]);
  const signal = AbortSignal.timeout(500);
  return new Response(await fetch(searchParams.get("ask"), { signal }).then((r) => r.text(), () => "nobody"));
});
`;

describe("Hosts of a test", () => {
  if (why !== null) {
    test("are cut off, healed, killed and stopped, each alone", (running) => running.skip(why));
    return;
  }
  let hosts: Hosts;
  let servers: { readonly host: Host; readonly url: string; readonly process: Deno.ChildProcess }[];
  let ours: Deno.HttpServer<Deno.NetAddr>;
  let places: Record<Network, string>;

  beforeEach(async () => {
    hosts = await startHosts(["a", "b", "c"]);
    servers = await Promise.all(hosts.hosts.map(async (host) => {
      const [program, ...args] = host.command;
      const file = `${host.dataDir}/server.ts`;
      await Deno.writeTextFile(file, PROGRAM);
      const process = new Deno.Command(program!, {
        args: [...args, Deno.execPath(), "run", "-A", "--no-config", "--no-lock", file, host.name],
        stdout: "piped",
      }).spawn();
      const { port } = new URL(await firstUrl(process.stdout, () => ""));
      return { host, process, url: `http://${host.address}:${port}` };
    }));
    ours = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, () => new Response("ours"));
    places = {
      broker: `http://${hosts.expose("broker", ours.addr.port)}`,
      bucket: `http://${hosts.expose("bucket", ours.addr.port)}`,
    };
  });
  afterEach(async () => {
    await hosts.close();
    await ours.shutdown();
  });

  const get = async (url: string) => await (await fetch(url)).text();
  /** What each of them hears of what is reached by a network. */
  const heard = (network: Network) =>
    Promise.all(servers.map(({ url }) => get(`${url}/?ask=${encodeURIComponent(places[network])}`)));

  test("are reached from this machine, each at an address of its own, and have a disk of their own", async () => {
    expect(await Promise.all(servers.map(({ url }) => get(url)))).toEqual(["a", "b", "c"]);
    expect(new Set(hosts.hosts.map(({ dataDir }) => dataDir)).size).toBe(3);
    // Not each other's loopback, and not this machine's.
    const loopback = `http://127.0.0.1:${ours.addr.port}`;
    expect(await get(`${servers[0]!.url}/?ask=${encodeURIComponent(loopback)}`)).toBe("nobody");
  });

  test.each<[Network, Network]>([["broker", "bucket"], ["bucket", "broker"]])(
    "lose the %s alone, one of them, until that is healed",
    async (lost, other) => {
      expect(await heard(lost)).toEqual(["ours", "ours", "ours"]);
      await hosts.hosts[1]!.cut(lost);
      expect(await heard(lost)).toEqual(["ours", "nobody", "ours"]);
      expect(await heard(other)).toEqual(["ours", "ours", "ours"]);
      expect(await get(servers[1]!.url)).toBe("b");
      await hosts.hosts[1]!.heal(lost);
      await until("it is healed", async () => (await heard(lost)).every((answer) => answer === "ours"));
    },
  );

  test("have processes that signals reach: killed with -9 one is gone, stopped it waits and goes on", async () => {
    const [killed, stopped] = [servers[0]!, servers[2]!];
    killed.process.kill("SIGKILL");
    expect(await killed.process.status).toMatchObject({ signal: "SIGKILL" });
    await expect(fetch(killed.url)).rejects.toThrow();
    stopped.process.kill("SIGSTOP");
    await expect(fetch(stopped.url, { signal: AbortSignal.timeout(300) })).rejects.toThrow();
    stopped.process.kill("SIGCONT");
    expect(await get(stopped.url)).toBe("c");
  });

  test("leave nothing when they are closed, of what runs and of what is stopped", async () => {
    servers[1]!.process.kill("SIGSTOP");
    const [namespace] = hosts.hosts.map(({ command }) => command.at(-1)!);
    const run = namespace!.split("-")[1]!;
    const left = async () => {
      const said = await Promise.all(
        [["netns"], ["link"]].map(async (args) =>
          new TextDecoder().decode((await new Deno.Command("ip", { args }).output()).stdout)
        ),
      );
      return said.join("\n").split("\n").filter((line) => line.includes(run)).length;
    };
    expect(await left()).toBeGreaterThan(3 + 3);
    await hosts.close();
    for (const { process } of servers) expect(await process.status).toMatchObject({ signal: "SIGKILL" });
    expect(await left()).toBe(0);
    await expect(Deno.stat(hosts.hosts[0]!.dataDir)).rejects.toThrow(Deno.errors.NotFound);
    hosts = await startHosts([]);
  });
});
