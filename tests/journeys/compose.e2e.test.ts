import { resolve } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DATASET_WRITER_GROUP, DISCOUNT_OFFERS_GROUP, WEBHOOKS_TOPIC } from "../../contract/names.ts";
import type { GroupLag } from "../../contract/processor_api.ts";
import { startBrowser, watch } from "../support/browser.ts";
import {
  failGeneration,
  identify,
  SANITISED_PROMPT,
  untilMailed,
  useTimes,
} from "../support/page_journey.ts";
import { post, posthogBody, untilCaughtUp } from "../support/pipeline.ts";
import { runTask } from "../support/run_command.ts";
import { until } from "../support/until.ts";

/**
 * compose.yaml's containers as they run: Redpanda, its Console, Mailpit and ours. `docker compose up --wait`, best with
 * DISCOUNT_WAIT=5s, then COMPOSE=1; there it fails where a part of it is missing, the browser too.
 */
const PAGE = "http://localhost:8000";
const INGEST = "http://localhost:3000";
const PROCESSOR = "http://localhost:3001";
const CONSOLE = "http://localhost:8080";
const MAILPIT = "http://localhost:8025";
const BROKERS = "localhost:19092";
const GROUPS = [DATASET_WRITER_GROUP, DISCOUNT_OFFERS_GROUP];
const ROOT = resolve(import.meta.dirname!, "../..");

const why = Deno.env.get("COMPOSE") === "1" ? null : "no COMPOSE=1, which says that its containers run";

describe("compose.yaml", () => {
  if (why !== null) {
    test("leads from clicks to a line and a mail, and its lag is the Console's", (running) =>
      running.skip(why));
    return;
  }
  let browser: Browser;
  beforeAll(async () => void (browser = await startBrowser()));
  afterAll(() => browser.close());

  test("leads from clicks on the page to a line and one mail in the mailbox", async () => {
    const address = `ada-${crypto.randomUUID()}@example.org`;
    const context = await browser.newContext();
    const complaints = watch(context, { origin: PAGE });
    const page = await context.newPage();
    await page.goto(PAGE);
    await identify(page, address);
    await failGeneration(page);
    await useTimes(page, 5);
    page.setDefaultTimeout(180_000); // DISCOUNT_WAIT is two minutes where nobody has shortened it.
    const messageId = await untilMailed(page);
    await page.locator(".row", { hasText: "generation_failed" }).getByRole("link", { name: "line" }).first()
      .click();
    await page.locator(".marked", { hasText: SANITISED_PROMPT }).waitFor();
    expect(complaints).toEqual({ console: [], otherHosts: [] });
    await context.close();
    await untilCaughtUp(PROCESSOR);
    expect(await mailsTo(address)).toEqual([{ messageId: messageId.replace(/^<|>$/g, ""), to: [address] }]);
  }, 240_000);

  test(
    "lag by the command is what the Redpanda Console says, of groups that nobody works for and of those that caught up",
    async () => {
      const probe = () => posthogBody({ distinctId: "lag-probe" });
      expect(await post(INGEST, probe())).toBe(200);
      await untilCaughtUp(PROCESSOR);
      await compose("stop", "processor");
      try {
        for (let i = 0; i < 7; i++) expect(await post(INGEST, probe())).toBe(200);
        expect(await lagByConsole(7)).toEqual(await lagByCommand());
      } finally {
        await compose("start", "processor");
      }
      await untilCaughtUp(PROCESSOR);
      expect(await lagByConsole(0)).toEqual(await lagByCommand());
    },
    180_000,
  );
});

type Offsets = { partition: number; nextOffset: number | null; endOffset: number; lag: number };
type GroupOffsets = Record<string, readonly Offsets[]>;

/** What Mailpit holds for an address. Format: Mailpit 1.31, GET /api/v1/search. */
async function mailsTo(address: string): Promise<unknown> {
  const response = await fetch(`${MAILPIT}/api/v1/search?query=${encodeURIComponent(`to:"${address}"`)}`);
  const { messages }: { messages: { MessageID: string; To: { Address: string }[] }[] } = await response
    .json();
  return messages.map(({ MessageID, To }) => ({
    messageId: MessageID,
    to: To.map(({ Address }) => Address),
  }));
}

/** Once each group is as far behind as wanted. Format: Redpanda Console 3.12, GET /api/consumer-groups. */
async function lagByConsole(lag: number): Promise<GroupOffsets> {
  return await until(`the Console says that both groups have a lag of ${lag}`, async () => {
    const response = await fetch(`${CONSOLE}/api/consumer-groups`);
    const { consumerGroups }: { consumerGroups: ConsoleGroup[] } = await response.json();
    const groups = GROUPS.map((group) => {
      const topics = consumerGroups.find(({ groupId }) => groupId === group)?.topicOffsets ?? [];
      return topics.find(({ topic }) => topic === WEBHOOKS_TOPIC);
    });
    if (!groups.every((group) => group?.summedLag === lag)) return false;
    return Object.fromEntries(groups.map((group, i) => [
      GROUPS[i]!,
      group!.partitionOffsets.map(({ partitionId, groupOffset, highWaterMark, lag }) => ({
        partition: partitionId,
        nextOffset: groupOffset,
        endOffset: highWaterMark,
        lag,
      })).sort((a, b) => a.partition - b.partition),
    ]));
  });
}

type ConsoleGroup = {
  readonly groupId: string;
  readonly topicOffsets: {
    readonly topic: string;
    readonly summedLag: number;
    /** Of the partitions alone in which the group has committed. */
    readonly partitionOffsets: {
      readonly partitionId: number;
      readonly groupOffset: number;
      readonly highWaterMark: number;
      readonly lag: number;
    }[];
  }[];
};

/** `deno task lag --json` on this machine, of the partitions that the Console knows of too. */
async function lagByCommand(): Promise<GroupOffsets> {
  const { code, stdout, stderr } = await runTask("lag", {
    args: ["--json"],
    env: { KAFKA_BROKERS: BROKERS },
  });
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const groups: GroupLag[] = JSON.parse(stdout);
  return Object.fromEntries(groups.map(({ group, partitions }) => [
    group,
    partitions.filter(({ nextOffset }) => nextOffset !== null)
      .map(({ partition, nextOffset, endOffset, lag }) => ({ partition, nextOffset, endOffset, lag })),
  ]));
}

async function compose(...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("docker", { args: ["compose", ...args], cwd: ROOT })
    .output();
  if (!success) {
    throw new Error(`docker compose ${args.join(" ")} failed: ${new TextDecoder().decode(stderr)}`);
  }
}
