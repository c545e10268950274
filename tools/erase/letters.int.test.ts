import { Buffer } from "node:buffer";
import { join } from "node:path";
import { expect, test } from "vitest";
import { deadLetterRecord } from "../../contract/dead_letter.ts";
import { DEAD_LETTER_TOPIC, FACTS_TOPIC, WEBHOOKS_TOPIC, writerOf } from "../../contract/names.ts";
import { openSqliteLog } from "../../topic/sqlite/log.ts";
import { createLogScrubber } from "../../topic/sqlite/scrub.ts";
import { Finder } from "./finder.ts";
import { eraseLetters } from "./letters.ts";
import { needlesOfName } from "./needles.ts";

const HER = "user-0007";
const bytes = (text: string) => new TextEncoder().encode(text);

/** Letters between facts, in the order in which a processor writes both: pages are split, and copies stay in them. */
async function publishLetters(log: ReturnType<typeof openSqliteLog>, round: number): Promise<void> {
  for (let n = 0; n < 12 + round; n++) {
    const who = n % 3 === 0 ? HER : "user-0008";
    const value = bytes(`{"by":"${who}","text":"${"x".repeat((n * 977 + round * 131) % 2_500)}"}`);
    const record = { partition: 0, offset: n, timestamp: 1, key: bytes(who), value, headers: { event: "e" } };
    await log.publish(DEAD_LETTER_TOPIC, [
      deadLetterRecord(record, { topic: WEBHOOKS_TOPIC, step: "parse", reason: "no prompt" }),
    ]);
    for (let fact = 0; fact < (n + round) % 5; fact++) {
      const value = bytes("f".repeat(250 + fact * 30));
      await log.publish(FACTS_TOPIC, [{ key: null, value, headers: {}, timestamp: 1 }]);
    }
  }
}

test("the letters of the erased leave no byte in the file, however SQLite has split its pages", async () => {
  const erased = { subjects: [], isTheirs: (id: string) => id === HER, isTheirPersonId: () => false };
  const finder = new Finder({ needles: needlesOfName(HER, "id"), mailboxes: [] });
  const holding: number[] = [];
  for (let round = 0; round < 12; round++) {
    const dataDir = await Deno.makeTempDir();
    const log = openSqliteLog({ dataDir, role: "processor", writerOf });
    const spec = { partitions: 1, retentionMs: null, retentionBytes: null, recordBytesMax: 2 * 1024 * 1024 };
    for (const name of [DEAD_LETTER_TOPIC, FACTS_TOPIC]) await log.ensureTopic({ name, ...spec });
    await publishLetters(log, round);
    const scrubber = createLogScrubber(dataDir, writerOf);
    const options = { erased, finder, below: () => Infinity, now: 2, scrubber, faultPoint: () => {} };
    expect((await eraseLetters(log, options)).scrubbed).toBeGreaterThan(3);
    await scrubber.checkpoint();
    await log.close();
    if (Buffer.from(Deno.readFileSync(join(dataDir, "log", "processor.db"))).includes(HER)) {
      holding.push(round);
    }
    await Deno.remove(dataDir, { recursive: true });
  }
  expect(holding).toEqual([]);
});
