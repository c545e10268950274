import { Buffer } from "node:buffer";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createKeyedHashes } from "../../contract/keyed_hash.ts";
import { WEBHOOKS_TOPIC } from "../../contract/names.ts";
import { SECRET, startWriter } from "../../processor/dataset/fixtures/run.ts";
import { Spool } from "../../ingest/spool/spool.ts";
import { datasetFiles, datasetLines, mailFiles } from "../../tests/support/pipeline.ts";
import { killAtFaultPoint, runProgram, spawnProgram } from "../../tests/support/run_command.ts";
import { DATASET_PLACES, type DatasetPlaces, openPlaces } from "../../tests/support/dataset_place.ts";
import { openDatasetLocks } from "../../processor/dataset/files/locks.ts";
import { openTopicLog } from "../../topic/open_topic.ts";
import {
  copyContext,
  type EraseContext,
  failed,
  filesThatHold,
  HERS,
  holds,
  JANE,
  makeContext,
  NEIGHBOUR,
  processorRuns,
  publishInto,
  recordOf,
  recordOfText,
  repeatLetters,
  setAsideWithoutBytes,
  SHARED_PROMPT,
  uses,
  webhook,
  withLog,
} from "./fixtures/pipeline.ts";

/** `ERASE_USERS=10000` for the large run. */
const USERS = Number(Deno.env.get("ERASE_USERS") ?? 300);
const SOON = { at: "2025-11-30T12:00:00.000Z" };

/** For what does not depend on how many others there are. */
const FEW = 30;

let context: EraseContext;

/** Every test of a block gets a copy of one world. */
function inContextOf(users: number, { isBucket = false } = {}): void {
  let places: DatasetPlaces;
  let made: EraseContext;
  beforeAll(async () => {
    places = await openPlaces({ isBucket });
    made = await makeContext(users, { places });
  }, 600_000);
  afterAll(async () => {
    await Deno.remove(made.dataDir, { recursive: true });
    await places.stop();
  });
  beforeEach(async () => void (context = await copyContext(made)));
  afterEach(() => Deno.remove(context.dataDir, { recursive: true }));
}

const run = (...args: string[]) => runProgram("tools/erase/main.ts", { args, env: context.env });

async function erase(...args: string[]) {
  const { code, stdout, stderr } = await run(JANE.id, ...args, "--json");
  expect([code, stderr]).toEqual([0, ""]);
  return JSON.parse(stdout);
}

const raw = (path: string) => path.startsWith("log/ingest.db");
const { subject, personSubject } = createKeyedHashes(SECRET);
const letters = async () => {
  const { stdout } = await runProgram("tools/dead_letters.ts", {
    args: ["list", "--all", "--json"],
    env: context.env,
  });
  return stdout.split("\n").filter(Boolean).map((line) => JSON.parse(line));
};

/** Lines of the dataset by file, hers left out, and files without any left out. */
function othersLines(dataDir: string): Record<string, string> {
  return othersIn(datasetFiles(dataDir));
}

function othersIn(files: ReadonlyMap<string, string>): Record<string, string> {
  const hers = [JANE.id, JANE.anonymous];
  return Object.fromEntries(
    [...files].map(([path, text]) =>
      [
        path,
        text.split("\n").filter((line) => line !== "" && !hers.includes(JSON.parse(line).distinct_id)).join(
          "\n",
        ),
      ] as const
    ).filter(([, text]) => text !== "").sort(),
  );
}

