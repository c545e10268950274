import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, describe, expect, test } from "vitest";
import { until } from "../../tests/support/until.ts";
import { WEBHOOKS_TOPIC, writerOf } from "../../contract/names.ts";
import { openTopicLog } from "../open_topic.ts";
import { logFileOf } from "./file.ts";
import { openSqliteLog, type SqliteLogOptions } from "./log.ts";
import { describeTopicContract } from "../contract_suite/suite.ts";
import { all, bytes, collect, numbered, observed, saying, text, texts } from "../contract_suite/context.ts";
import { LogSetupError, type TopicLog } from "../topic.ts";

describeTopicContract("The embedded log", async () => {
  const dataDir = await Deno.makeTempDir({ prefix: "sqlite-log-" });
  return {
    open: (role) => Promise.resolve(openSqliteLog({ dataDir, role, writerOf })),
    remove: () => Deno.remove(dataDir, { recursive: true }),
  };
}, {
  skips: {
    "a second member of a group shares its partitions":
      "the embedded log knows one processor, a second is refused",
  },
});

const SPEC = { partitions: 6, retentionMs: null, retentionBytes: null, recordBytesMax: 10_000 };
const fixture = (name: string) => new URL(`./fixtures/${name}`, import.meta.url).pathname;

const atEnd: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const end of atEnd.splice(0).reverse()) await end();
});

async function dataDirectory(): Promise<string> {
  const dataDir = await Deno.makeTempDir({ prefix: "sqlite-log-" });
  atEnd.push(() => Deno.remove(dataDir, { recursive: true }));
  return dataDir;
}

function open(options: Omit<SqliteLogOptions, "writerOf">): TopicLog {
  const log = openSqliteLog({ ...options, writerOf });
  atEnd.push(() => log.close());
  return log;
}

/** A real process; `output` grows with what it writes, and is whole when `kill` or `ended` has resolved. */
function spawn(...args: string[]) {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", "--no-lock", ...args],
    stdout: "piped",
  }).spawn();
  const process = { output: "", kill, ended: Promise.resolve(0) };
  const reading = (async () => {
    for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) process.output += chunk;
  })();
  process.ended = reading.then(async () => (await child.status).code);
  async function kill() {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended by itself.
    }
    await process.ended;
  }
  atEnd.push(kill);
  return process;
}

type Acknowledged = { readonly partition: number; readonly offset: number; readonly value: string };

/** The whole lines of a publishing process: one that kill -9 cut off names a record that nobody was told about. */
function acknowledgements(output: string): Acknowledged[] {
  return output.split("\n").slice(0, -1).map((line) => {
    const [partition, offset, value] = line.split(" ");
    return { partition: Number(partition), offset: Number(offset), value: value! };
  });
}

async function wholeTopic(log: TopicLog, topic: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const { partition } of await log.bounds(topic)) {
    for (const record of await all(log, topic, partition)) {
      found.set(`${partition}:${record.offset}`, text(record.value));
    }
  }
  return found;
}

/** Each publisher's records lie in the order in which it sent them. */
function expectOrder(found: Map<string, string>): void {
  const last = new Map<string, number>();
  for (const value of found.values()) {
    const [, publisher, number] = /^(.*)-(\d+)$/.exec(value)!;
    expect(Number(number), `order of ${publisher}`).toBeGreaterThan(last.get(publisher!) ?? -1);
    last.set(publisher!, Number(number));
  }
}

