import type { Clock } from "../../runtime/clock.ts";
import type { ProcessorConfig } from "../config.ts";
import { renderDiscountEmail } from "../offers/core/discount_email.ts";
import { createMaildirMailer, outcomeIn } from "../offers/mail/maildir.ts";
import { createSmtpMailer } from "../offers/mail/smtp.ts";
import type { Mailer } from "../offers/mailer.ts";
import { runOfferSender } from "../offers/sender.ts";
import { createLineIdsLater } from "../record/line_id_later.ts";
import { serveLoop } from "./run.ts";

serveLoop(async (deps) => {
  const { config, clock, hashes } = deps;
  const mailer = mailerOf(config, clock);
  try {
    return await runOfferSender({
      ...deps,
      mailer,
      lineId: createLineIdsLater(hashes.subject),
      render: (offer) => renderDiscountEmail(offer, config.discountText),
    });
  } finally {
    await mailer.close();
  }
});

function mailerOf({ smtp, dkim, dataDir, mailbox }: ProcessorConfig, clock: Clock): Mailer {
  const now = () => clock.now();
  if (smtp === null) return createMaildirMailer(dataDir, { now, dkim });
  const mailer = createSmtpMailer(smtp, { now, dkim });
  return mailbox ? { ...mailer, outcomeOf: (messageId) => outcomeIn(dataDir, messageId) } : mailer;
}