describe("a person is erased where no processor runs", () => {
  inContextOf(USERS);

  test("nothing of them is left outside the raw topic, and everybody else's lines are the same bytes", async () => {
    expect(filesThatHold(context.dataDir, HERS).filter((path) => !raw(path)).length).toBeGreaterThan(5);
    const before = othersLines(context.dataDir);
    const report = await erase();
    expect(report).toMatchObject({ left: 0, own: true, letters: 2, topicScrubbed: null });
    expect(filesThatHold(context.dataDir, HERS).filter((path) => !raw(path))).toEqual([]);
    expect(filesThatHold(context.dataDir, HERS)).not.toEqual([]);
    const left = Object.fromEntries(
      [...datasetFiles(context.dataDir)].filter(([, text]) => text !== "").sort(),
    );
    expect(Object.fromEntries(Object.entries(left).map(([path, text]) => [path, text.trimEnd()]))).toEqual(
      before,
    );
    expect(datasetLines(context.dataDir).filter((line) => line.input_prompt === SHARED_PROMPT)).toHaveLength(
      1,
    );
  });

  test("says where it looked, in words, and names nobody", async () => {
    const { code, stdout } = await run(JANE.id);
    expect(code).toBe(0);
    expect(stdout).toMatch(/PLACE +FILES +BYTES +LEFT +KEPT/);
    for (const place of ["dataset.", "log/processor.db", "mail/", "offers.db"]) {
      expect(stdout).toContain(place);
    }
    expect(stdout).toContain("--scrub-topic");
    for (const text of HERS) expect(stdout).not.toContain(text);
  });

  test("names all who are joined, also in the record that every partition gets", async () => {
    const { subjects } = await erase();
    expect(subjects).toEqual(
      [subject(JANE.id), subject(JANE.anonymous), personSubject(JANE.personId)].sort(),
    );
    const found = await withLog(context.dataDir, async (log) => {
      const records = [];
      for (const { partition, endOffset } of await log.bounds(WEBHOOKS_TOPIC)) {
        for await (
          const batch of log.read(WEBHOOKS_TOPIC, { partition, from: endOffset - 1, until: endOffset })
        ) {
          records.push(...batch.records);
        }
      }
      return records;
    });
    expect(found.map(({ headers }) => [headers.event, headers.source])).toEqual(
      Array.from({ length: 6 }, () => ["$erase", "erase"]),
    );
    expect(new Set(found.map(({ headers }) => headers.id)).size).toBe(6);
    for (const { key, value } of found) {
      expect(new TextDecoder().decode(key!)).toBe(subject(JANE.id));
      expect(JSON.parse(new TextDecoder().decode(value))).toEqual({
        event: "$erase",
        at: expect.any(String),
        subjects,
      });
    }
  });

  test("the dead letters of others stay, hers leave the list: repeats, letters without bytes, bodies without an id too", async () => {
    await setAsideWithoutBytes(context.dataDir);
    await repeatLetters(context.dataDir);
    expect(await letters()).toHaveLength(5);
    await erase();
    expect(await letters()).toHaveLength(2);
    expect(filesThatHold(context.dataDir, HERS).filter((path) => !raw(path))).toEqual([]);
  });

  test("what was said when letters were dismissed goes where it names them; others' letters stay dismissed", async () => {
    const spool = join(context.dataDir, "spool", "refused");
    Deno.mkdirSync(spool, { recursive: true });
    const file = { reason: "too large", key: "a key", headers: {}, value: "of somebody else" };
    Deno.writeTextFileSync(join(spool, "1-0.json"), JSON.stringify(file));
    Deno.writeTextFileSync(join(spool, "1-1.json"), JSON.stringify({ ...file, value: JANE.email }));
    const before = await letters();
    for (const { id } of before) {
      const args = ["dismiss", id, "--reason", `asked for by ${JANE.email}`];
      expect(await runProgram("tools/dead_letters.ts", { args, env: context.env })).toMatchObject({
        code: 0,
      });
    }
    await erase();
    const after = await letters();
    expect(after.length).toBeLessThan(before.length);
    expect(after.length).toBeGreaterThan(1);
    expect(after.map(({ id }) => id)).toContain("refused:1-0");
    for (const letter of after) expect(letter.dismissed).toEqual({ words: "" });
    expect(filesThatHold(context.dataDir, HERS).filter((path) => !raw(path))).toEqual([]);
    expect([...Deno.readDirSync(spool)].map(({ name }) => name).sort()).toEqual([
      "1-0.json",
      "1-0.json.dismissed",
    ]);
  });

  test("other datasets, unfinished rebuilds and exports under DATA_DIR are deleted, the live one stays", async () => {
    const { removed } = await erase();
    expect(removed.map((path: string) => path.slice(context.dataDir.length + 1))).toEqual([
      "dataset.20251201T000000Z-00112233",
      "dataset.old",
      "exports/march",
      "exports/of-before",
      "kept/rebuilt",
    ]);
    expect(datasetLines(context.dataDir).length).toBeGreaterThan(USERS);
  });

  test("the mails of others stay", async () => {
    await erase();
    const [mail, ...more] = mailFiles(context.dataDir);
    expect(more).toEqual([]);
    expect(Deno.readTextFileSync(join(context.dataDir, "mail", "new", mail!))).toContain(NEIGHBOUR.email);
  });

  test("a dataset that is written from the topic's start does not bring them back", async () => {
    await erase();
    const fresh = await Deno.makeTempDir();
    const log = await openTopicLog({ kind: "embedded", dataDir: context.dataDir }, "processor");
    try {
      const writer = startWriter({ log, dataDir: fresh });
      // The group's offsets lie at the end already: what is written shows when it is done.
      await expect.poll(() => [datasetLines(fresh).length, filesThatHold(fresh, HERS)], { timeout: 30_000 })
        .toEqual([datasetLines(context.dataDir).length, []]);
      await writer.stop();
      expect(othersLines(fresh)).toEqual(othersLines(context.dataDir));
    } finally {
      await log.close();
      await Deno.remove(fresh, { recursive: true });
    }
  });

  test.each([[], ["--scrub-topic"]])(
    "the next replay does not bring them back, in whatever range (%s)",
    async (...flags) => {
      await erase(...flags.filter((flag) => typeof flag === "string"));
      const replay = (...args: string[]) => runProgram("tools/replay/main.ts", { args, env: context.env });
      const before = othersLines(context.dataDir);
      expect((await replay()).code).toBe(0);
      expect(othersLines(context.dataDir)).toEqual(before);
      expect((await replay("--check")).code).toBe(0);
      expect((await replay("--to", join(context.dataDir, "rebuilt"), "--until-time", SOON.at)).code).toBe(0);
      expect(filesThatHold(context.dataDir, HERS).filter((path) => !raw(path))).toEqual([]);
      await processorRuns(context);
      expect(await letters()).toHaveLength(2);
      expect(filesThatHold(context.dataDir, HERS).filter((path) => !raw(path))).toEqual([]);
    },
  );

  test("a late event from before gives no line and no count, a later one is new data", async () => {
    await erase();
    const later = { at: new Date(Date.now() + 3_600_000).toISOString() };
    await publishInto(context.dataDir, [
      failed(JANE.id, "late, from before the erasure", SOON),
      ...uses(4, JANE.id, SOON),
      failed(JANE.id, "what she asks for afterwards", later),
      webhook("feature_used", JANE.id, later),
    ]);
    await processorRuns(context);
    const hers = datasetLines(context.dataDir).filter((line) => line.distinct_id === JANE.id);
    expect(hers.map((line) => line.input_prompt)).toEqual(["what she asks for afterwards"]);
    const { stdout } = await runProgram("tools/offers.ts", {
      args: ["show", JANE.id, "--json"],
      env: context.env,
    });
    expect(JSON.parse(stdout)).toMatchObject({ state: "counting", uses: 1 });
  });

  test("erased again after more data came: that goes too, and her other id is still known", async () => {
    await erase();
    const later = { at: new Date(Date.now() + 60_000).toISOString() };
    await publishInto(context.dataDir, [
      failed(JANE.anonymous, "an unmistakable prompt of hers, again", later),
    ]);
    await processorRuns(context);
    expect(filesThatHold(context.dataDir, HERS).filter((path) => !raw(path))).not.toEqual([]);
    const report = await erase();
    expect(report.subjects).toHaveLength(3);
    expect(filesThatHold(context.dataDir, HERS).filter((path) => !raw(path))).toEqual([]);
  });

  test("her mailbox stays claimed: nobody who brings the same address gets a second mail", async () => {
    await erase();
    const now = new Date().toISOString();
    const email = JANE.email.toUpperCase();
    await publishInto(context.dataDir, uses(5, "user-999999", { email, at: now }));
    const shown = () =>
      runProgram("tools/offers.ts", { args: ["show", "user-999999", "--json"], env: context.env });
    await processorRuns(context, async () => {
      await expect.poll(async () => JSON.parse((await shown()).stdout || "{}").state, { timeout: 30_000 })
        .toBe("closed");
    });
    expect(JSON.parse((await shown()).stdout)).toMatchObject({ uses: 5, sentAt: null });
    expect(mailFiles(context.dataDir)).toHaveLength(1);
  });

  test("person-… names the same person", async () => {
    const { code, stdout } = await run(`person-${subject(JANE.id)}`, "--json");
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ left: 0, letters: 2 });
    expect(filesThatHold(context.dataDir, HERS).filter((path) => !raw(path))).toEqual([]);
  });

  test("erased again without new data: says so and is no failure, so that a script may repeat it", async () => {
    const first = await erase();
    expect(first).toMatchObject({ erasedBefore: null, newRecords: 10 });
    expect(await erase()).toMatchObject({ erasedBefore: first.at, newRecords: 0, left: 0, letters: 0 });
    const { code, stdout } = await run(JANE.id, "--dry-run");
    expect([code, stdout]).toEqual([0, expect.stringContaining("since then: nothing new.")]);
    await publishInto(context.dataDir, [
      failed(JANE.id, "late", SOON),
      failed(JANE.id, "later", { at: new Date(Date.now() + 60_000).toISOString() }),
    ]);
    expect((await run(JANE.id)).stdout).toContain("since then: 1 new record.");
  });
});

