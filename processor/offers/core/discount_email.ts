import { DISCOUNT_TEXT_DEFAULT } from "./discount_text.ts";
import type { MailSender } from "./mail_sender.ts";

/** What a discount mail is made of. */
export type DiscountOfferMail = {
  readonly code: string;
  readonly messageId: string;
  readonly from: MailSender;
  readonly to: string;
  /** How many uses earned it. */
  readonly uses: number;
  /** `PUBLIC_URL`, without a slash at its end. */
  readonly publicUrl: string;
  readonly unsubscribeToken: string;
};

/** A mail as it goes out. `to` is one address; the unsubscribe address carries a signed token. */
export type OutgoingMail = {
  readonly messageId: string;
  readonly from: MailSender;
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
  /** https or http address for `List-Unsubscribe` (RFC 8058). */
  readonly unsubscribeUrl: string;
};

/**
 * The one mail of an offer, as text and as HTML that needs nothing from another host.
 *
 * @param discount What it offers, as `readDiscountText` gives it.
 */
export function renderDiscountEmail(
  offer: DiscountOfferMail,
  discount: string = DISCOUNT_TEXT_DEFAULT,
): OutgoingMail {
  const unsubscribeUrl = `${offer.publicUrl}/unsubscribe?token=${encodeURIComponent(offer.unsubscribeToken)}`;
  const times = offer.uses === 1 ? "once" : `${offer.uses} times`;
  return {
    messageId: offer.messageId,
    from: offer.from,
    to: offer.to,
    subject: `Your discount code: ${offer.code}`,
    unsubscribeUrl,
    text: [
      `Thank you for using it ${times}.`,
      "",
      `Your discount: ${discount}`,
      "",
      "Its code, good for one order:",
      "",
      `    ${offer.code}`,
      "",
      `Enter it at the checkout of ${offer.publicUrl}`,
      "",
      "This is the only mail of this offer.",
      `No more mail from us: ${unsubscribeUrl}`,
      "",
    ].join("\n"),
    html: `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>Your discount code</title>
</head>
<body style="margin:0;padding:24px;font:16px/1.5 system-ui,sans-serif">
<div style="max-width:480px;margin:0 auto">
<p>Thank you for using it ${times}.</p>
<p>Your discount:<br><strong style="font-size:20px;overflow-wrap:anywhere">${
      escapeHtml(discount)
    }</strong></p>
<p>Its code, good for one order:</p>
<p style="font:600 22px/1.4 ui-monospace,monospace;padding:12px 16px;border:1px solid #888;border-radius:8px">${
      escapeHtml(offer.code)
    }</p>
<p>Enter it at the checkout of <a href="${escapeHtml(offer.publicUrl)}">${
      escapeHtml(offer.publicUrl)
    }</a>.</p>
<p style="font-size:13px">This is the only mail of this offer. <a href="${
      escapeHtml(unsubscribeUrl)
    }">No more mail from us</a>.</p>
</div>
</body>
</html>
`,
  };
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
}
