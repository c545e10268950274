import { Buffer } from "node:buffer";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { SMTPServer, type SMTPServerOptions } from "smtp-server";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { SmtpRelay } from "../core/mail_relay.ts";
import { AUTHORITY, CERTIFICATE, KEY } from "./fixtures/certificate.ts";
import { sendOne } from "./fixtures/send_one.ts";

/**
 * Real SMTP servers behind a wire that keeps every byte that passes in clear: what a stranger between us and the relay
 * would read. Before, user and password went over it to any server that offered no STARTTLS, or whose offer the
 * stranger took out of the answer.
 */

const LOGIN = { user: "ada", pass: "correct horse" };
const SECRETS = [`\0${LOGIN.user}\0${LOGIN.pass}`, LOGIN.pass, LOGIN.user].map((text) =>
  Buffer.from(text).toString("base64")
);
/** An address of this machine that is not loopback; 0.0.0.0 reaches it as well, where it has no other. */
const ELSEWHERE =
  Deno.networkInterfaces().find(({ family, address }) => family === "IPv4" && !address.startsWith("127."))
    ?.address ?? "0.0.0.0";

type Wire = {
  readonly port: number;
  clear(): string;
  readonly logins: string[];
  readonly received: string[];
};
const cleanUp: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const one of cleanUp.splice(0).reverse()) await one();
});

