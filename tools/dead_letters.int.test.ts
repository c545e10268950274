import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { deadLetterRecord } from "../contract/dead_letter.ts";
import { DEAD_LETTER_TOPIC, WEBHOOKS_TOPIC } from "../contract/names.ts";
import { refusedFile } from "../contract/refused_webhook.ts";
import { dismissRefused, redriveRefused, refusedWebhooks } from "../processor/dead_letters/mod.ts";
import { killAtFaultPoint, runProgram, spawnProgram } from "../tests/support/run_command.ts";
import { openTopicLog } from "../topic/open_topic.ts";
import { DEAD_LETTER_TOPIC_SPEC, WEBHOOKS_TOPIC_SPEC } from "../topic/raw_topics.ts";
import type { TopicLog, TopicRecord } from "../topic/topic.ts";

let dataDir: string;
let log: TopicLog;

beforeEach(async () => {
  dataDir = await Deno.makeTempDir({ prefix: "dead-letters-" });
  log = await openTopicLog({ kind: "embedded", dataDir }, "processor");
  await log.ensureTopic(WEBHOOKS_TOPIC_SPEC);
  await log.ensureTopic(DEAD_LETTER_TOPIC_SPEC);
});

afterEach(async () => {
  await log.close();
  await Deno.remove(dataDir, { recursive: true });
});

const bytes = (text: string) => new TextEncoder().encode(text);
const env = () => ({ DATA_DIR: dataDir });
const deadLetters = (...args: string[]) => runProgram("tools/dead_letters.ts", { args, env: env() });
const lines = (stdout: string) => stdout.trim().split("\n").map((line) => JSON.parse(line));

/** Publishes a record and its letter, as the dataset writer does. */
async function setAside(
  id: string,
  { redrives = 0, reason = "input_prompt is no text" } = {},
): Promise<void> {
  const record = {
    key: bytes(`user-${id}`),
    value: bytes(`{"event":"generation_failed","id":"${id}"}`),
    headers: { id, event: "generation_failed", ...(redrives > 0 ? { redrives: String(redrives) } : {}) },
    timestamp: Date.UTC(2025, 10, 30),
  };
  const [position] = await log.publish(WEBHOOKS_TOPIC, [record]);
  const letter = deadLetterRecord({ ...record, ...position! }, {
    topic: WEBHOOKS_TOPIC,
    reason,
    step: "parse",
  });
  await log.publish(DEAD_LETTER_TOPIC, [letter, letter]);
}

async function records(topic: string): Promise<TopicRecord[]> {
  const found: TopicRecord[] = [];
  for (const { partition, endOffset } of await log.bounds(topic)) {
    for await (const batch of log.read(topic, { partition, from: 0, until: endOffset })) {
      found.push(...batch.records);
    }
  }
  return found;
}

const copies = async () =>
  (await records(WEBHOOKS_TOPIC)).filter(({ headers }) => headers.redrives !== undefined);

describe("dead-letters list", () => {
  test("lists one letter per source position, with the keys of the contract", async () => {
    await setAside("a");
    const { code, stdout } = await deadLetters("list", "--json");
    expect(code).toBe(0);
    expect(lines(stdout)).toEqual([{
      id: "0:0",
      reason: "input_prompt is no text",
      step: "parse",
      topic: WEBHOOKS_TOPIC,
      partition: expect.any(Number),
      offset: 0,
      firstSeen: "2025-11-30T00:00:00.000Z",
      redrives: 0,
      redriven: false,
    }]);
  });

  test("shows a histogram by reason first", async () => {
    await setAside("a");
    await setAside("b", { reason: "body is no JSON" });
    await setAside("c");
    const { stdout } = await deadLetters("list");
    expect(stdout.split("\n").slice(0, 3).map((line) => line.trim())).toEqual([
      "COUNT  REASON",
      "2  input_prompt is no text",
      "1  body is no JSON",
    ]);
  });

  test("says so where there are none", async () => {
    expect((await deadLetters("list")).stdout).toBe("No dead letters.\n");
  });
});

describe("dead-letters show", () => {
  test("shows the record as it came", async () => {
    await setAside("a");
    const { stdout } = await deadLetters("show", "0:0", "--json");
    expect(lines(stdout)[0]).toMatchObject({
      key: "user-a",
      value: '{"event":"generation_failed","id":"a"}',
    });
  });

  test("fails with a sentence where there is no such letter", async () => {
    const { code, stderr } = await deadLetters("show", "0:9");
    expect([code, stderr]).toEqual([1, 'Cannot find dead letter "0:9": see dead-letters list --all.\n']);
  });
});

