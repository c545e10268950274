import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "../../runtime/clock.ts";
import { until } from "../../tests/support/until.ts";
import { mailDir, removeMails } from "./mail/files.ts";
import { createMaildirMailer } from "./mail/maildir.ts";
import {
  erasure,
  handClock,
  hashes,
  mailsIn,
  newPlace,
  type Place,
  settled,
  START,
  uses,
  whileRunning,
} from "./fixtures/run.ts";

let place: Place;

beforeEach(async () => void (place = await newPlace()));
afterEach(() => place.remove());

const MINUTE_MS = 60_000;

/** Jane and Carl have their mails. */
async function twoMails(clock: ReturnType<typeof handClock>): Promise<void> {
  await whileRunning(place, { clock }, async (running) => {
    await place.publish([
      ...uses(5, "jane", { email: "jane@example.org" }),
      ...uses(5, "carl", { email: "carl@example.org" }),
    ]);
    await settled(place, running);
    clock.move(3 * MINUTE_MS);
    await until("both mails are there", () => mailsIn(place).length === 2);
    await settled(place, running);
  });
}

const eraseJane = () => place.publish(erasure([hashes.subject("jane")], START + 4 * MINUTE_MS));
const onlyCarls = () => mailsIn(place).length === 1 && mailsIn(place)[0]!.includes("carl@example.org");

describe("the mail files of an erased person", () => {
  test("are deleted by every processor that meets the erasure", async () => {
    const clock = handClock();
    await twoMails(clock);
    await whileRunning(place, { clock }, async (running) => {
      await eraseJane();
      await settled(place, running);
      await until("her mail is gone", onlyCarls);
    });
  });

  test("are deleted at the next start where the processor was killed before it came to that", async () => {
    const clock = handClock();
    await twoMails(clock);
    const kept = [...Deno.readDirSync(mailDir(place.dataDir))].map(({ name }) =>
      join(mailDir(place.dataDir), name)
    );
    const bytes = kept.map((path) => Deno.readFileSync(path));
    await whileRunning(place, { clock }, async (running) => {
      // A directory cannot be deleted as a file is: the names stay noted.
      for (const path of kept) {
        Deno.removeSync(path);
        Deno.mkdirSync(join(path, "stands in the way"), { recursive: true });
      }
      await eraseJane();
      await settled(place, running);
    });
    for (const [index, path] of kept.entries()) {
      Deno.removeSync(path, { recursive: true });
      Deno.writeFileSync(path, bytes[index]!);
    }
    await whileRunning(place, { clock }, () => until("her mail is gone", onlyCarls));
  });
});

describe("a mail that is deleted while it is on its way", () => {
  const mail = {
    messageId: "<one@pipeline.example>",
    from: { name: "Shop", address: "shop@pipeline.example", domain: "pipeline.example" },
    to: "jane@example.org",
    subject: "s",
    text: "t",
    html: "<p>t</p>",
    unsubscribeUrl: "http://localhost/unsubscribe?token=x",
  };

  test.each([[true, "deferred"], [false, "void"]])("is not sent (claim %s)", async (holds, is) => {
    const mailer = createMaildirMailer(place.dataDir, systemClock);
    const outcome = await mailer.send(mail, () => {
      removeMails(place.dataDir, [mail.messageId]);
      return Promise.resolve(holds);
    });
    expect(outcome.is).toBe(is);
    expect(mailsIn(place)).toEqual([]);
    expect([...Deno.readDirSync(join(place.dataDir, "mail", "tmp"))]).toEqual([]);
  });
});