/** It printed "Erased" and answered 0 for an id in another case, for an address, and for whatever text there was. */
describe("an id that nobody has seen", () => {
  inContextOf(FEW);
  const ends = () => withLog(context.dataDir, (log) => log.bounds(WEBHOOKS_TOPIC));

  async function refused(given: string): Promise<string> {
    const before = await ends();
    const outcomes = [await run(given), await run(given, "--dry-run"), await run(given, "--json")];
    expect(outcomes.map(({ code, stdout }) => [code, stdout])).toEqual([[1, ""], [1, ""], [1, ""]]);
    expect(new Set(outcomes.map(({ stderr }) => stderr)).size).toBe(1);
    expect(await ends()).toEqual(before);
    expect(filesThatHold(context.dataDir, HERS)).toContain("log/processor.db");
    expect(outcomes[0]!.stderr).toContain(`Cannot erase "${given}": nobody of this id has been seen`);
    return outcomes[0]!.stderr;
  }

  test("is refused, and nothing is done", async () => {
    expect(await refused("user-nobody-knows")).toContain("Take the distinct_id from PostHog");
    await refused(`person-${subject("user-nobody-knows")}`);
  });

  test("is not taken for one in another case, which is named", async () => {
    expect(await refused(JANE.id.toUpperCase())).toContain(`there is "${JANE.id}". Erase by that id.`);
  });

  test("but is a known address, in whatever spelling, has its id named", async () => {
    for (const address of [JANE.email, "JANE.ROE+news@EXAMPLE.org"]) {
      expect(await refused(address)).toContain(`it is an address of "${JANE.id}". Erase by that id.`);
    }
  });

  test("but is the address of several, has all of them named", async () => {
    const email = JANE.email.toUpperCase();
    await publishInto(context.dataDir, [webhook("feature_used", "user-7002", { email })]);
    expect(await refused(JANE.email)).toContain(
      `it is an address of "${JANE.id}" and "user-7002". Erase by one of these ids.`,
    );
  });

  test("but is a person.id, has the distinct_ids named", async () => {
    expect(await refused(JANE.personId)).toContain(
      `it is the person.id of "${JANE.anonymous}" and "${JANE.id}"`,
    );
  });

  test("in a DATA_DIR that is not there: it is not made", async () => {
    const env = { ...context.env, DATA_DIR: join(context.dataDir, "mistyped") };
    const { code, stderr } = await runProgram("tools/erase/main.ts", { args: [JANE.id], env });
    expect([code, stderr]).toEqual([1, expect.stringContaining("there is no such directory")]);
    expect([...Deno.readDirSync(context.dataDir)].map(({ name }) => name)).not.toContain("mistyped");
  });
});

