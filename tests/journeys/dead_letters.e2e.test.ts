import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { DeadLetterListing, RedriveAnswer } from "../../contract/processor_api.ts";
import { POISON_SIGN } from "./fixtures/sanitise_with_a_broken_rule.ts";
import {
  datasetLines,
  killServiceAt,
  post,
  posthogBody,
  type Service,
  type ServiceName,
  startService,
  untilCaughtUp,
} from "../support/pipeline.ts";
import { runProgram } from "../support/run_command.ts";
import { until } from "../support/until.ts";

/**
 * Poison among good records, through real services on the embedded log. First runs a release whose sanitiser has a bug
 * (tests/journeys/fixtures/sanitise_with_a_broken_rule.ts, put in the sanitiser's place by an import map), then the
 * tree as it is. `DEAD_LETTERS_RECORDS=100000 DEAD_LETTERS_POISON=1000` runs it at the size of the promise.
 */
const RECORDS = Number(Deno.env.get("DEAD_LETTERS_RECORDS") ?? 2_000);
const POISON = Number(Deno.env.get("DEAD_LETTERS_POISON") ?? 50);
const IN_FLIGHT = 32;
const TIMEOUT_MS = 600_000;

const REASONS = {
  mendable: "the sanitiser refused the text (failed)",
  missing: "properties.input_prompt is missing",
  noText: "properties.input_prompt is no text",
  noEvent: "event is no text of 1 to 1000 bytes",
} as const;
type Kind = keyof typeof REASONS;

/** Of ten poison records seven have a cause that the next release mends. */
const KINDS: readonly Kind[] = [
  "mendable",
  "missing",
  "mendable",
  "mendable",
  "noText",
  "mendable",
  "mendable",
  "noEvent",
  "mendable",
  "mendable",
];

type Poison = { readonly kind: Kind; readonly prompt: string; readonly body: string };

function poison(i: number): Poison {
  const kind = KINDS[i % KINDS.length]!;
  const prompt = `poison ${i} ${POISON_SIGN}`;
  const user = `user-${i % 97}`;
  const event = (properties: Record<string, unknown>) => posthogBody({ distinctId: user, properties });
  const body = {
    mendable: () => event({ input_prompt: prompt, failure_reason: "timeout" }),
    missing: () => event({ failure_reason: "timeout" }),
    noText: () => event({ input_prompt: i }),
    noEvent: () => JSON.stringify({ hello: i }),
  }[kind]();
  return { kind, prompt, body };
}

const countOf = (poisons: readonly Poison[], kind: Kind) =>
  poisons.filter((poison) => poison.kind === kind).length;
const answerTo = ({ kind }: Poison) => kind === "noEvent" ? 202 : 200;

let dataDir: string;
let importMap: string;
const running: Service[] = [];

beforeEach(async () => {
  dataDir = await Deno.makeTempDir({ prefix: "dead-letters-" });
  importMap = join(dataDir, "import_map.json");
  const sanitise = pathToFileURL("processor/sanitise/mod.ts").href;
  const fixtures = pathToFileURL("tests/journeys/fixtures/").href;
  const broken = `${fixtures}sanitise_with_a_broken_rule.ts`;
  const map = { imports: { [sanitise]: broken }, scopes: { [fixtures]: { [sanitise]: sanitise } } };
  await Deno.writeTextFile(importMap, JSON.stringify(map));
});
afterEach(async () => {
  for (const service of running.splice(0)) await service.kill();
  await Deno.remove(dataDir, { recursive: true });
});

const env = () => ({ DATA_DIR: dataDir });
async function start(
  name: ServiceName,
  flags: readonly string[] = [],
  environment: Record<string, string> = env(),
): Promise<Service> {
  const service = await startService(name, environment, { flags });
  running.push(service);
  return service;
}
const startWithBug = () => start("processor", ["--import-map", importMap]);

