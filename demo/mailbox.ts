import { Buffer } from "node:buffer";
import { join } from "node:path";
import { SMTPServer } from "smtp-server";
import { mailDir, mailFileName, mailTmpDir } from "../contract/mail_files.ts";
import {
  isThere,
  makePrivateDirectory,
  PRIVATE,
  removeIfThere,
  syncDirectorySync,
  writeDurablySync,
} from "../runtime/durable_file.ts";

/**
 * The demo's own mail server: what it takes lies in DATA_DIR's `mail/new`, as the `.eml` mailer would have written it, and
 * no message twice. It can be told to refuse, so that the processor's real sender is seen at its hardest moment: 451 in
 * answer to the final dot, after the claim.
 */
export type Mailbox = {
  /** `smtp://127.0.0.1:…` */
  readonly url: string;
  /** Whether it answers 451 now. */
  refuses: boolean;
  /** Messages that it has answered 451 since it started. */
  readonly refused: number;
  close(): Promise<void>;
};

const MESSAGE_BYTES_MAX = 1024 * 1024;
const CLIENTS_MAX = 20;
/** Ms that a conversation under way has when it closes. */
const CLOSE_MS_MAX = 200;

/** Listens on loopback, on any free port. Rejects where that or DATA_DIR cannot be used. */
export async function openMailbox(dataDir: string): Promise<Mailbox> {
  for (const directory of [mailTmpDir(dataDir), mailDir(dataDir)]) makePrivateDirectory(directory);
  // A demo that was killed in the middle of one has not answered for it.
  for (const { name } of Deno.readDirSync(mailTmpDir(dataDir))) {
    removeIfThere(join(mailTmpDir(dataDir), name));
  }
  const state = { refuses: false, refused: 0 };
  const server = new SMTPServer({
    disabledCommands: ["AUTH", "STARTTLS"],
    size: MESSAGE_BYTES_MAX,
    maxClients: CLIENTS_MAX,
    disableReverseLookup: true,
    closeTimeout: CLOSE_MS_MAX,
    onData(stream, _session, done) {
      const chunks: Uint8Array[] = [];
      let bytes = 0;
      stream.on("data", (chunk: Uint8Array) => {
        bytes += chunk.length;
        if (bytes <= MESSAGE_BYTES_MAX) chunks.push(chunk);
      });
      stream.on("end", () => {
        if (state.refuses) {
          state.refused++;
          return done(answer(451, "4.3.2 the demo's mail server was told to refuse: try again later"));
        }
        if (bytes > MESSAGE_BYTES_MAX) return done(answer(552, "5.3.4 message too large"));
        try {
          keep(dataDir, Buffer.concat(chunks));
          done(null, "kept");
        } catch (error) {
          done(answer(452, `4.3.1 cannot keep it: ${(error as Error).message}`));
        }
      });
    },
  });
  // A client that is killed in the middle of a conversation is no news.
  server.on("error", () => {});
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.server.address() as { port: number };
  return {
    url: `smtp://127.0.0.1:${port}`,
    get refuses() {
      return state.refuses;
    },
    set refuses(on) {
      state.refuses = on;
    },
    get refused() {
      return state.refused;
    },
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

/** Durable before it is answered; one that is there already stays as it is: its sender did not hear that it was taken. */
function keep(dataDir: string, message: Uint8Array): void {
  const name = mailFileName(messageIdIn(message) ?? `<${crypto.randomUUID()}@demo>`);
  const path = join(mailDir(dataDir), name);
  if (isThere(path)) return;
  const temporary = join(mailTmpDir(dataDir), name);
  writeDurablySync(temporary, message, PRIVATE);
  Deno.renameSync(temporary, path);
  syncDirectorySync(mailDir(dataDir));
}

function messageIdIn(message: Uint8Array): string | null {
  const text = new TextDecoder("latin1").decode(message.subarray(0, 64 * 1024));
  const [head] = text.split("\r\n\r\n", 1);
  return /^message-id:\s*(<[^<>\s]{1,900}>)/im.exec(head!)?.[1] ?? null;
}

function answer(responseCode: number, words: string): Error {
  return Object.assign(new Error(words), { responseCode });
}
