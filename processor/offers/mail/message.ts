import { once } from "../../../runtime/remember.ts";
import type { OutgoingMail } from "../core/discount_email.ts";
import type { DkimKey } from "../core/dkim.ts";

/** A mail as bytes (RFC 5322, CRLF), with the SMTP envelope it travels in. */
export type BuiltMessage = {
  readonly bytes: Uint8Array;
  readonly envelope: { readonly from: string; readonly to: string[]; readonly size: number };
};

/** Where nodemailer writes it: before everything else. */
const SIGNATURE = /^DKIM-Signature:/;
const SIGNATURE_BYTES = 15;

/** Loaded with the first mail, so that no start waits for it. */
const composer = once(async () => {
  const { default: nodemailer } = await import("nodemailer");
  return nodemailer.createTransport({ streamTransport: true, buffer: true, newline: "windows" });
});

/**
 * The message is whole and signed before anybody connects, so that the claim at the final dot waits for no signature.
 *
 * @param options.now Milliseconds since 1970, for the Date header.
 * @param options.dkim Null: unsigned.
 */
export async function buildMessage(
  mail: OutgoingMail,
  { now, dkim }: { readonly now: number; readonly dkim: DkimKey | null },
): Promise<BuiltMessage> {
  const { message } = await (await composer()).sendMail({
    messageId: mail.messageId,
    date: new Date(now),
    from: { name: mail.from.name, address: mail.from.address },
    // An object, so that a comma or an angle bracket in the address cannot make a second recipient of it.
    to: { name: "", address: mail.to },
    subject: mail.subject,
    text: mail.text,
    html: mail.html,
    headers: {
      // Prepared: nodemailer folds nothing in it. What has no fold is the same to whoever compares it byte by byte.
      "List-Unsubscribe": { prepared: true, value: `<${mail.unsubscribeUrl}>` },
      "List-Unsubscribe-Post": { prepared: true, value: "List-Unsubscribe=One-Click" },
      "Auto-Submitted": "auto-generated",
    },
    ...(dkim === null ? {} : {
      dkim: { domainName: dkim.domain, keySelector: dkim.selector, privateKey: dkim.privateKey },
    }),
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  const bytes = message as Uint8Array;
  // nodemailer leaves a signature out that it cannot make.
  if (dkim !== null && !SIGNATURE.test(new TextDecoder().decode(bytes.subarray(0, SIGNATURE_BYTES)))) {
    throw new Error("Cannot sign the mail with DKIM_KEY: nodemailer made no signature. Check the key.");
  }
  return { bytes, envelope: { from: mail.from.address, to: [mail.to], size: bytes.length } };
}
