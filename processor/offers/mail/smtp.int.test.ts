import { SMTPServer, type SMTPServerOptions } from "smtp-server";
import PostalMime from "postal-mime";
import { afterEach, describe, expect, test } from "vitest";
import { renderDiscountEmail } from "../core/discount_email.ts";
import { readSmtpUrl, type SmtpAddress, type SmtpRelay } from "../core/mail_relay.ts";
import { createSmtpMailer } from "./smtp.ts";

const MAIL = renderDiscountEmail({
  code: "SAVE-1234",
  messageId: "<offer.1@shop.example>",
  from: { name: "Shop", address: "offers@shop.example", domain: "shop.example" },
  to: "ada@example.org",
  uses: 5,
  publicUrl: "https://shop.example",
  unsubscribeToken: "a.b.c",
});

const relayAt = (url: string): SmtpRelay => ({
  ...readSmtpUrl(url) as SmtpAddress,
  tls: "opportunistic",
  clientName: "shop.example",
});

type Running = { readonly url: string; readonly received: string[]; stop(): Promise<void> };
const running: Running[] = [];

/** A real SMTP server that keeps what it accepted. */
async function startServer(options: SMTPServerOptions = {}): Promise<Running> {
  const received: string[] = [];
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ["STARTTLS"],
    closeTimeout: 50,
    onData(stream, _session, callback) {
      const chunks: Uint8Array[] = [];
      stream.on("data", (chunk: Uint8Array) => chunks.push(chunk));
      stream.on("end", () => {
        received.push(chunks.map((chunk) => new TextDecoder().decode(chunk)).join(""));
        callback();
      });
    },
    ...options,
  });
  server.on("error", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const { port } = server.server.address() as { port: number };
  const stop = () => new Promise<void>((resolve) => server.close(() => resolve()));
  const one = { url: `smtp://127.0.0.1:${port}`, received, stop };
  running.push(one);
  return one;
}

afterEach(async () => {
  for (const server of running.splice(0)) await server.stop();
});

const now = () => Date.UTC(2026, 0, 1);
const answer = (responseCode: number, text: string) => Object.assign(new Error(text), { responseCode });

/** A claim that holds, and how often it was asked. */
function claimThatHolds() {
  const claim = () => (claim.asked++, Promise.resolve(true));
  claim.asked = 0;
  return claim;
}