describe("an id is seen", () => {
  inContextOf(FEW);

  test("where only a join names it", async () => {
    await publishInto(context.dataDir, [
      webhook("$identify", "user-8001", { properties: { $anon_distinct_id: "visitor-8001" } }),
    ]);
    expect((await run("visitor-8001", "--dry-run")).code).toBe(0);
    expect((await run("visitor-8001")).code).toBe(0);
  });

  test("where only a webhook that has not been handled yet has it", async () => {
    await publishInto(context.dataDir, [failed("user-8001", "a prompt of somebody who is new")]);
    const { code, stdout } = await run("user-8001", "--json");
    expect([code, JSON.parse(stdout)]).toEqual([0, expect.objectContaining({ records: 1, left: 0 })]);
  });

  test("where only a dead letter without a distinct_id has it, an address too", async () => {
    await publishInto(context.dataDir, [recordOf({ note: "call nobody.else\u0040example.org" })]);
    await processorRuns(context);
    const before = (await letters()).length;
    expect((await run("Nobody.Else@example.org")).code).toBe(0);
    expect(await letters()).toHaveLength(before - 1);
  });

  test("where only a line of the dataset has it: the topic keeps its records for less time", async () => {
    const [path, text] = [...datasetFiles(context.dataDir)].find(([, text]) => text.includes("user-100000"))!;
    expect(text).toContain("user-100000");
    const line = text.split("\n")[0]!.replace(/"distinct_id":"[^"]*"/, '"distinct_id":"user-of-old"');
    Deno.writeTextFileSync(join(context.dataDir, "dataset", path), `${line}\n`, { append: true });
    expect((await run("user-of-old", "--dry-run")).code).toBe(0);
  });

  test("by every name that --dry-run shows", async () => {
    for (const { subjects } of [JSON.parse((await run(JANE.id, "--dry-run", "--json")).stdout)]) {
      for (const one of subjects) expect((await run(`person-${one}`, "--dry-run")).code).toBe(0);
    }
  });
});