describe("dead-letters redrive", () => {
  test("publishes the record once more, marked, into its own partition, and the letter leaves the list", async () => {
    await setAside("a");
    const [source] = await records(WEBHOOKS_TOPIC);
    expect((await deadLetters("redrive", "--all")).code).toBe(0);
    const [copy, ...more] = await copies();
    expect(more).toEqual([]);
    expect(copy).toMatchObject({
      partition: source!.partition,
      key: source!.key,
      value: source!.value,
      timestamp: source!.timestamp,
      headers: { id: "a", event: "generation_failed", redrives: "1" },
    });
    expect((await deadLetters("list")).stdout).toBe("No dead letters.\n");
    expect(lines((await deadLetters("list", "--all", "--json")).stdout)).toMatchObject([{ redriven: true }]);
    const again = await deadLetters("redrive", "0:0");
    expect([again.code, again.stderr]).toEqual([1, 'Cannot redrive "0:0": it has been redriven already.\n']);
    expect(await copies()).toHaveLength(1);
  });

  test("refuses a letter after three rounds and redrives the others", async () => {
    await setAside("worn", { redrives: 3 });
    await setAside("fresh");
    const { code, stdout, stderr } = await deadLetters("redrive", "--all");
    expect([code, stderr]).toEqual([1, "Cannot redrive 1 of 2: after 3 rounds another one does not help.\n"]);
    expect(stdout).toMatch(/\n1 redriven, 1 refused\.\n$/);
    expect((await copies()).map(({ headers }) => [headers.id, headers.redrives])).toContainEqual([
      "fresh",
      "1",
    ]);
    expect((await copies()).filter(({ headers }) => headers.redrives === "4")).toEqual([]);
  });

  test("--dry-run says what would be done and does nothing", async () => {
    await setAside("a");
    const before = await records(DEAD_LETTER_TOPIC);
    const { stdout } = await deadLetters("redrive", "--all", "--dry-run");
    expect(stdout).toContain("would be redriven");
    expect(stdout).toMatch(/\nWould be: 1 redriven, 0 refused\.\n$/);
    expect([await copies(), await records(DEAD_LETTER_TOPIC)]).toEqual([[], before]);
  });

  test.each(["redrive.begun", "redrive.copied"])(
    "killed at %s and run again publishes the copy once",
    async (point) => {
      await setAside("a");
      const killed = spawnProgram("tools/dead_letters.ts", {
        args: ["redrive", "--all"],
        env: { ...env(), FAULT_POINT: point },
      });
      await killAtFaultPoint(killed, point);
      expect(await copies()).toHaveLength(point === "redrive.begun" ? 0 : 1);
      expect((await deadLetters("redrive", "--all")).code).toBe(0);
      expect(await copies()).toHaveLength(1);
      expect((await deadLetters("list")).stdout).toBe("No dead letters.\n");
    },
  );

  test.each([[["redrive"]], [["redrive", "0:0", "--all"]], [["burn"]], [["list", "x"]], [[
    "list",
    "--what",
  ]]])(
    "%j is wrong usage",
    async (args) => {
      expect((await deadLetters(...args)).code).toBe(2);
    },
  );
});

