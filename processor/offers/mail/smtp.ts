import type SMTPConnection from "nodemailer/lib/smtp-connection";
import { Buffer } from "node:buffer";
import { Readable } from "node:stream";
import type { Mailer, SendOutcome } from "../mailer.ts";
import type { DkimKey } from "../core/dkim.ts";
import { mayLogIn, type SmtpRelay } from "../core/mail_relay.ts";
import { buildMessage, type BuiltMessage } from "./message.ts";

/** Sends by SMTP (RFC 5321), one connection per mail; the claim falls between the message's last byte and the final dot. */
export type SmtpMailerOptions = {
  /** Milliseconds since 1970, for the Date header. */
  readonly now: () => number;
  /** What mails are signed with; null, the default: not at all. */
  readonly dkim?: DkimKey | null;
  /** Time to connect, and to wait for the greeting and for each answer, in ms; default 20 s. */
  readonly answerTimeoutMs?: number;
  /** Time from the claim to the server's answer, in ms, after which the attempt is given up; default 45 s. */
  readonly claimTimeoutMs?: number;
};

const ANSWER_TIMEOUT_MS = 20_000;
const CLAIM_TIMEOUT_MS = 45_000;

/** A server without the TLS that `relay` asks for is the relay's trouble: sending pauses, no attempt is used. */
export function createSmtpMailer(relay: SmtpRelay, options: SmtpMailerOptions): Mailer {
  const answerTimeoutMs = options.answerTimeoutMs ?? ANSWER_TIMEOUT_MS;
  return {
    kind: "smtp",
    async send(mail, claim) {
      const message = await buildMessage(mail, { now: options.now(), dkim: options.dkim ?? null });
      const { default: Connection } = await import("nodemailer/lib/smtp-connection");
      const connection = new Connection({
        host: relay.host,
        port: relay.port,
        secure: relay.implicitTls,
        requireTLS: relay.tls === "require",
        // Said aloud, so that NODE_TLS_REJECT_UNAUTHORIZED=0 in the environment does not hand the password to anybody.
        tls: { rejectUnauthorized: true },
        name: relay.clientName,
        connectionTimeout: answerTimeoutMs,
        greetingTimeout: answerTimeoutMs,
        socketTimeout: answerTimeoutMs,
        socketCloseTimeout: 0,
      });
      const attempt = new Attempt(connection, {
        relay,
        claimTimeoutMs: options.claimTimeoutMs ?? CLAIM_TIMEOUT_MS,
      });
      try {
        const trouble = await attempt.greet();
        return trouble ?? await attempt.deliver(message, claim);
      } finally {
        connection.close();
      }
    },
    // SMTP has no question for what became of a message.
    outcomeOf: () => Promise.resolve("unknown"),
    close: () => Promise.resolve(),
  };
}

type SmtpError = Error & { code?: string; responseCode?: number; response?: string; command?: string };