/** LEFT said 0 while letters, mails and files held the address in another case, with a tag, or behind escapes. */
describe("in every spelling", () => {
  inContextOf(FEW);

  const base64 = (text: string) => Buffer.from(text).toString("base64");
  const SPELLINGS = [
    '{"note":"JANE.ROE@EXAMPLE.ORG"}',
    '{"note":"jane.roe+shop@example.org"}',
    String.raw`{"note":"Jane.Roe\u0040example.org"}`,
    String.raw`{"\u006aane\u002eroe\u0040EXAMPLE\u002eorg":true}`,
    String.raw`{"note":"\"jane.roe\"@example.org"}`,
    '{"note":"ｊａｎｅ.roe＠example.org"}',
    '{"link":"https://x.example/?mail=jane.roe%40example.org"}',
    '{"html":"jane.roe&#64;example.org"}',
    `{"mail":"${base64("to JANE.roe@example.org please")}"}`,
    String.raw`{"user":"user\u002d7001"}`,
    String.raw`{"nested":"{\"user\":\"user-7001\"}"}`,
  ];

  test("dead letters that are no events go, and those of others stay", async () => {
    const others = ['{"note":"mary.JANE.roe\\u0040example.org"}', '{"user":"user\\u002d70012"}'];
    const before = (await letters()).length;
    await publishInto(context.dataDir, [...SPELLINGS, ...others].map((text) => recordOfText(text)));
    const key = new TextEncoder().encode("JANE.ROE@EXAMPLE.ORG");
    await publishInto(context.dataDir, [{ ...recordOfText('{"by":"another program"}'), key }]);
    await processorRuns(context);
    expect(await letters()).toHaveLength(before + SPELLINGS.length + others.length + 1);
    const report = await erase("--scrub-topic");
    expect(report).toMatchObject({ left: 0, letters: 3 + SPELLINGS.length });
    expect(await letters()).toHaveLength(before - 2 + others.length);
    const held = SPELLINGS.map((text) => text.slice(1, -1));
    expect(filesThatHold(context.dataDir, [...HERS, ...held])).toEqual([]);
    expect(filesThatHold(context.dataDir, others)).toEqual(["log/ingest.db", "log/processor.db"]);
  });

  const MAILS = {
    "quoted-printable": "Content-Transfer-Encoding: quoted-printable\r\n\r\nDear JANE.RO=\r\nE=40example.org",
    "base64": `Content-Transfer-Encoding: base64\r\n\r\n${
      base64(`${"x".repeat(50)} for Jane.ROE@example.org`).replace(/.{76}/g, "$&\r\n")
    }`,
    "a-header": "Subject: =?utf-8?q?for_jane=2Eroe=40EXAMPLE=2Eorg?=\r\n\r\nhello",
    "a-tag": "To: <jane.roe+shop@example.org>\r\n\r\nhello",
  };

  test("mails that an older version left go, and what somebody else put there is found and named", async () => {
    const newMails = join(context.dataDir, "mail", "new");
    for (const [name, text] of Object.entries(MAILS)) {
      Deno.writeTextFileSync(join(newMails, `${name}.eml`), text);
      Deno.writeTextFileSync(join(context.dataDir, `${name}.txt`), text);
    }
    const { code, stdout, stderr } = await run(JANE.id, "--json");
    const places = JSON.parse(stdout).places.filter(({ left }: { left: number }) => left > 0);
    expect(places.map(({ place }: { place: string }) => place).sort()).toEqual(
      Object.keys(MAILS).map((name) => `${name}.txt`).sort(),
    );
    expect([code, stderr]).toEqual([1, expect.stringContaining("a-header.txt, a-tag.txt")]);
    expect(mailFiles(context.dataDir)).toHaveLength(1);
  });

  test("spooled webhooks that the log never took go", async () => {
    const directory = join(context.dataDir, "spool", "refused");
    Deno.mkdirSync(directory, { recursive: true });
    for (const [n, value] of SPELLINGS.entries()) {
      const file = { reason: "too large", key: "a key", headers: {}, value };
      Deno.writeTextFileSync(join(directory, `1-${n}.json`), JSON.stringify(file));
      Deno.writeTextFileSync(join(directory, `1-${n}.damaged`), `\x00\x01${value}`);
    }
    expect(await erase()).toMatchObject({ left: 0 });
    expect([...Deno.readDirSync(directory)]).toEqual([]);
  });

  test("a mail of somebody else to the same mailbox stays, and is counted as kept", async () => {
    const [mail] = mailFiles(context.dataDir).filter((name) =>
      Deno.readTextFileSync(join(context.dataDir, "mail", "new", name)).includes(NEIGHBOUR.email)
    );
    const path = join(context.dataDir, "mail", "new", mail!);
    Deno.writeTextFileSync(path, Deno.readTextFileSync(path) + "jane.roe+family@example.org\r\n");
    const { places, left } = await erase();
    expect(left).toBe(0);
    expect(places.find(({ place }: { place: string }) => place === "mail/")).toMatchObject({
      left: 0,
      kept: 1,
    });
  });
});