describe("a server that takes the mail", () => {
  test("send() hands over one whole message and says accepted with the server's words", async () => {
    const server = await startServer();
    const claim = claimThatHolds();
    const outcome = await createSmtpMailer(relayAt(server.url), { now }).send(MAIL, claim);
    expect(outcome).toEqual({ is: "accepted", serverAnswer: expect.stringMatching(/^250/) });
    expect(claim.asked).toBe(1);
    expect(server.received).toHaveLength(1);
    const parsed = await PostalMime.parse(server.received[0]!);
    const header = (name: string) => parsed.headers.find((header) => header.key === name)?.value;
    expect(parsed.messageId).toBe("<offer.1@shop.example>");
    expect(parsed.to).toEqual([{ address: "ada@example.org", name: "" }]);
    expect(header("list-unsubscribe")).toBe("<https://shop.example/unsubscribe?token=a.b.c>");
    expect(header("list-unsubscribe-post")).toBe("List-Unsubscribe=One-Click");
    expect(parsed.text).toContain("SAVE-1234");
    expect(parsed.html).toContain("https://shop.example/unsubscribe?token=a.b.c");
  });

  test("send() asks for the claim only when every byte but the final dot has been given to the socket", async () => {
    let bytesSeen = 0;
    let acceptedAt = -1;
    let claimedAt = -1;
    let turn = 0;
    const server = await startServer({
      onData(stream, _session, callback) {
        stream.on("data", (chunk: Uint8Array) => bytesSeen += chunk.length);
        stream.on("end", () => (acceptedAt = turn++, callback()));
      },
    });
    await createSmtpMailer(relayAt(server.url), { now }).send(MAIL, async () => {
      while (bytesSeen === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      claimedAt = turn++;
      return true;
    });
    expect([claimedAt, acceptedAt]).toEqual([0, 1]);
  });

  // The greeting was "[127.0.0.1]" on a machine whose name is a short one; the sender of MAIL_FROM=offers was null.
  test("is greeted by the name it was given, and told the sender's address", async () => {
    const seen: unknown[] = [];
    const server = await startServer({
      onMailFrom: ({ address }, { hostNameAppearsAs }, done) => {
        seen.push([hostNameAppearsAs, address]);
        done();
      },
    });
    await createSmtpMailer(relayAt(server.url), { now }).send(MAIL, claimThatHolds());
    expect(seen).toEqual([["shop.example", "offers@shop.example"]]);
  });

  test("a sender's name is a name, whatever stands in it", async () => {
    const server = await startServer();
    const from = { ...MAIL.from, name: 'Bücher, "Inc" <eve@evil.example>; ' };
    await createSmtpMailer(relayAt(server.url), { now }).send({ ...MAIL, from }, claimThatHolds());
    expect((await PostalMime.parse(server.received[0]!)).from).toEqual({
      name: from.name,
      address: MAIL.from.address,
    });
  });

  test("a void claim makes the server accept nothing", async () => {
    const server = await startServer();
    const outcome = await createSmtpMailer(relayAt(server.url), { now }).send(
      MAIL,
      () => Promise.resolve(false),
    );
    expect(outcome).toEqual({ is: "void" });
    await server.stop();
    expect(server.received).toEqual([]);
  });

  test("a claim that cannot be published makes the server accept nothing", async () => {
    const server = await startServer();
    const outcome = await createSmtpMailer(relayAt(server.url), { now }).send(
      MAIL,
      () => Promise.reject(new Error("away")),
    );
    expect(outcome).toEqual({ is: "void" });
    await server.stop();
    expect(server.received).toEqual([]);
  });

  test("a claim that took longer than the time for an attempt sends nothing", async () => {
    const server = await startServer();
    const mailer = createSmtpMailer(relayAt(server.url), { now, claimTimeoutMs: 30 });
    const outcome = await mailer.send(
      MAIL,
      () => new Promise((resolve) => setTimeout(() => resolve(true), 80)),
    );
    expect(outcome).toEqual({ is: "deferred", serverAnswer: "no answer in time", claimed: true });
    await server.stop();
    expect(server.received).toEqual([]);
  });
});

describe("a server that refuses before the message", () => {
  test.each([
    [550, { is: "refused", serverAnswer: "550 no such user <address>", claimed: false }],
    [451, { is: "deferred", serverAnswer: "451 no such user <address>", claimed: false }],
  ])("%i to RCPT TO is about the mail, and no claim was made", async (code, expected) => {
    const server = await startServer({
      onRcptTo: (_address, _session, callback) => callback(answer(code, "no such user <ada@example.org>")),
    });
    const claim = claimThatHolds();
    expect(await createSmtpMailer(relayAt(server.url), { now }).send(MAIL, claim)).toEqual(expected);
    expect(claim.asked).toBe(0);
  });

  test.each(["MAIL FROM", "AUTH", "connection"])(
    "trouble at %s is the relay's, not the mail's",
    async (where) => {
      const server = await startServer({
        onMailFrom: (_address, _session, callback) =>
          callback(where === "MAIL FROM" ? answer(550, "not you") : undefined as unknown as null),
        onAuth: (_auth, _session, callback) => callback(answer(535, "wrong password")),
        allowInsecureAuth: true,
      });
      if (where === "connection") await server.stop();
      const url = where === "AUTH" ? server.url.replace("//", "//user:pass@") : server.url;
      const claim = claimThatHolds();
      const outcome = await createSmtpMailer(relayAt(url), { now, answerTimeoutMs: 2_000 }).send(MAIL, claim);
      expect(outcome.is).toBe("relay");
      expect(claim.asked).toBe(0);
    },
  );
});

describe("a server that answers the message", () => {
  const atTheDot = (end: (callback: (error?: Error) => void) => void) =>
    startServer({
      onData(stream, _session, callback) {
        stream.resume();
        stream.on("end", () => end(callback));
      },
    });

  test.each([
    [554, { is: "refused", serverAnswer: "554 spam", claimed: true }],
    [452, { is: "deferred", serverAnswer: "452 spam", claimed: true }],
  ])("%i after the dot is known: nothing was delivered, and the claim stands", async (code, expected) => {
    const server = await atTheDot((callback) => callback(answer(code, "spam")));
    expect(await createSmtpMailer(relayAt(server.url), { now }).send(MAIL, claimThatHolds())).toEqual(
      expected,
    );
  });

  test("no answer after the dot is unknown", async () => {
    const server = await atTheDot(() => {});
    const mailer = createSmtpMailer(relayAt(server.url), { now, claimTimeoutMs: 100 });
    expect(await mailer.send(MAIL, claimThatHolds())).toEqual({
      is: "unknown",
      serverAnswer: "no answer in time",
    });
  });

  test("a connection cut after the dot is unknown", async () => {
    const server = await startCutting("after the dot");
    expect((await createSmtpMailer(relayAt(server.url), { now }).send(MAIL, claimThatHolds())).is).toBe(
      "unknown",
    );
    server.stop();
  });

  test("a connection cut between the claim and the dot is known: nothing was sent", async () => {
    const server = await startCutting("at the claim");
    const outcome = await createSmtpMailer(relayAt(server.url), { now }).send(MAIL, async () => {
      server.cut();
      await server.gone;
      // Round trips over the same loopback: when they are back, the end of the other connection has been read too.
      for (let i = 0; i < 3; i++) {
        await (await Deno.connect({ hostname: "127.0.0.1", port: server.port })).read(new Uint8Array(64));
      }
      return true;
    });
    expect(outcome).toEqual({ is: "deferred", serverAnswer: expect.any(String), claimed: true });
    server.stop();
  });
});

/** A bare SMTP peer on a socket of its own, so that the test can cut the connection where it wants. */
async function startCutting(where: "after the dot" | "at the claim") {
  const { createServer } = await import("node:net");
  const peer: { socket?: import("node:net").Socket } = {};
  let connectionClosed = () => {};
  const gone = new Promise<void>((resolve) => connectionClosed = resolve);
  const server = createServer((socket) => {
    peer.socket = socket;
    socket.on("error", () => {});
    socket.on("close", () => connectionClosed());
    socket.write("220 cut.example\r\n");
    let inData = false;
    socket.on("data", (chunk) => {
      const text = new TextDecoder().decode(chunk as unknown as Uint8Array);
      if (inData) {
        if (where === "after the dot" && text.endsWith("\r\n.\r\n")) socket.destroy();
        return;
      }
      if (text.startsWith("DATA")) {
        inData = true;
        socket.write("354 go on\r\n");
      } else socket.write("250 cut.example\r\n");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const { port } = server.address() as { port: number };
  return {
    url: `smtp://127.0.0.1:${port}`,
    port,
    gone,
    cut: () => peer.socket?.destroy(),
    stop: () => server.close(),
  };
}