/** `strip`: the wire takes STARTTLS out of what the server offers. */
async function startServer(
  { strip = false, ...options }: SMTPServerOptions & { readonly strip?: boolean } = {},
): Promise<Wire> {
  const [logins, received]: [string[], string[]] = [[], []];
  const server = new SMTPServer({
    authOptional: true,
    allowInsecureAuth: true,
    closeTimeout: 50,
    onAuth: ({ username, password }, { secure }, done) => {
      logins.push(`${secure ? "encrypted" : "clear"} ${username} ${password}`);
      done(null, { user: username });
    },
    onData(stream, { secure }, done) {
      stream.resume();
      stream.on("end", () => done(null, void received.push(secure ? "encrypted" : "clear")));
    },
    key: KEY,
    cert: CERTIFICATE,
    ...options,
  });
  server.on("error", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanUp.push(() => new Promise<void>((resolve) => server.close(() => resolve())));
  const { port: behind } = server.server.address() as { port: number };

  const passed: Uint8Array[] = [];
  const wire = createServer((client: Socket) => {
    const relay = connect(behind, "127.0.0.1");
    for (const socket of [client, relay]) {
      socket.on("error", () => {});
      socket.on("close", () => (client.destroy(), relay.destroy()));
    }
    client.on("data", (chunk) => (passed.push(chunk as Uint8Array), relay.write(chunk)));
    relay.on("data", (chunk) => {
      const text = chunk.toString("latin1");
      client.write(strip ? text.replace(/^(250[- ])STARTTLS\r\n/m, "$1XXXXXXXA\r\n") : text, "latin1");
    });
  });
  await new Promise<void>((resolve) => wire.listen(0, "0.0.0.0", resolve));
  cleanUp.push(() => new Promise<void>((resolve) => wire.close(() => resolve())));
  const { port } = wire.address() as { port: number };
  return { port, clear: () => Buffer.concat(passed).toString("latin1"), logins, received };
}

const relayOf = ({ port }: Wire, given: Partial<SmtpRelay> = {}): SmtpRelay => ({
  host: ELSEWHERE,
  port,
  implicitTls: false,
  login: LOGIN,
  tls: "require",
  clientName: "shop.example",
  ...given,
});

const expectNothingRead = (wire: Wire) => {
  for (const secret of [...SECRETS, LOGIN.pass, "AUTH"]) expect(wire.clear()).not.toContain(secret);
  expect(wire.clear()).not.toContain("MAIL FROM");
  expect([wire.logins, wire.received]).toEqual([[], []]);
};

describe.each(["require", "opportunistic"] as const)("with a password and SMTP_TLS=%s, elsewhere", (tls) => {
  test.each<[string, Parameters<typeof startServer>[0], RegExp]>([
    ["offers no STARTTLS", { disabledCommands: ["STARTTLS"] }, /Cannot (encrypt|log in)/],
    ["offers it, and the wire strips it", { strip: true }, /Cannot (trust|log in)/],
    ["knows HELO only", { disabledCommands: ["STARTTLS", "EHLO"] }, /Cannot (encrypt|log in)/],
    [
      "has a certificate of an unknown authority",
      {},
      /Cannot trust the mail server's certificate.*DENO_CERT/,
    ],
  ])("a server that %s sees no credentials and no mail: the relay's trouble", async (_, options, words) => {
    const wire = await startServer(options);
    const { outcome, claims } = await sendOne(relayOf(wire, { tls }));
    expect(outcome).toEqual({ is: "relay", serverAnswer: expect.stringMatching(words) });
    expect(claims).toBe(0);
    expectNothingRead(wire);
  });

  test("a certificate is verified also where the environment says that Node need not", async () => {
    const [wire, secureWire] = [await startServer(), await startServer({ secure: true })];
    Deno.env.set("NODE_TLS_REJECT_UNAUTHORIZED", "0");
    cleanUp.push(() => Deno.env.delete("NODE_TLS_REJECT_UNAUTHORIZED"));
    for (const relay of [relayOf(wire, { tls }), relayOf(secureWire, { tls, implicitTls: true })]) {
      expect((await sendOne(relay)).outcome.is).toBe("relay");
    }
    expectNothingRead(wire);
    expectNothingRead(secureWire);
  });
});

describe("without a password, elsewhere", () => {
  test("opportunistic sends in clear where no STARTTLS is offered", async () => {
    const wire = await startServer({ disabledCommands: ["STARTTLS"] });
    const { outcome } = await sendOne(relayOf(wire, { login: null, tls: "opportunistic" }));
    expect([outcome.is, wire.received]).toEqual(["accepted", ["clear"]]);
  });

  test("require sends nothing there", async () => {
    const wire = await startServer({ disabledCommands: ["STARTTLS"] });
    const { outcome } = await sendOne(relayOf(wire, { login: null }));
    expect(outcome).toEqual({ is: "relay", serverAnswer: expect.stringMatching(/SMTP_TLS/) });
    expectNothingRead(wire);
  });
});

test("on loopback, opportunistic logs in without TLS where none is offered", async () => {
  const wire = await startServer({ disabledCommands: ["STARTTLS"] });
  const { outcome } = await sendOne(relayOf(wire, { host: "127.0.0.1", tls: "opportunistic" }));
  expect([outcome.is, wire.logins]).toEqual(["accepted", ["clear ada correct horse"]]);
});

test.each(["PLAIN", "LOGIN"])(
  "a server that repeats what AUTH %s sent gets no password into our words",
  async (method) => {
    // A bare one: smtp-server does not repeat commands.
    const server = createServer((socket: Socket) => {
      socket.on("error", () => {});
      socket.write("220 echo.example\r\n");
      socket.on("data", (chunk) => {
        const line = chunk.toString("latin1").trim();
        if (line.startsWith("EHLO")) socket.write(`250-echo.example\r\n250 AUTH ${method}\r\n`);
        else if (line === "AUTH LOGIN") socket.write("334 VXNlcm5hbWU6\r\n");
        else if (line === SECRETS[2]) socket.write("334 UGFzc3dvcmQ6\r\n");
        else socket.write(`500 unknown: ${line} ${LOGIN.pass}\r\n`);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    cleanUp.push(() => new Promise<void>((resolve) => server.close(() => resolve())));
    const { port } = server.address() as { port: number };
    const relay = relayOf({ port } as Wire, { host: "127.0.0.1", tls: "opportunistic" });
    const { outcome } = await sendOne(relay);
    expect(outcome).toEqual({ is: "relay", serverAnswer: expect.stringMatching(/500 unknown: .*<secret>/) });
    for (const secret of [...SECRETS, LOGIN.pass]) expect(JSON.stringify(outcome)).not.toContain(secret);
  },
);

describe("a process that trusts a private authority", () => {
  let authority: string;
  beforeEach(async () => {
    authority = join(await Deno.makeTempDir(), "authority.pem");
    await Deno.writeTextFile(authority, AUTHORITY);
    cleanUp.push(() => Deno.remove(join(authority, ".."), { recursive: true }));
  });

  async function sendFromAProcess(relay: SmtpRelay, env: Record<string, string>) {
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", join(import.meta.dirname!, "fixtures/send_one.ts"), JSON.stringify(relay)],
      env,
    }).output();
    const text = new TextDecoder().decode(stdout);
    if (text === "") throw new Error(new TextDecoder().decode(stderr));
    return JSON.parse(text) as Awaited<ReturnType<typeof sendOne>>;
  }

  test.each([
    ["STARTTLS", "DENO_CERT", false],
    ["STARTTLS", "NODE_EXTRA_CA_CERTS", false],
    ["smtps:", "DENO_CERT", true],
  ])("logs in and sends over %s, by %s, and the wire reads nothing", async (_, variable, implicitTls) => {
    const wire = await startServer({ secure: implicitTls, allowInsecureAuth: false });
    const { outcome } = await sendFromAProcess(relayOf(wire, { host: "localhost", implicitTls }), {
      [variable]: authority,
    });
    expect(outcome).toEqual({ is: "accepted", serverAnswer: expect.stringMatching(/^250/) });
    expect([wire.logins, wire.received]).toEqual([["encrypted ada correct horse"], ["encrypted"]]);
    for (const secret of [...SECRETS, LOGIN.pass, "AUTH", "MAIL FROM"]) {
      expect(wire.clear()).not.toContain(secret);
    }
  });

  test("refuses a certificate for another name", async () => {
    const wire = await startServer();
    const { outcome } = await sendFromAProcess(relayOf(wire, { host: "127.0.0.2" }), {
      DENO_CERT: authority,
    });
    expect(outcome).toEqual({ is: "relay", serverAnswer: expect.stringMatching(/Cannot trust/) });
    expectNothingRead(wire);
  });
});