/** One connection and the one mail that goes over it. */
class Attempt {
  #claim: Promise<boolean> | null = null;
  #giveUp = () => {};
  /** The message's stream has ended: the final dot may be on its way. */
  #released = false;
  /** The server's answer, or an error, came: nothing more may be sent. */
  #over = false;
  #claimTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly connection: SMTPConnection,
    private readonly policy: { readonly relay: SmtpRelay; readonly claimTimeoutMs: number },
  ) {}

  /** Connects and logs in; whatever goes wrong here is about the relay, not about the mail. */
  greet(): Promise<SendOutcome | null> {
    const { host, login } = this.policy.relay;
    return new Promise((resolve) => {
      const trouble = (error: SmtpError) =>
        resolve({ is: "relay", serverAnswer: this.#words(withAdvice(error)) });
      this.connection.on("error", trouble);
      this.connection.connect((error) => {
        if (error) return trouble(error);
        if (login === null) return resolve(null);
        const { secure: isEncrypted, _socket: socket } = this.connection;
        if (!mayLogIn({ isEncrypted, host, peer: socket ? socket.remoteAddress : undefined })) {
          return trouble(new Error(NO_TLS));
        }
        // A copy: libraries write into what they are handed.
        this.connection.login(
          { credentials: { ...login } },
          (error) => error ? trouble(error) : resolve(null),
        );
      });
    });
  }

  async deliver(message: BuiltMessage, claim: () => Promise<boolean>): Promise<SendOutcome> {
    const answer = await new Promise<{ error: SmtpError } | { serverAnswer: string }>((resolve) => {
      this.#giveUp = () => {
        this.#over = true;
        resolve({ error: new Error("no answer in time") });
      };
      const stream = Readable.from(this.#message(message.bytes, claim), { objectMode: false });
      this.connection.send(message.envelope, stream, (error, info) => {
        this.#over = true;
        resolve(error ? { error } : { serverAnswer: this.#words(info!.response) });
      });
    });
    clearTimeout(this.#claimTimer);
    // A claim that is still being published may yet hold: its outcome has to be known before anything is said.
    const claimed = this.#claim !== null && await this.#claim.catch(() => false);
    if ("serverAnswer" in answer && this.#released) {
      return { is: "accepted", serverAnswer: answer.serverAnswer };
    }
    if (this.#claim !== null && !claimed) return { is: "void" };
    if ("serverAnswer" in answer) {
      return { is: "deferred", serverAnswer: "server answered before the message ended", claimed };
    }
    return this.#failure(answer.error, claimed);
  }

  /**
   * The message's bytes, then the claim, then the end, which makes nodemailer write the final dot. A throw in here
   * leaves the message without its end: the server accepts nothing.
   */
  async *#message(bytes: Uint8Array, claim: () => Promise<boolean>): AsyncGenerator<Uint8Array> {
    yield bytes;
    this.#claim = claim();
    const claimedAt = performance.now();
    this.#claimTimer = setTimeout(() => this.#giveUp(), this.policy.claimTimeoutMs);
    if (!await this.#claim.catch(() => false)) throw new Error("the claim did not hold");
    // A process that was stopped in between wakes up here: somebody else may have called this attempt unknown.
    if (this.#over || performance.now() - claimedAt >= this.policy.claimTimeoutMs) {
      throw new Error("gave up before the end");
    }
    this.#released = true;
  }

  /** The server's words, else the error's, on one line, without addresses, and without what was sent to log in. */
  #words(said: SmtpError | string): string {
    const text = typeof said === "string" ? said : said.response ?? said.message;
    return secretsOf(this.policy.relay.login)
      .reduce((text, secret) => text.replaceAll(secret, "<secret>"), text)
      .replace(/<?[^\s<>]+@[^\s<>]+>?/g, "<address>").replace(/\s+/g, " ").slice(0, WORDS_LENGTH_MAX);
  }

  #failure(error: SmtpError, claimed: boolean): SendOutcome {
    const serverAnswer = this.#words(error);
    const code = error.responseCode;
    const aboutTheMail = error.command === "RCPT TO" || error.command === "DATA";
    if (aboutTheMail && code !== undefined) {
      return code >= 500
        ? { is: "refused", serverAnswer, claimed }
        : { is: "deferred", serverAnswer, claimed };
    }
    if (error.code === "EENVELOPE" && error.command === "API") {
      return { is: "refused", serverAnswer, claimed };
    }
    if (this.#released) return { is: "unknown", serverAnswer };
    return claimed ? { is: "deferred", serverAnswer, claimed } : { is: "relay", serverAnswer };
  }
}

const NO_TLS =
  "Cannot log in to the mail server: the connection is not encrypted, and credentials never go out in " +
  "clear. Let the server offer STARTTLS, or set SMTP_URL to smtps://";

/** What TLS alone cannot say: which setting it is about. */
function withAdvice(error: SmtpError): SmtpError {
  const said = error.response ?? error.message;
  if (error.command === "STARTTLS" || /required STARTTLS/.test(error.message)) {
    return new Error(`Cannot encrypt the connection to the mail server (SMTP_TLS): ${said}`);
  }
  if (error.response !== undefined || !/certificate|altnames/i.test(said)) return error;
  return new Error(
    `Cannot trust the mail server's certificate: ${said}. DENO_CERT names a file with a private authority's`,
  );
}

const WORDS_LENGTH_MAX = 300;

/** A password in every form in which it is sent: servers repeat a command that they do not know, and facts stay for ever. */
function secretsOf(login: SmtpRelay["login"]): string[] {
  if (login === null) return [];
  const { user, pass } = login;
  const encoded = [`\0${user}\0${pass}`, user, pass].map((text) => Buffer.from(text).toString("base64"));
  return [...encoded, pass];
}