/** Posts bodies, many at a time, in their order but for those under way together. */
async function postAll(url: string, bodies: readonly { body: string; status: number }[]): Promise<void> {
  const left = bodies.values();
  await Promise.all(Array.from({ length: IN_FLIGHT }, async () => {
    for (const { body, status } of left) {
      const answered = await post(url, body);
      if (answered !== status) throw new Error(`Ingest answered ${answered} and not ${status} to ${body}`);
    }
  }));
}

/** Waits until both groups are behind everything, where the topic holds just so many records: each copy counts. */
async function untilHandled(url: string, records: number) {
  return await until(`${records} records are handled`, async () => {
    const status = await untilCaughtUp(url);
    const held = status.groups[0]!.partitions.reduce((sum, { endOffset }) => sum + endOffset, 0);
    if (held > records) throw new Error(`The topic holds ${held} records, not ${records}.`);
    return held === records && status;
  }, { limitMs: 60_000 });
}

const promptsOf = () => datasetLines(dataDir).map(({ input_prompt }) => input_prompt).sort();
const redriveAll = () =>
  runProgram("tools/dead_letters.ts", { args: ["redrive", "--all", "--json"], env: env() });

async function redriveByApi(url: string, order: unknown): Promise<RedriveAnswer> {
  const response = await fetch(`${url}/api/dead-letters/redrive`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(order),
  });
  return await response.json();
}

async function listByApi(url: string): Promise<DeadLetterListing> {
  return await (await fetch(`${url}/api/dead-letters?limit=500`)).json();
}