describe("dead-letters dismiss", () => {
  const dismiss = (id: string, ...more: string[]) =>
    deadLetters("dismiss", id, "--reason", "a test of ours", ...more);

  test("takes a letter out of the list for good, with words; --all shows it, and no redrive takes it", async () => {
    await setAside("a");
    await setAside("b");
    const { code, stdout } = await dismiss("0:0", "--json");
    expect([code, lines(stdout)]).toEqual([0, [{ id: "0:0", outcome: "dismissed" }]]);
    expect(lines((await deadLetters("list", "--json")).stdout).map(({ id }) => id)).toEqual(["0:2"]);
    const [dismissed, other] = lines((await deadLetters("list", "--all", "--json")).stdout);
    expect([dismissed.dismissed, other.dismissed]).toEqual([{ words: "a test of ours" }, undefined]);
    expect((await deadLetters("list", "--all")).stdout).toContain(
      "dismissed (a test of ours) · input_prompt",
    );
    expect((await deadLetters("show", "0:0")).stdout).toContain("user-a");
    const named = await deadLetters("redrive", "0:0");
    expect([named.code, named.stderr]).toEqual([
      1,
      'Cannot redrive "0:0": it has been dismissed for good (a test of ours).\n',
    ]);
    expect((await deadLetters("redrive", "--all")).stdout).toContain("1 redriven, 0 refused.\n");
    expect((await copies()).map(({ headers }) => headers.id)).toEqual(["b"]);
  });

  test("again changes nothing", async () => {
    await setAside("a");
    await dismiss("0:0");
    const before = await records(DEAD_LETTER_TOPIC);
    const { code, stdout } = await dismiss("0:0");
    expect([code, stdout]).toEqual([0, "Nothing to do: 0:0 has been dismissed already.\n"]);
    expect(await records(DEAD_LETTER_TOPIC)).toEqual(before);
  });

  test.each([["dismiss.decided", 1], ["dismiss.marked", 0]])(
    "killed at %s leaves %d letter in the list, and ends well when it is run again",
    async (point, left) => {
      await setAside("a");
      const args = ["dismiss", "0:0", "--reason", "x"];
      const env = { DATA_DIR: dataDir, FAULT_POINT: point };
      await killAtFaultPoint(spawnProgram("tools/dead_letters.ts", { args, env }), point);
      const listed = (await deadLetters("list", "--json")).stdout;
      expect(listed === "" ? [] : lines(listed)).toHaveLength(left);
      expect((await dismiss("0:0")).code).toBe(0);
      expect((await deadLetters("list")).stdout).toBe("No dead letters.\n");
    },
  );

  test("is refused to a letter that was redriven, or whose redrive was cut short behind its copy", async () => {
    await setAside("a");
    const point = "redrive.copied";
    const args = ["redrive", "--all"];
    await killAtFaultPoint(
      spawnProgram("tools/dead_letters.ts", { args, env: { ...env(), FAULT_POINT: point } }),
      point,
    );
    const half = await dismiss("0:0");
    expect([half.code, half.stderr]).toEqual([1, expect.stringContaining("dead-letters redrive 0:0")]);
    expect((await deadLetters("redrive", "0:0")).code).toBe(0);
    const whole = await dismiss("0:0");
    expect([whole.code, whole.stderr]).toEqual([1, expect.stringContaining("it has been redriven")]);
  });

  test.each([
    [["dismiss", "0:0"]],
    [["dismiss", "0:0", "--reason", " "]],
    [["dismiss", "--reason", "x"]],
    [[
      "dismiss",
      "0:0",
      "--reason",
      "x".repeat(1_001),
    ]],
    [["list", "--reason", "x"]],
    [["dismiss", "0:0", "--all", "--reason", "x"]],
  ])(
    "%j is wrong usage",
    async (args) => {
      expect((await deadLetters(...args)).code).toBe(2);
    },
  );

  test("of a letter that is not there says so", async () => {
    expect((await dismiss("0:7")).stderr).toContain('Cannot find dead letter "0:7"');
  });
});