describe("webhooks that wait in ingest's spool", () => {
  inContextOf(FEW);

  const openSpool = () =>
    Spool.open({
      directory: join(context.dataDir, "spool"),
      bytesMax: 1e9,
      segmentBytes: 1e6,
      faultPoint: () => {},
      report: () => {},
    });

  test("are published before the erasure where no ingest runs, and hers that the topic never took are deleted", async () => {
    const spool = await openSpool();
    const spooled = [
      failed(JANE.id, "an unmistakable prompt of hers, spooled", SOON),
      failed("user-100000", "spooled too", SOON),
    ];
    for (const record of spooled) await spool.append(record as never);
    await spool.setAside(spooled[0] as never, { at: "1-0", reason: "too large" });
    await spool.setAside(spooled[1] as never, { at: "1-1", reason: "too large" });
    await spool.setAside(recordOf({ note: JANE.email }) as never, { at: "1-2", reason: "too large" });
    const noText = { ...spooled[0]!, value: Uint8Array.of(0xff, ...spooled[0]!.value) };
    await spool.setAside(noText as never, { at: "1-3", reason: "kept in base64" });
    await spool.close();
    await erase();
    expect(filesThatHold(context.dataDir, HERS).filter((path) => !raw(path))).toEqual([]);
    expect([...Deno.readDirSync(join(context.dataDir, "spool", "refused"))].map(({ name }) => name)).toEqual([
      "1-1.json",
    ]);
    expect(datasetLines(context.dataDir).filter((line) => line.input_prompt === "spooled too")).toHaveLength(
      1,
    );
  });
});

describe("--scrub-topic", () => {
  inContextOf(USERS);

  test("leaves nothing of them at all; records keep offset and time, everybody else's stay as they were", async () => {
    const contents = () =>
      withLog(context.dataDir, async (log) => {
        const all = new Map<string, { timestamp: number; value: string; headers: unknown }>();
        for (const { partition, endOffset } of await log.bounds(WEBHOOKS_TOPIC)) {
          for await (
            const { records } of log.read(WEBHOOKS_TOPIC, { partition, from: 0, until: endOffset })
          ) {
            for (const { offset, timestamp, value, headers } of records) {
              all.set(`${partition}:${offset}`, {
                timestamp,
                value: new TextDecoder().decode(value),
                headers,
              });
            }
          }
        }
        return all;
      });
    const before = await contents();
    const report = await erase("--scrub-topic");
    expect(report).toMatchObject({ left: 0, topicScrubbed: 11 });
    expect(filesThatHold(context.dataDir, HERS)).toEqual([]);
    const after = await contents();
    let scrubbed = 0;
    for (const [position, record] of before) {
      const now = after.get(position)!;
      if (now.value !== "") expect(now).toEqual(record);
      else {
        scrubbed++;
        expect(now).toEqual({ timestamp: record.timestamp, value: "", headers: { event: "$scrubbed" } });
      }
    }
    expect(scrubbed).toBe(11);
  });

  test("every reader passes over what was emptied, and makes no dead letter of it", async () => {
    await erase("--scrub-topic");
    const listed = await letters();
    const fresh = await Deno.makeTempDir();
    const log = await openTopicLog({ kind: "embedded", dataDir: context.dataDir }, "processor");
    try {
      const writer = startWriter({ log, dataDir: fresh });
      await expect.poll(() => datasetLines(fresh).length, { timeout: 30_000 }).toBe(
        datasetLines(context.dataDir).length,
      );
      await writer.stop();
      expect(writer.count("dead_letters")).toBe(0);
    } finally {
      await log.close();
      await Deno.remove(fresh, { recursive: true });
    }
    for (const suffix of ["", "-wal", "-shm"]) {
      await Deno.remove(join(context.dataDir, `offers.db${suffix}`)).catch(() => {});
    }
    await processorRuns(context);
    expect(await letters()).toEqual(listed);
    expect(filesThatHold(context.dataDir, HERS)).toEqual([]);
  });

  test("is refused on Kafka, before anything is done", async () => {
    const env = { ...context.env, KAFKA_BROKERS: "127.0.0.1:1" };
    const { code, stderr } = await runProgram("tools/erase/main.ts", {
      args: [JANE.id, "--scrub-topic"],
      env,
    });
    expect([code, stderr]).toEqual([2, expect.stringContaining("Cannot scrub the topic on Kafka")]);
  });
});