describe("A process that publishes is killed", () => {
  test("everything it was told is there, at its position and in order, and its successor goes on", async () => {
    const dataDir = await dataDirectory();
    const acknowledged: Acknowledged[] = [];
    for (let round = 0; round < 4; round++) {
      const publisher = spawn(fixture("publish.ts"), dataDir, "ingest", WEBHOOKS_TOPIC, `round${round}`, "0");
      await until("it has published", () => publisher.output.length > 4_000 * (round + 1));
      await publisher.kill();
      const confirmed = acknowledgements(publisher.output);
      expect(confirmed.length).toBeGreaterThan(100);
      acknowledged.push(...confirmed);
      const log = openSqliteLog({ dataDir, role: "processor", writerOf });
      const found = await wholeTopic(log, WEBHOOKS_TOPIC);
      await log.close();
      const missing = acknowledged.filter(({ partition, offset, value }) =>
        found.get(`${partition}:${offset}`) !== value
      );
      expect(missing).toEqual([]);
      expectOrder(found);
    }
    expect(new Set(acknowledged.map(({ partition, offset }) => `${partition}:${offset}`)).size).toBe(
      acknowledged.length,
    );
  });

  test("a reader that followed all the time saw each record once", async () => {
    const dataDir = await dataDirectory();
    const log = open({ dataDir, role: "processor" });
    const stop = new AbortController();
    const seen: string[] = [];
    const reading = (async () => {
      for await (
        const { records } of log.read(WEBHOOKS_TOPIC, { partition: 0, from: 0, signal: stop.signal })
      ) {
        for (const { offset, value } of records) seen.push(`${offset} ${text(value)}`);
      }
    })();
    for (const name of ["first", "second"]) {
      const publisher = spawn(fixture("publish.ts"), dataDir, "ingest", WEBHOOKS_TOPIC, name, "0");
      await until("it has published", () => publisher.output.length > 4_000);
      await publisher.kill();
    }
    const there = (await all(log, WEBHOOKS_TOPIC, 0)).map(({ offset, value }) => `${offset} ${text(value)}`);
    await until("the reader has caught up", () => seen.length >= there.length);
    stop.abort();
    await reading;
    expect(seen).toEqual(there);
  });
});

describe("Two processes publish to one file", () => {
  test("nothing is lost and no offset is given twice, also while the file is being made", async () => {
    const dataDir = await dataDirectory();
    const publishers = [
      spawn(fixture("publish.ts"), dataDir, "ingest", WEBHOOKS_TOPIC, "service", "400"),
      spawn(fixture("publish.ts"), dataDir, "command", WEBHOOKS_TOPIC, "command", "400"),
    ];
    expect(await Promise.all(publishers.map((publisher) => publisher.ended))).toEqual([0, 0]);
    const confirmed = publishers.flatMap((publisher) => acknowledgements(publisher.output));
    expect(confirmed).toHaveLength(2 * 8 * 400);
    const found = await wholeTopic(open({ dataDir, role: "processor" }), WEBHOOKS_TOPIC);
    expect(found).toEqual(
      new Map(confirmed.map(({ partition, offset, value }) => [`${partition}:${offset}`, value])),
    );
    expectOrder(found);
  });
});

describe("A consumer group on the embedded log", () => {
  test("waits for a topic that another process makes later, and gets what that process publishes", async () => {
    const dataDir = await dataDirectory();
    const log = open({ dataDir, role: "processor" });
    const { handler, records } = observed();
    const consumption = log.consume({ topic: WEBHOOKS_TOPIC, group: "early", handler });
    expect(consumption.state()).toEqual({ is: "joining", partitions: [] });
    const publisher = spawn(fixture("publish.ts"), dataDir, "ingest", WEBHOOKS_TOPIC, "later", "5");
    await until("all records have come", () => records.length >= 40);
    expect(await publisher.ended).toBe(0);
    expect(consumption.state()).toEqual({ is: "joined", partitions: [0, 1, 2, 3, 4, 5] });
    const confirmed = acknowledgements(publisher.output).map(({ value }) => value);
    expect(texts(records).sort()).toEqual(confirmed.sort());
    await consumption.stop();
  });

  test("takes one member: a second handle is refused until the first has left", async () => {
    const dataDir = await dataDirectory();
    const [one, other] = [open({ dataDir, role: "processor" }), open({ dataDir, role: "processor" })];
    await one.ensureTopic({ ...SPEC, name: "t" });
    const first = one.consume({ topic: "t", group: "only", handler: observed().handler });
    const { handler, calls } = observed();
    const refused = other.consume({ topic: "t", group: "only", handler });
    await expect(refused.ended).rejects.toBeInstanceOf(LogSetupError);
    await refused.stop();
    expect(calls).toEqual([]);
    await first.stop();
    const second = other.consume({ topic: "t", group: "only", handler });
    await until("the second has joined", () => second.state().is === "joined");
    await second.stop();
  });

  test("is free again when its member was killed, and goes on from what that one committed", async () => {
    const dataDir = await dataDirectory();
    const log = open({ dataDir, role: "processor" });
    await log.ensureTopic({ ...SPEC, name: "t", partitions: 1 });
    await log.publish("t", numbered(7));
    const member = spawn(fixture("consume.ts"), dataDir, "t", "g");
    await until("it has committed", () => member.output.includes("committed 7"));
    await expect(log.consume({ topic: "t", group: "g", handler: observed().handler }).ended).rejects.toThrow(
      /has a member already/,
    );
    await member.kill();
    await log.publish("t", [saying("after the kill")]);
    const { handler, records } = observed();
    const consumption = log.consume({ topic: "t", group: "g", handler });
    await until("the new record has come", () => records.length > 0);
    await consumption.stop();
    expect(texts(records)).toEqual(["after the kill"]);
  });

  test("begins at the start where its committed offset speaks of a log that is gone", async () => {
    const dataDir = await dataDirectory();
    const before = openSqliteLog({ dataDir, role: "processor", writerOf });
    await before.ensureTopic({ ...SPEC, name: WEBHOOKS_TOPIC, partitions: 1 });
    await before.publish(WEBHOOKS_TOPIC, numbered(9));
    const first = observed();
    before.consume({ topic: WEBHOOKS_TOPIC, group: "g", handler: first.handler });
    await until("all are committed", async () => (await before.committed(WEBHOOKS_TOPIC, "g"))[0] === 9);
    await before.close();
    await Deno.remove(join(dataDir, "log", "ingest.db"));

    const log = open({ dataDir, role: "processor" });
    await log.ensureTopic({ ...SPEC, name: WEBHOOKS_TOPIC, partitions: 1 });
    await log.publish(WEBHOOKS_TOPIC, numbered(2));
    expect((await log.lag(WEBHOOKS_TOPIC, "g", Date.now()))[0]).toMatchObject({
      nextOffset: 9,
      endOffset: 2,
      lag: 0,
    });
    const { handler, records } = observed();
    const consumption = log.consume({ topic: WEBHOOKS_TOPIC, group: "g", handler });
    await until("its records have come", () => records.length === 2);
    await consumption.stop();
  });
});

