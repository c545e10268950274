import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  mailFiles,
  offerOf,
  post,
  posthogBody,
  type Service,
  startService,
  untilCaughtUp,
} from "../support/pipeline.ts";
import { runProgram } from "../support/run_command.ts";
import { until } from "../support/until.ts";

let dataDir: string;
let env: Record<string, string>;
let ingest: Service;
let processor: Service;

beforeEach(async () => {
  dataDir = await Deno.makeTempDir({ prefix: "offer-commands-" });
  env = { DATA_DIR: dataDir, DISCOUNT_WAIT: "100ms" };
  ingest = await startService("ingest", env);
  processor = await startService("processor", env);
});
afterEach(async () => {
  await Promise.all([ingest.kill(), processor.kill()]);
  await Deno.remove(dataDir, { recursive: true });
});

const offers = (...args: string[]) => runProgram("tools/offers.ts", { args, env });

async function useFiveTimes(distinctId: string, email: string): Promise<void> {
  for (let i = 0; i < 5; i++) {
    await post(ingest.url, posthogBody({ event: "feature_used", distinctId, email }));
  }
}

const isIn = (distinctId: string, state: string) =>
  until(`the offer is ${state}`, async () => (await offerOf(processor.url, distinctId))?.state === state);

describe("deno task offers", () => {
  test("lists and shows offers, and sends one once more by a person's decision alone", async () => {
    await useFiveTimes("ada", "ada@example.org");
    await isIn("ada", "offered");
    const listed = JSON.parse((await offers("list", "--json")).stdout);
    expect(listed).toMatchObject({
      state: "offered",
      uses: 5,
      distinctId: "ada",
      person: expect.stringMatching(/^person-/),
    });
    const shown = JSON.parse((await offers("show", listed.person, "--json")).stdout);
    expect(shown).toEqual({
      ...JSON.parse((await offers("show", "ada", "--json")).stdout),
      distinctId: null,
    });

    const again = await offers("resend", "ada", "--reason", "the first one bounced");
    expect([again.code, again.stderr]).toEqual([0, ""]);
    await until("there are two mails", () => mailFiles(dataDir).length === 2);
    await isIn("ada", "offered");
    const after = (await offerOf(processor.url, "ada"))!;
    expect(after.messageId).not.toBe(shown.messageId);
    expect(after.code).toBe(shown.code);
  });

  test("does not send to somebody who opted out, and says why", async () => {
    await useFiveTimes("eve", "eve@example.org");
    await isIn("eve", "offered");
    await post(ingest.url, posthogBody({ event: "email_unsubscribed", distinctId: "eve" }));
    await untilCaughtUp(processor.url);
    await offers("resend", "eve", "--reason", "try");
    await isIn("eve", "closed");
    const refused = await offers("resend", "eve", "--reason", "try again");
    expect([refused.code, refused.stderr]).toEqual([
      1,
      'Cannot resend to "eve": this person wants no mail.\n',
    ]);
    expect(mailFiles(dataDir)).toHaveLength(1);
  });

  test.each([[["show", "nobody"], 1], [["resend", "nobody", "--reason", "x"], 1], [["resend", "ada"], 2], [[
    "burn",
  ], 2], [[], 2]])(
    "%j exits with %i",
    async (args, code) => expect((await offers(...args)).code).toBe(code),
  );
});

describe("deno task suppress", () => {
  test("keeps mail from an address in every spelling, and names lines that are none", async () => {
    const file = join(dataDir, "list.txt");
    await Deno.writeTextFile(file, "# from the old system\nAda.Lovelace@gmail.com\n\nnot an address\n");
    const run = await runProgram("tools/suppress.ts", { args: [file, "--json"], env });
    expect([run.code, JSON.parse(run.stdout)]).toEqual([1, { suppressed: 1, refused: 1 }]);
    expect(run.stderr).toContain("line 4");
    await useFiveTimes("ada", "adalovelace+news@googlemail.com");
    await isIn("ada", "closed");
    expect(mailFiles(dataDir)).toEqual([]);
  });
});
