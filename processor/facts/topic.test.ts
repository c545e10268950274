import { expect, it } from "vitest";
import type { RecordPosition } from "../../topic/topic.ts";
import type { Fact } from "./facts.ts";
import { createFactPublisher } from "./topic.ts";

const facts = (count: number): Fact[] =>
  Array.from({ length: count }, () => ({ fact: "suppressed", at: 0, mailbox: "0".repeat(32) }));

it("facts of many chunks at once wait for their turn, so that the log never holds more of them than it lets wait", async () => {
  const ends: ((refuse?: true) => void)[] = [];
  let [now, most, end] = [0, 0, 0];
  const publishInTurn = createFactPublisher({
    publish: (_, records) => {
      most = Math.max(most, now += records.length);
      return new Promise<readonly RecordPosition[]>((resolve, reject) =>
        ends.push((refuse) => {
          now -= records.length;
          if (refuse) return reject(new Error("away"));
          resolve(records.map(() => ({ partition: 0, offset: end++ })));
        })
      );
    },
  }, 10);
  const published = [4, 4, 4, 25, 1].map((count) => publishInTurn(facts(count)).catch(() => "refused"));
  for (let next = 0; next < published.length; next++) {
    // The second is refused: whoever waits for it goes on.
    while (ends.length <= next) await Promise.resolve();
    ends[next]!(next === 1 ? true : undefined);
  }
  expect(await Promise.all(published)).toEqual(expect.arrayContaining(["refused"]));
  expect({ most, now, published: end }).toEqual({ most: 25, now: 0, published: 34 });
});
