import { SMTPServer } from "smtp-server";
import { createHash, createPublicKey, createVerify, generateKeyPairSync, type KeyObject } from "node:crypto";
import { Buffer } from "node:buffer";
import PostalMime from "postal-mime";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { renderDiscountEmail } from "../core/discount_email.ts";
import type { DkimKey } from "../core/dkim.ts";
import { readSmtpUrl, type SmtpAddress } from "../core/mail_relay.ts";
import { createMaildirMailer } from "./maildir.ts";
import { buildMessage } from "./message.ts";
import { createSmtpMailer } from "./smtp.ts";

/**
 * Gmail and Yahoo show one-click unsubscribing only where a DKIM signature covers both headers of it (RFC 8058). A relay
 * may refold a header where white space stands; a signature must hold all the same.
 */
const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const pem = privateKey.export({ type: "pkcs8", format: "pem" }) as string;
const dkim: DkimKey = { domain: "shop.example", selector: "2026a", privateKey: pem };
const MAIL = renderDiscountEmail({
  code: "SAVE-1234",
  messageId: "<offer.1@shop.example>",
  from: { name: "The shop with a name that is too long for a line of 76 characters", ...offers() },
  to: "ada@example.org",
  uses: 5,
  publicUrl: "https://shop.example/a/path/that/is/long/enough/to/be/folded/by/whoever/folds",
  unsubscribeToken: `${"s".repeat(32)}.${"m".repeat(32)}.${"h".repeat(43)}`,
}, "20 € Rabatt auf den nächsten Monat 🎁");

function offers() {
  return { address: "offers@shop.example", domain: "shop.example" };
}