describe("--dry-run", () => {
  inContextOf(FEW);

  test("shows the joined ids first, and does nothing", async () => {
    const before = filesThatHold(context.dataDir, HERS);
    const ends = () => withLog(context.dataDir, (log) => log.bounds(WEBHOOKS_TOPIC));
    const endsBefore = await ends();
    const { code, stdout } = await run(JANE.id, "--dry-run");
    expect(code).toBe(0);
    const [head, ...lines] = stdout.split("\n");
    expect(head).toBe("Would erase 3 joined ids:");
    expect(lines.slice(0, 3).map((line) => line.trim()).sort()).toEqual(
      [JANE.id, JANE.anonymous, JANE.personId].sort(),
    );
    expect(stdout).toContain("2 dead letters");
    expect(await ends()).toEqual(endsBefore);
    expect(filesThatHold(context.dataDir, HERS)).toEqual(before);
  });

  test("--json has the same, for programs", async () => {
    const { stdout } = await run(JANE.anonymous, "--dry-run", "--json");
    const plan = JSON.parse(stdout);
    expect(plan).toMatchObject({ dryRun: true, records: 10, letters: 2, behind: 0 });
    expect(plan.ids.sort()).toEqual([JANE.id, JANE.anonymous, JANE.personId].sort());
    expect(plan.subjects).toHaveLength(3);
  });
});

/**
 * On her device somebody else signs in, without reset() between them: PostHog refuses to merge the two. They were joined here,
 * so that the erasure of one took the other.
 */
describe("another user of her device", () => {
  inContextOf(FEW);

  const EVE = { id: "user-8001", anonymous: "visitor-8001", prompt: "a prompt of the second user" };
  const signsIn = (at: string, personId?: string) => {
    const more = { at, ...(personId === undefined ? {} : { personId }) };
    return [
      webhook("$identify", EVE.id, { ...more, properties: { $anon_distinct_id: EVE.anonymous } }),
      failed(EVE.id, EVE.prompt, more),
      webhook("$identify", EVE.id, { ...more, properties: { $anon_distinct_id: JANE.id } }),
      webhook("$create_alias", EVE.id, { ...more, properties: { alias: JANE.anonymous } }),
    ];
  };
  const hers = [JANE.id, JANE.anonymous, JANE.personId];
  const linesOfEve = () => datasetLines(context.dataDir).filter(({ distinct_id }) => distinct_id === EVE.id);

  test.each([
    ["where PostHog shows persons", "0190a000-3333-7000-8000-000000000003"],
    ["where it shows none of them", undefined],
  ])("is not named, and keeps everything: %s", async (_, personId) => {
    await publishInto(context.dataDir, signsIn(SOON.at, personId));
    await processorRuns(context);
    const plan = JSON.parse((await run(JANE.id, "--dry-run", "--json")).stdout);
    expect([plan.subjects.length, plan.ids.sort()]).toEqual([3, [...hers].sort()]);
    expect(await erase()).toMatchObject({ left: 0, records: 10 });
    expect(linesOfEve()).toHaveLength(1);
    expect(datasetLines(context.dataDir).filter(({ distinct_id }) => hers.includes(distinct_id))).toEqual([]);
  });

  test("is erased without her", async () => {
    await publishInto(context.dataDir, signsIn(SOON.at));
    await processorRuns(context);
    const before = datasetLines(context.dataDir).length;
    const { code, stdout } = await run(EVE.anonymous, "--json");
    expect([code, JSON.parse(stdout)]).toEqual([0, expect.objectContaining({ left: 0, records: 4 })]);
    expect(JSON.parse(stdout).subjects).toEqual([subject(EVE.id), subject(EVE.anonymous)].sort());
    expect(datasetLines(context.dataDir)).toHaveLength(before - 1);
    expect(linesOfEve()).toEqual([]);
  });

  test("keeps a request that names her in a scrubbed topic too: it is that user's", async () => {
    await publishInto(context.dataDir, signsIn(SOON.at));
    await processorRuns(context);
    const { left, places } = await erase("--scrub-topic");
    const kept = places.filter(({ place }: { place: string }) => place.startsWith("log/ingest.db"));
    expect([left, kept[0].kept > 0]).toEqual([0, true]);
    const told = await withLog(context.dataDir, async (log) => {
      const found = [];
      for (const { partition, endOffset } of await log.bounds(WEBHOOKS_TOPIC)) {
        for await (const batch of log.read(WEBHOOKS_TOPIC, { partition, from: 0, until: endOffset })) {
          found.push(
            ...batch.records.filter(({ key }) => key !== null && new TextDecoder().decode(key) === EVE.id),
          );
        }
      }
      return found;
    });
    expect(told.map(({ headers }) => headers.event)).toEqual([
      "$identify",
      "generation_failed",
      "$identify",
      "$create_alias",
    ]);
  });
});