describe("dead letters", () => {
  test(
    `${POISON} poison records among ${RECORDS}: the good are written, the poison set aside with its reason, and ` +
      "redriven once its cause is mended, exactly once",
    async () => {
      const [ingest, before] = [await start("ingest"), await startWithBug()];
      const poisons = Array.from({ length: POISON }, (_, i) => poison(i));
      const good = Array.from({ length: RECORDS - POISON }, (_, i) => `prompt ${i}`);
      const bodies = good.map((input_prompt, i) => ({
        body: posthogBody({ distinctId: `user-${i % 97}`, properties: { input_prompt } }),
        status: 200,
      }));
      const every = Math.floor(RECORDS / POISON);
      poisons.forEach((one, i) => bodies.splice(i * every, 0, { body: one.body, status: answerTo(one) }));
      await postAll(ingest.url, bodies);
      // Delivered again while its letter is there: a repeat, and no second letter.
      await postAll(
        ingest.url,
        poisons.slice(0, 20).map((one) => ({ body: one.body, status: answerTo(one) })),
      );
      let records = RECORDS + Math.min(POISON, 20);
      const status = await untilHandled(before.url, records);
      const byReason = Object.fromEntries(
        Object.entries(REASONS).map(([kind, reason]) => [reason, countOf(poisons, kind as Kind)]),
      );
      expect(status.deadLetters).toEqual({ total: POISON, byReason });
      expect(promptsOf()).toEqual(good.toSorted());

      expect(await before.stop()).toBe(0);
      const mended = await start("processor");
      // Better code alone brings nothing in: what failed once comes through its redriven copy.
      expect((await untilHandled(mended.url, records)).deadLetters.total).toBe(POISON);
      expect(promptsOf()).toEqual(good.toSorted());

      const { code, stdout } = await redriveAll();
      expect([code, stdout.trim().split("\n").length]).toEqual([0, POISON]);
      const stillBroken = { ...byReason };
      delete stillBroken[REASONS.mendable];
      const broken = poisons.filter(({ kind }) => kind !== "mendable");
      const after = await untilHandled(mended.url, records += POISON);
      expect(after.deadLetters).toEqual({ total: broken.length, byReason: stillBroken });
      const whole = [
        ...good,
        ...poisons.filter(({ kind }) => kind === "mendable").map(({ prompt }) => prompt),
      ];
      expect(promptsOf()).toEqual(whole.toSorted());

      // The source comes again behind its redriven copy: a repeat.
      await postAll(ingest.url, poisons.map((one) => ({ body: one.body, status: answerTo(one) })));
      const redelivered = await untilHandled(mended.url, records += POISON);
      expect(redelivered.deadLetters.total).toBe(broken.length);
      expect(promptsOf()).toEqual(whole.toSorted());

      // What no release mends goes round three times, then it is refused and stays.
      for (const round of [2, 3]) {
        expect(await redriveByApi(mended.url, { all: true })).toMatchObject({
          redriven: broken.length,
          refused: 0,
        });
        await untilHandled(mended.url, records += broken.length);
        const { letters } = await listByApi(mended.url);
        expect(new Set(letters.map(({ redrives }) => redrives))).toEqual(new Set([round]));
      }
      expect(await redriveByApi(mended.url, { all: true })).toMatchObject({
        redriven: 0,
        refused: broken.length,
      });
      expect((await redriveAll()).code).toBe(1);
      expect((await untilHandled(mended.url, records)).deadLetters.total).toBe(broken.length);
      expect(promptsOf()).toEqual(whole.toSorted());
    },
    TIMEOUT_MS,
  );

  test.each(["redrive.begun", "redrive.copied"])(
    "a processor killed at %s and asked again brings each letter in once",
    async (point) => {
      const [ingest, before] = [await start("ingest"), await startWithBug()];
      const poisons = Array.from({ length: 30 }, (_, i) => poison(i)).filter(({ kind }) =>
        kind === "mendable"
      );
      await postAll(ingest.url, poisons.map(({ body }) => ({ body, status: 200 })));
      await untilHandled(before.url, poisons.length);
      expect(await before.stop()).toBe(0);
      await killServiceAt("processor", {
        env: env(),
        point,
        act: (url) => redriveByApi(url, { all: true }).catch(() => {}),
      });
      const processor = await start("processor");
      const answer = await redriveByApi(processor.url, { all: true });
      expect(answer).toMatchObject({
        redriven: point === "redrive.begun" ? poisons.length : 0,
        alreadyThere: point === "redrive.begun" ? 0 : poisons.length,
        refused: 0,
      });
      const { deadLetters } = await untilHandled(processor.url, 2 * poisons.length);
      expect(promptsOf()).toEqual(poisons.map(({ prompt }) => prompt).sort());
      expect(deadLetters.total).toBe(0);
    },
  );

  test.each([["redrive.begun", "mended again"], ["redrive.copied", "mended"], ["redrive.done", "mended"]])(
    "a processor killed at %s of an edited copy, and asked again, brings one line in",
    async (point, prompt) => {
      const showRaw = { ...env(), SHOW_RAW: "1" };
      const resend = async (url: string, text: string) => {
        const properties = { input_prompt: text };
        const order = { id: "0:0", value: posthogBody({ distinctId: "user-1", properties }) };
        const headers = { "content-type": "application/json" };
        const asked = { method: "POST", headers, body: JSON.stringify(order) };
        return await (await fetch(`${url}/api/dead-letters/resend`, asked)).json();
      };
      const ingest = await start("ingest");
      await postAll(ingest.url, [{
        body: posthogBody({ distinctId: "user-1", properties: { input_prompt: 7 } }),
        status: 200,
      }]);
      await killServiceAt("processor", {
        env: showRaw,
        point,
        act: async (url) => {
          await until("it is set aside", async () => (await listByApi(url)).total === 1);
          await resend(url, "mended").catch(() => {});
        },
      });
      const processor = await start("processor", [], showRaw);
      expect(await resend(processor.url, "mended again")).toMatchObject({
        redriven: point === "redrive.begun" ? 1 : 0,
        alreadyThere: point === "redrive.begun" ? 0 : 1,
        refused: 0,
      });
      expect((await untilHandled(processor.url, 2)).deadLetters.total).toBe(0);
      expect(promptsOf()).toEqual([prompt]);
      const { stdout } = await runProgram("tools/dead_letters.ts", { args: ["list", "--all"], env: env() });
      expect(stdout).toContain("redriven, edited · properties.input_prompt is no text");
    },
  );
});