const received: string[] = [];
const server = new SMTPServer({
  authOptional: true,
  disabledCommands: ["STARTTLS"],
  closeTimeout: 50,
  onData(stream, _session, callback) {
    const chunks: Uint8Array[] = [];
    stream.on("data", (chunk: Uint8Array) => chunks.push(chunk));
    stream.on("end", () => {
      received.push(Buffer.concat(chunks).toString("latin1"));
      callback();
    });
  },
});
beforeAll(() => new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", () => resolve())));
afterAll(() => new Promise<void>((resolve) => server.close(() => resolve())));

async function sentOverSmtp(): Promise<string> {
  const { port } = server.server.address() as { port: number };
  const address = readSmtpUrl(`smtp://127.0.0.1:${port}`) as SmtpAddress;
  const relay = { ...address, tls: "opportunistic", clientName: "shop.example" } as const;
  const outcome = await createSmtpMailer(relay, { now: () => 0, dkim }).send(
    MAIL,
    () => Promise.resolve(true),
  );
  expect(outcome.is).toBe("accepted");
  return received.at(-1)!;
}

describe("a mail that is signed", () => {
  it("is right as it arrives, and says what the discount is", async () => {
    const mail = await sentOverSmtp();
    expect(isSigned(mail)).toBe(true);
    const { text, html, subject } = await PostalMime.parse(Buffer.from(mail, "latin1"));
    expect([text, html]).toEqual([
      expect.stringContaining("20 € Rabatt auf den nächsten Monat 🎁"),
      expect.stringContaining("20 € Rabatt auf den nächsten Monat 🎁"),
    ]);
    expect(subject).toBe("Your discount code: SAVE-1234");
  });

  it("signs the unsubscribe headers, which go out unfolded, and what a reader sees", async () => {
    const mail = await sentOverSmtp();
    const signed = tagsOf(mail).h!.toLowerCase().split(":").map((name) => name.trim());
    expect(signed).toEqual(expect.arrayContaining([
      "from",
      "to",
      "subject",
      "date",
      "message-id",
      "mime-version",
      "content-type",
      "list-unsubscribe",
      "list-unsubscribe-post",
    ]));
    expect(mail).toContain(`\r\nList-Unsubscribe: <${MAIL.unsubscribeUrl}>\r\n`);
    expect(mail).toContain("\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n");
    expect(tagsOf(mail)).toMatchObject({
      d: "shop.example",
      s: "2026a",
      c: "relaxed/relaxed",
      a: "rsa-sha256",
    });
  });

  it("has nothing in its body that a relay without 8BITMIME must write anew", async () => {
    const mail = await sentOverSmtp();
    // deno-lint-ignore no-control-regex
    expect(mail).toMatch(/^[\x00-\x7f]*$/);
    for (const line of mail.split("\r\n")) expect(line.length).toBeLessThanOrEqual(998);
  });

  it.each<[string, (headers: string) => string]>([
    ["folds wherever white space stands", (headers) => headers.replace(/(?<!\n) (?=\S)/g, "\r\n ")],
    ["folds by tabs, twice as wide", (headers) => headers.replace(/(?<!\n) (?=\S)/g, " \t\r\n\t ")],
    ["unfolds everything", (headers) => headers.replace(/\r\n(?=[ \t])/g, "")],
    ["widens white space", (headers) => headers.replace(/ /g, "   ")],
    [
      "writes names in upper case, with white space behind them",
      (headers) => headers.replace(/^[\w-]+:/gm, (name) => `${name.slice(0, -1).toUpperCase()} :`),
    ],
    ["leaves white space at the ends of lines", (headers) => headers.replace(/\r\n(?![ \t])/g, " \t\r\n")],
    [
      "adds headers of its own",
      (headers) => `Received: from a by b;\r\n now\r\nX-Scanned: yes\r\n${headers}`,
    ],
  ])("keeps its signature behind a relay that %s", async (_, rewrite) => {
    const mail = await sentOverSmtp();
    const [headers, body] = split(mail);
    const rewritten = rewrite(`${headers}\r\n`);
    expect(rewritten).not.toBe(`${headers}\r\n`);
    expect(isSigned(`${rewritten}\r\n${body}\r\n\r\n`)).toBe(true);
  });

  it.each<[string, (mail: string) => string]>([
    [
      "another link to unsubscribe",
      (mail) => mail.replace("List-Unsubscribe: <https", "List-Unsubscribe: <http"),
    ],
    ["another code", (mail) => mail.replaceAll("SAVE-1234", "SAVE-9999")],
    ["another way to unsubscribe", (mail) => mail.replace("One-Click", "Two-Click")],
    ["another body", (mail) => mail.replace("This is the only mail", "This is the first mail")],
  ])("loses its signature with %s", async (_, rewrite) => {
    const mail = await sentOverSmtp();
    expect(rewrite(mail)).not.toBe(mail);
    expect(isSigned(rewrite(mail))).toBe(false);
  });
});

it("a mail that is written as a file is signed, too", async () => {
  const dataDir = await Deno.makeTempDir();
  try {
    const mailer = createMaildirMailer(dataDir, { now: () => 0, dkim });
    await mailer.send(MAIL, () => Promise.resolve(true));
    const [file] = [...Deno.readDirSync(`${dataDir}/mail/new`)];
    expect(isSigned(Buffer.from(Deno.readFileSync(`${dataDir}/mail/new/${file!.name}`)).toString("latin1")))
      .toBe(true);
  } finally {
    await Deno.remove(dataDir, { recursive: true });
  }
});

it("no mail goes out unsigned because nodemailer could not sign it", async () => {
  const broken = { ...dkim, privateKey: "no key" };
  await expect(buildMessage(MAIL, { now: 0, dkim: broken })).rejects.toThrow(
    "Cannot sign the mail with DKIM_KEY",
  );
  const { bytes } = await buildMessage(MAIL, { now: 0, dkim: null });
  expect(new TextDecoder().decode(bytes)).not.toContain("DKIM-Signature");
});

// ---- a reader of signatures by RFC 6376, relaxed/relaxed, that shares nothing with nodemailer

type Field = { readonly name: string; readonly raw: string };

function split(mail: string): [headers: string, body: string] {
  const at = mail.indexOf("\r\n\r\n");
  return [mail.slice(0, at), mail.slice(at + 4)];
}

function fieldsOf(mail: string): Field[] {
  return split(mail)[0].split(/\r\n(?![ \t])/).map((raw) => ({
    name: raw.slice(0, raw.indexOf(":")).trim().toLowerCase(),
    raw,
  }));
}

/** RFC 6376 section 3.4.2. */
function relaxed({ name, raw }: Field): string {
  const value = raw.slice(raw.indexOf(":") + 1).replace(/\r\n/g, "").replace(/[ \t]+/g, " ");
  return `${name}:${value.replace(/^ | $/g, "")}`;
}

function tagsOf(mail: string): Record<string, string> {
  const { raw } = fieldsOf(mail).find(({ name }) => name === "dkim-signature")!;
  const value = raw.slice(raw.indexOf(":") + 1);
  return Object.fromEntries(
    value.split(";").map((tag) => tag.trim()).filter((tag) => tag !== "").map((tag) => {
      const at = tag.indexOf("=");
      return [tag.slice(0, at).trim(), tag.slice(at + 1).replace(/\s+/g, "")];
    }),
  );
}

function isSigned(
  mail: string,
  key: KeyObject = createPublicKey(publicKey.export({ type: "spki", format: "pem" })),
) {
  const tags = tagsOf(mail);
  const lines = split(mail)[1].split("\r\n").map((line) => line.replace(/[ \t]+/g, " ").replace(/ $/, ""));
  // Section 3.4.4: empty lines at the end do not count.
  while (lines.at(-1) === "") lines.pop();
  const body = lines.length === 0 ? "" : `${lines.join("\r\n")}\r\n`;
  if (createHash("sha256").update(body, "latin1").digest("base64") !== tags.bh) return false;
  const fields = fieldsOf(mail);
  // Section 5.4.2: the last field of a name first.
  const left = [...fields].reverse();
  const data: string[] = [];
  for (const name of tags.h!.toLowerCase().split(":")) {
    const at = left.findIndex((field) => field.name === name);
    if (at >= 0) data.push(`${relaxed(left.splice(at, 1)[0]!)}\r\n`);
  }
  const own = fields.find(({ name }) => name === "dkim-signature")!;
  data.push(relaxed({ ...own, raw: own.raw.replace(/([;\s]b\s*=)[^;]*/, "$1") }));
  return createVerify("sha256").update(data.join(""), "latin1").verify(key, tags.b!, "base64");
}
