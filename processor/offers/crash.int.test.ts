import { SMTPServer } from "smtp-server";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { openMailbox } from "../../demo/mailbox.ts";
import { until } from "../../tests/support/until.ts";
import { deleteView, hashes, look, mailsIn, newPlace, type Place, SECRET, uses } from "./fixtures/run.ts";

/**
 * The real processor on the real embedded log. It stops itself between two effects, is killed with -9 where it stands,
 * and another one goes on in its DATA_DIR. However that falls, there is one offer and never a second mail.
 */
const MAIN = new URL("../main.ts", import.meta.url).pathname;
const places: Place[] = [];
const running = new Set<Running>();

afterEach(async () => {
  for (const one of running) await one.kill();
});
afterAll(async () => {
  for (const place of places) await place.remove();
});

type Running = ReturnType<typeof startProcessor>;

function startProcessor({ dataDir }: Place, environment: Record<string, string> = {}) {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", MAIN],
    env: {
      DATA_DIR: dataDir,
      PROCESSOR_PORT: "0",
      PIPELINE_SECRET: SECRET,
      PROCESSOR_GROUPS: "discount-offers",
      DISCOUNT_WAIT: "200ms",
      ...environment,
    },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  let stderr = "";
  const reading = (async () => {
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) stderr += text;
  })();
  const exited = child.status.then(async () => void await reading);
  const self = {
    stderr: () => stderr,
    async end(signal: Deno.Signal) {
      if (running.delete(self)) child.kill(signal);
      await exited;
    },
    kill: () => self.end("SIGKILL"),
    stop: () => self.end("SIGTERM"),
  };
  running.add(self);
  return self;
}

async function placeWithFiveUses(): Promise<Place> {
  const place = await newPlace();
  places.push(place);
  const records = uses(5, "ada", { email: "ada@example.org", receivedAt: Date.now() });
  for (const record of records) await place.publish([record]);
  return place;
}

/** Runs a processor until it has stopped itself at that place, and kills it there. */
async function killAt(
  place: Place,
  faultPoint: string,
  environment: Record<string, string> = {},
): Promise<void> {
  const processor = startProcessor(place, { ...environment, FAULT_POINT: faultPoint });
  await until(`it stands at ${faultPoint}`, () => processor.stderr().includes("fault point")).catch(
    (error) => {
      throw new Error(`${error.message}: ${JSON.stringify(offerIn(place))} ${processor.stderr()}`);
    },
  );
  expect(mailsIn(place).length).toBeLessThanOrEqual(1);
  await processor.kill();
}

function offerIn(place: Place) {
  try {
    return look(place, (offers) => offers.offerOf("ada", hashes));
  } catch {
    return null; // The view is not there yet.
  }
}

/** Runs a processor until the offer has come to that state. */
async function runUntil(
  place: Place,
  state: string,
  environment: Record<string, string> = {},
): Promise<void> {
  const processor = startProcessor(place, environment);
  await until(`the offer is ${state}`, () => offerIn(place)?.state === state).catch((error) => {
    throw new Error(`${error.message}: ${JSON.stringify(offerIn(place))} ${processor.stderr()}`);
  });
  await processor.stop();
}

describe("a processor that is killed with -9 between two effects", () => {
  const points = [
    "offers.published",
    "offers.applied",
    "view.applied:2",
    "offers.earned",
    "offers.published:2",
    "sender.claimed",
    "sender.sent",
    "sender.answered",
  ];
  it.each(points)("at %s: the next one sends what was not sent, and nothing twice", async (point) => {
    const place = await placeWithFiveUses();
    await killAt(place, point);
    await runUntil(place, "offered");
    expect(offerIn(place)).toMatchObject({ uses: 5, state: "offered" });
    expect(mailsIn(place)).toHaveLength(1);
  });

  it("at offers.committed, between two chunks", async () => {
    const place = await placeWithFiveUses();
    const processor = startProcessor(place, { FAULT_POINT: "offers.committed" });
    await until("the mail is sent", () => offerIn(place)?.state === "offered");
    await place.publish(uses(1, "ada", { receivedAt: Date.now() }));
    await until("it stands there", () => processor.stderr().includes("fault point"));
    await processor.kill();
    await runUntil(place, "offered");
    expect(mailsIn(place)).toHaveLength(1);
  });

  it("again and again, losing its view: still one mail", async () => {
    const place = await placeWithFiveUses();
    for (const point of ["view.applied", "offers.earned", "sender.claimed", "sender.sent"]) {
      await killAt(place, point);
      deleteView(place);
    }
    await runUntil(place, "offered");
    expect(mailsIn(place)).toHaveLength(1);
  }, 180_000);
});

describe("over SMTP, where nobody can be asked afterwards", () => {
  it.each([["sender.claimed", 0], ["sender.sent", 1]])(
    "a kill at %s leaves %i mails and an offer whose delivery is unknown",
    async (point, mails) => {
      const taken: string[] = [];
      const server = new SMTPServer({
        authOptional: true,
        disabledCommands: ["STARTTLS", "AUTH"],
        onData(stream, _session, done) {
          let text = "";
          stream.on("data", (bytes) => text += bytes);
          stream.on("end", () => {
            taken.push(text);
            done();
          });
        },
      });
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      const { port } = server.server.address() as { port: number };
      const smtp = {
        SMTP_URL: `smtp://127.0.0.1:${port}`,
        MAIL_FROM: "shop@shop.example",
        PUBLIC_URL: "http://localhost:8000",
      };
      const place = await placeWithFiveUses();
      await killAt(place, point, smtp);
      await runUntil(place, "failed", smtp);
      expect(offerIn(place)).toMatchObject({ state: "failed", reason: "delivery_unknown" });
      expect(taken).toHaveLength(mails);
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  );
});

describe("over SMTP to the demo's mail server, which keeps what it takes where it can be looked up", () => {
  const sending = (url: string) => ({
    SMTP_URL: url,
    SMTP_TLS: "opportunistic",
    DEMO_MAILBOX: "1",
    MAIL_FROM: "shop@shop.example",
    PUBLIC_URL: "http://localhost:8000",
  });

  it.each(["sender.claimed", "sender.sent", "sender.answered"])(
    "a kill at %s: the next one sends what was not sent, and nothing twice",
    async (point) => {
      const place = await placeWithFiveUses();
      const mailbox = await openMailbox(place.dataDir);
      await killAt(place, point, sending(mailbox.url));
      await runUntil(place, "offered", sending(mailbox.url));
      expect(mailsIn(place)).toHaveLength(1);
      await mailbox.close();
    },
  );

  it("what it answers 451 comes later, once, under the same Message-ID", async () => {
    const place = await placeWithFiveUses();
    const mailbox = await openMailbox(place.dataDir);
    mailbox.refuses = true;
    const environment = { ...sending(mailbox.url), MAIL_RETRY_DELAYS: Array(100).fill("50ms").join() };
    const processor = startProcessor(place, environment);
    await until("it was refused three times", () => mailbox.refused >= 3);
    expect(mailsIn(place)).toEqual([]);
    expect(offerIn(place)!.sentAt).toBeNull();
    mailbox.refuses = false;
    await until("the offer is offered", () => offerIn(place)?.state === "offered");
    expect(mailsIn(place)).toHaveLength(1);
    expect(offerIn(place)!.timeline.some(({ what }) => what.includes("451"))).toBe(true);
    await processor.stop();
    await mailbox.close();
  });
});
