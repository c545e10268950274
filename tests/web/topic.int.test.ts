/** The topic's page as it comes from the server, in every state of the services behind it. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type Fakes, startFakes } from "./fakes.ts";
import { fullFigures } from "./figures.ts";
import { startWeb } from "./start_web.ts";

let fakes: Fakes;
let web: Awaited<ReturnType<typeof startWeb>>;
let processorIsAway = false;

beforeAll(async () => {
  fakes = startFakes();
  web = await startWeb(fakes.environment);
});
afterAll(async () => {
  await web?.stop();
  await fakes?.stop();
});
afterEach(() => {
  if (processorIsAway) fakes.restartProcessor();
  processorIsAway = false;
});

/** The page's own part, as text: what stands in its elements, without the frame. */
async function main(path: string): Promise<string> {
  const response = await fetch(web.origin + path);
  expect(response.status).toBe(200);
  const html = await response.text();
  const content = html.slice(html.indexOf('<main id="content">'), html.indexOf("</main>"));
  return content.replace(/<!--.*?-->/g, "").replace(/<[^>]+>/g, " ").replace(/\s+/g, " ");
}

async function stopProcessor() {
  await fakes.stopProcessor();
  processorIsAway = true;
}

describe("/topic without script", () => {
  test("is whole: captions, numbers and tables of charts, readers and offsets, the spool", async () => {
    fakes.show(fullFigures());
    const text = await main("/topic");
    expect(text).toContain("p50 42 ms, p99 more than 1.0 s, of 100 lines in the last hour.");
    expect(text).toContain(
      "Minute (UTC) dataset-writer discount-offers 13:00 not known 0 s 13:01 not known 0.5 s",
    );
    expect(text).toContain("this processor (dataset-writer)");
    expect(text).toContain("Waits in the spool 0 records, 0 B of files");
    expect(text).toContain("Published since ingest began");
    expect(text).not.toContain("does not answer");
  });

  test("with the processor away tells nothing of it, and what ingest says of the topic", async () => {
    await main("/topic");
    await stopProcessor();
    const text = await main("/topic");
    expect(text).toMatch(/The processor does not answer this page, last seen (just now|\d+ s ago)\./);
    expect(text).toContain("How far its groups have read is not known here now.");
    expect(text).toContain("By ingest’s word: the log said so just now.");
    expect(text).not.toMatch(/p50|everything is read|records behind/);
  });

  test("with ingest away says so of the spool alone", async () => {
    const alone = startFakes();
    const page = await startWeb({ ...alone.environment, INGEST_URL: "http://127.0.0.1:1" });
    try {
      const html = (await (await fetch(`${page.origin}/topic`)).text()).replace(/<!--.*?-->/g, "");
      expect(html).toContain("Ingest does not answer this page, not seen yet.");
      expect(html).not.toMatch(/Waits in the spool|The processor does not answer/);
      expect(html).toContain("everything is read");
    } finally {
      await page.stop();
      await alone.stop();
    }
  });
});

test("the figures go through as the processor has them, and are a 502 while it is away", async () => {
  fakes.show(fullFigures());
  expect(await (await fetch(`${web.origin}/api/figures`)).json()).toEqual(fullFigures());
  await stopProcessor();
  const response = await fetch(`${web.origin}/api/figures`);
  expect([response.status, (await response.json()).error.code]).toEqual([502, "upstream_away"]);
});

test("the dataset begins with what its lines are like", async () => {
  fakes.show(fullFigures());
  fakes.take({
    uuid: "e1",
    event: "generation_failed",
    timestamp: "2026-01-01T12:00:00.000Z",
    properties: { distinct_id: "user-1", input_prompt: "x", failure_reason: "timeout" },
  });
  const text = await main("/dataset");
  expect(text).toContain("2025-12-31 1,200");
  expect(text).toContain("7 older lines are not among them");
  expect(text).toContain("&lt;b>content&lt;/b> policy");
});
