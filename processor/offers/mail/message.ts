import nodemailer from "nodemailer";
import type { OutgoingMail } from "../core/discount_email.ts";

/** A mail as bytes (RFC 5322, CRLF), with the SMTP envelope it travels in. */
export type BuiltMessage = {
  readonly bytes: Uint8Array;
  readonly envelope: { readonly from: string; readonly to: string[]; readonly size: number };
};

const composer = nodemailer.createTransport({ streamTransport: true, buffer: true, newline: "windows" });

/** @param now Milliseconds since 1970, for the Date header. */
export async function buildMessage(mail: OutgoingMail, now: number): Promise<BuiltMessage> {
  const { message } = await composer.sendMail({
    messageId: mail.messageId,
    date: new Date(now),
    from: { name: mail.from.name, address: mail.from.address },
    // An object, so that a comma or an angle bracket in the address cannot make a second recipient of it.
    to: { name: "", address: mail.to },
    subject: mail.subject,
    text: mail.text,
    html: mail.html,
    list: { unsubscribe: mail.unsubscribeUrl },
    headers: { "List-Unsubscribe-Post": "List-Unsubscribe=One-Click", "Auto-Submitted": "auto-generated" },
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  const bytes = message as Uint8Array;
  return { bytes, envelope: { from: mail.from.address, to: [mail.to], size: bytes.length } };
}
