import SMTPConnection from "nodemailer/lib/smtp-connection";
import { Readable } from "node:stream";
import type { Mailer, SendOutcome } from "../mailer.ts";
import { buildMessage, type BuiltMessage } from "./message.ts";

/** Sends by SMTP (RFC 5321), one connection per mail; the claim falls between the message's last byte and the final dot. */
export type SmtpMailerOptions = {
  /** Milliseconds since 1970, for the Date header. */
  readonly now: () => number;
  /** Time to connect, and to wait for the greeting and for each answer, in ms; default 20 s. */
  readonly answerTimeoutMs?: number;
  /** Time from the claim to the server's answer, in ms, after which the attempt is given up; default 45 s. */
  readonly claimTimeoutMs?: number;
};

const ANSWER_TIMEOUT_MS = 20_000;
const CLAIM_TIMEOUT_MS = 45_000;

/** @param smtpUrl `smtp://user:pass@host:port` (STARTTLS where offered) or `smtps://…` (TLS from the start). */
export function createSmtpMailer(smtpUrl: string, options: SmtpMailerOptions): Mailer {
  const url = new URL(smtpUrl);
  const answerTimeoutMs = options.answerTimeoutMs ?? ANSWER_TIMEOUT_MS;
  return {
    kind: "smtp",
    async send(mail, claim) {
      const message = await buildMessage(mail, options.now());
      const connection = new SMTPConnection({
        host: url.hostname.replace(/^\[|\]$/g, ""),
        port: url.port === "" ? undefined : Number(url.port),
        secure: url.protocol === "smtps:",
        connectionTimeout: answerTimeoutMs,
        greetingTimeout: answerTimeoutMs,
        socketTimeout: answerTimeoutMs,
        socketCloseTimeout: 0,
      });
      const attempt = new Attempt(connection, options.claimTimeoutMs ?? CLAIM_TIMEOUT_MS);
      try {
        const trouble = await attempt.greet(credentialsOf(url));
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
type Credentials = { readonly user: string; readonly pass: string } | null;

/** One connection and the one mail that goes over it. */
class Attempt {
  #claim: Promise<boolean> | null = null;
  #giveUp = () => {};
  /** The message's stream has ended: the final dot may be on its way. */
  #released = false;
  /** The server's answer, or an error, came: nothing more may be sent. */
  #over = false;
  #claimTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly connection: SMTPConnection, private readonly claimTimeoutMs: number) {}

  /** Connects and logs in; whatever goes wrong here is about the relay, not about the mail. */
  greet(credentials: Credentials): Promise<SendOutcome | null> {
    return new Promise((resolve) => {
      const relay = (error: SmtpError) => resolve({ is: "relay", serverAnswer: serverAnswerOf(error) });
      this.connection.on("error", relay);
      this.connection.connect((error) => {
        if (error) return relay(error);
        if (credentials === null) return resolve(null);
        this.connection.login({ credentials }, (error) => error ? relay(error) : resolve(null));
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
        resolve(error ? { error } : { serverAnswer: serverAnswerOf(info!.response) });
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
    this.#claimTimer = setTimeout(() => this.#giveUp(), this.claimTimeoutMs);
    if (!await this.#claim.catch(() => false)) throw new Error("the claim did not hold");
    // A process that was stopped in between wakes up here: somebody else may have called this attempt unknown.
    if (this.#over || performance.now() - claimedAt >= this.claimTimeoutMs) {
      throw new Error("gave up before the end");
    }
    this.#released = true;
  }

  #failure(error: SmtpError, claimed: boolean): SendOutcome {
    const serverAnswer = serverAnswerOf(error);
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

function credentialsOf(url: URL): Credentials {
  if (url.username === "") return null;
  return { user: decodeURIComponent(url.username), pass: decodeURIComponent(url.password) };
}

const WORDS_LENGTH_MAX = 300;

/** The server's words, else the error's, on one line and without addresses. */
function serverAnswerOf(said: SmtpError | string): string {
  const text = typeof said === "string" ? said : said.response ?? said.message;
  return text.replace(/<?[^\s<>]+@[^\s<>]+>?/g, "<address>").replace(/\s+/g, " ").slice(0, WORDS_LENGTH_MAX);
}