const KILLED_AT = [
  "erasing.named",
  "erasing.published",
  "erase.temp",
  "erase.manifest",
  "erase.renamed",
  "offers.published",
  "view.applied",
  "erasing.handled",
  "erasing.marked",
  "erasing.scrubbed",
  "erasing.swept",
  "erasing.emptied",
  "erasing.rewritten",
];
/** Those at which objects are half done; nothing else knows where the dataset lies. */
const KILLED_IN_A_BUCKET_AT = ["erase.temp", "erase.manifest"];

describe.each(DATASET_PLACES)("killed with -9, the dataset in $name", ({ isBucket, why }) => {
  if (why !== null) {
    test("the same command again finishes", (running) => running.skip(why));
    return;
  }
  inContextOf(FEW, { isBucket });

  test.each(isBucket ? KILLED_IN_A_BUCKET_AT : KILLED_AT)(
    "at %s, the same command again finishes",
    async (point) => {
      const { dataDir, dataset } = context;
      const before = othersIn(await dataset.files());
      const killed = spawnProgram("tools/erase/main.ts", {
        args: [JANE.id, "--scrub-topic"],
        env: { ...context.env, FAULT_POINT: point },
      });
      await killAtFaultPoint(killed, point);
      const report = await erase("--scrub-topic");
      expect(report.left).toBe(0);
      expect([...filesThatHold(dataDir, HERS), ...await dataset.holding((bytes) => holds(bytes, HERS))])
        .toEqual([]);
      expect(othersIn(await dataset.files())).toEqual(before);
      expect(await letters()).toHaveLength(2);
      await processorRuns(context);
      expect(mailFiles(dataDir)).toHaveLength(1);
    },
  );
});

describe("usage", () => {
  inContextOf(FEW);

  test.each([[[]], [[""]], [["a", "b"]], [["a", "--what"]]])("%j is wrong usage", async (args) => {
    expect((await run(...args)).code).toBe(2);
  });

  test("--help says what goes", async () => {
    const { code, stdout } = await run("--help");
    expect([code, stdout]).toEqual([0, expect.stringContaining("deno task erase DISTINCT_ID")]);
  });

  test("another secret is refused before anything is done", async () => {
    const env = { ...context.env, PIPELINE_SECRET: "another secret of sixteen characters" };
    const { code, stderr } = await runProgram("tools/erase/main.ts", { args: [JANE.id], env });
    expect([code, stderr]).toEqual([1, expect.stringContaining("PIPELINE_SECRET")]);
  });

  test("while a replay is under way it is refused, and says by what", async () => {
    const locks = openDatasetLocks(join(context.dataDir, "dataset"));
    const lock = locks.takeMaintenance("a replay")!;
    try {
      const { code, stderr } = await run(JANE.id);
      expect([code, stderr]).toEqual([1, expect.stringContaining("Cannot erase now: a replay")]);
    } finally {
      lock.release();
      locks.close();
    }
  });
});