describe("The files of the embedded log", () => {
  test("hold webhooks apart from everything else, and nothing is made by looking", async () => {
    const dataDir = await dataDirectory();
    const log = open({ dataDir, role: "command" });
    await expect(log.bounds(WEBHOOKS_TOPIC)).rejects.toBeInstanceOf(LogSetupError);
    expect([...Deno.readDirSync(dataDir)]).toEqual([]);
    const files = () => [...Deno.readDirSync(join(dataDir, "log"))].map(({ name }) => name);
    await log.ensureTopic({ ...SPEC, name: WEBHOOKS_TOPIC });
    expect(files()).toContain("ingest.db");
    expect(files()).not.toContain("processor.db");
    await log.ensureTopic({ ...SPEC, name: "any.other" });
    expect(files()).toContain("processor.db");
  });

  test("open through the configuration", async () => {
    const log = await openTopicLog({ kind: "embedded", dataDir: await dataDirectory() }, "ingest");
    atEnd.push(() => log.close());
    await log.ensureTopic({ ...SPEC, name: "t" });
    expect(log.kind).toBe("embedded");
    expect(await log.publish("t", [saying("x", { key: bytes("21") })])).toHaveLength(1);
  });

  test("a topic has an id, another one in another DATA_DIR, and none where it was made before there were ids", async () => {
    const ids = await Promise.all([1, 2].map(async () => {
      const log = open({ dataDir: await dataDirectory(), role: "ingest" });
      await log.ensureTopic({ ...SPEC, name: WEBHOOKS_TOPIC });
      return await log.topicId!(WEBHOOKS_TOPIC);
    }));
    expect(ids).toEqual([expect.stringMatching(/^[0-9a-f]{32}$/), expect.stringMatching(/^[0-9a-f]{32}$/)]);
    expect(ids[0]).not.toBe(ids[1]);

    const dataDir = await dataDirectory();
    const before = openSqliteLog({ dataDir, role: "ingest", writerOf });
    await before.ensureTopic({ ...SPEC, name: WEBHOOKS_TOPIC });
    await before.close();
    const file = new DatabaseSync(join(dataDir, logFileOf("ingest")));
    file.exec("drop table topic_id");
    file.close();
    const log = open({ dataDir, role: "ingest" });
    await log.ensureTopic({ ...SPEC, name: WEBHOOKS_TOPIC, recordBytesMax: 20_000 });
    expect(await log.topicId!(WEBHOOKS_TOPIC)).toBeNull();
  });

  test("a bounded read of a closed log fails, for an end would say that all has been read", async () => {
    const log = openSqliteLog({ dataDir: await dataDirectory(), role: "command", writerOf });
    await log.ensureTopic({ ...SPEC, name: "t" });
    const reading = collect(log.read("t", { partition: 0, from: 0, until: 5 }));
    const outcome = expect(reading).rejects.toThrow(/closed/);
    await new Promise((resolve) => setImmediate(resolve));
    await log.close();
    await outcome;
  });
});