describe("webhooks that the log refused and ingest keeps in DATA_DIR", () => {
  const RECEIVED_AT = Date.UTC(2025, 10, 30);
  const refuse = (at: string, value: string) => {
    const directory = `${dataDir}/spool/refused`;
    Deno.mkdirSync(directory, { recursive: true });
    const record = { key: bytes("user-1"), value: bytes(value), headers: { id: at }, timestamp: RECEIVED_AT };
    Deno.writeFileSync(
      `${directory}/${at}.json`,
      refusedFile({ record, reason: "the broker\u001b[31m says no" }),
    );
  };
  const left = () => [...Deno.readDirSync(`${dataDir}/spool/refused`)].map(({ name }) => name);
  const view = (at: string) => ({
    id: `refused:${at}`,
    reason: "the broker\u001b[31m says no",
    step: "publish",
    topic: WEBHOOKS_TOPIC,
    partition: null,
    offset: null,
    firstSeen: "2025-11-30T00:00:00.000Z",
    redrives: 0,
    redriven: false,
  });

  test("are listed behind the letters in their order, with the log's words, whose control characters are escaped", async () => {
    await setAside("a");
    for (const at of ["2-0", "10-0", "1-500"]) refuse(at, "{}");
    const { stdout } = await deadLetters("list", "--json");
    expect(lines(stdout).map(({ id }) => id)).toEqual([
      "0:0",
      "refused:1-500",
      "refused:2-0",
      "refused:10-0",
    ]);
    expect(lines(stdout)[1]).toEqual(view("1-500"));
    const { stdout: text } = await deadLetters("list");
    expect(text).toMatch(/3 {2}the broker\S*\[31m says no/);
    expect(text).not.toContain("\u001b");
  });

  test("are shown with their record, and where they lie", async () => {
    refuse("1-0", '{"event":"ü"}');
    const { stdout } = await deadLetters("show", "refused:1-0", "--json");
    expect(lines(stdout)[0]).toEqual({
      ...view("1-0"),
      path: `${dataDir}/spool/refused/1-0.json`,
      headers: { id: "1-0" },
      key: "user-1",
      value: '{"event":"ü"}',
    });
    const { code, stderr } = await deadLetters("show", "refused:7-7");
    expect([code, stderr]).toEqual([1, expect.stringContaining('Cannot find refused webhook "refused:7-7"')]);
  });

  test("are published as they would have been by a redrive, which takes their file away; --dry-run does nothing", async () => {
    refuse("1-0", '{"event":"ü"}');
    refuse("1-1", "{}");
    expect((await deadLetters("redrive", "--all", "--dry-run")).stdout).toContain(
      "refused:1-1  would be redriven",
    );
    expect(left()).toHaveLength(2);
    const { code, stdout } = await deadLetters("redrive", "refused:1-0", "--json");
    expect([code, lines(stdout)]).toEqual([0, [{ ...view("1-0"), outcome: "redriven" }]]);
    expect(left()).toEqual(["1-1.json"]);
    const [record] = await records(WEBHOOKS_TOPIC);
    expect([record!.value, record!.headers, record!.timestamp]).toEqual([
      bytes('{"event":"ü"}'),
      { id: "1-0" },
      RECEIVED_AT,
    ]);
  });

  test("are dismissed where they lie: their file stays, they leave the list, and no redrive publishes them", async () => {
    refuse("1-0", "{}");
    refuse("1-1", "{}");
    const { code } = await deadLetters("dismiss", "refused:1-0", "--reason", "a test of ours");
    expect(code).toBe(0);
    expect(left().sort()).toEqual(["1-0.json", "1-0.json.dismissed", "1-1.json"]);
    expect(lines((await deadLetters("list", "--json")).stdout).map(({ id }) => id)).toEqual(["refused:1-1"]);
    expect(lines((await deadLetters("list", "--all", "--json")).stdout)[0]).toEqual({
      ...view("1-0"),
      dismissed: { words: "a test of ours" },
    });
    expect((await deadLetters("show", "refused:1-0")).code).toBe(0);
    expect((await deadLetters("dismiss", "refused:1-0", "--reason", "x")).stdout).toContain("Nothing to do");
    for (const dry of [[], ["--dry-run"]]) {
      const named = await deadLetters("redrive", "refused:1-0", ...dry);
      expect([named.code, named.stderr]).toEqual([
        1,
        'Cannot redrive "refused:1-0": it has been dismissed for good (a test of ours).\n',
      ]);
    }
    expect((await deadLetters("redrive", "--all")).stdout).toMatch(/\n1 redriven, 0 refused\.\n$/);
    expect(await records(WEBHOOKS_TOPIC)).toHaveLength(1);
    expect(left().sort()).toEqual(["1-0.json", "1-0.json.dismissed"]);
  });

  test("are not published by a redrive that had read its list before somebody dismissed them", async () => {
    refuse("1-0", "{}");
    const [listed] = refusedWebhooks(dataDir);
    await dismissRefused(listed!, "a test of ours");
    expect(await redriveRefused(log, listed!)).toBe("it has been dismissed for good (a test of ours)");
    expect(await records(WEBHOOKS_TOPIC)).toEqual([]);
    expect(left().sort()).toEqual(["1-0.json", "1-0.json.dismissed"]);
  });

  test("stay where the log refuses them still, and the sentence says why; the others and the letters go on", async () => {
    await setAside("a");
    refuse("1-0", "x".repeat(3 * 1024 * 1024));
    refuse("1-1", "{}");
    const { code, stdout, stderr } = await deadLetters("redrive", "--all");
    expect([code, stderr]).toEqual([1, expect.stringContaining("Cannot redrive 1 of 2 refused webhooks")]);
    expect(stdout).toMatch(/refused:1-0 {2}refused {2}Cannot publish/);
    expect(left()).toEqual(["1-0.json"]);
    expect(await copies()).toHaveLength(1);
  });
});
