/// <reference lib="webworker" />
import { type Clock, systemClock } from "../runtime/clock.ts";
import { handLogTo } from "../runtime/log.ts";
import { createUncaught, onUncaught } from "../runtime/uncaught.ts";
import { createKeyedHashes } from "../contract/keyed_hash.ts";
import { faultPointFrom } from "../runtime/stop_at_fault_point.ts";
import { openTopicLog } from "../topic/open_topic.ts";
import { createMaildirMailer, outcomeIn } from "./offers/mail/maildir.ts";
import { createSmtpMailer } from "./offers/mail/smtp.ts";
import type { ProcessorConfig } from "./config.ts";
import type { Mailer } from "./offers/mailer.ts";
import { type DiscountOfferMail, renderDiscountEmail } from "./offers/core/discount_email.ts";
import type { WindowFinding } from "./dataset/core/dedup_window.ts";
import { runDatasetMember } from "./dataset/member.ts";
import { runDiscountOffers } from "./offers/discount_offers.ts";
import type { OfferLoopDependencies } from "./offers/policy.ts";
import { createLineIds } from "./record/line_id.ts";
import { runOfferSender } from "./offers/sender.ts";
import { runOfferView } from "./offers/view.ts";
import type { LoopMessage } from "./loop/loop.ts";
import type { FromWorker, LoopName, ToWorker } from "./loop_messages.ts";

/**
 * The inside of a loop's Worker: gets its orders by message, runs one loop with adapters of its own, and tells by
 * message what happens. Loops share no objects.
 */
const worker = self as unknown as DedicatedWorkerGlobalScope;
const draining = new AbortController();
/** Into the windows of a dataset writer, once it runs. */
let lookFor: (ids: readonly string[]) => readonly WindowFinding[] = () => [];
const post = (message: FromWorker) => worker.postMessage(message);

worker.onmessage = ({ data }: MessageEvent<ToWorker>) => {
  if (data.order === "drain") return draining.abort();
  if (data.order === "find") return post({ kind: "found", ask: data.ask, findings: lookFor(data.ids) });
  const fail = (error: Error) => post({ kind: "failed", message: error.message, stack: error.stack ?? "" });
  run(data.loop, { config: data.config, pipelineSecret: data.pipelineSecret }).then(
    () => post({ kind: "ended" }),
    fail,
  );
  void uncaught.tooMany.then((words) => fail(new Error(words)));
};

// A timer or a socket's callback that throws must not end a loop in the middle of its chunk.
const tell = (message: LoopMessage) => post({ kind: "report", message });
handLogTo((level, text, about) => tell({ kind: "log", level, text, about }));
const uncaught = createUncaught({
  clock: systemClock,
  report: (text) => tell({ kind: "log", level: "error", text }),
});
onUncaught((error) => {
  uncaught.take(error);
  tell({ kind: "count", counter: "uncaught_errors", by: 1 });
});

async function run(
  loop: LoopName,
  { config, pipelineSecret }: { readonly config: ProcessorConfig; readonly pipelineSecret: string },
): Promise<void> {
  const log = await openTopicLog(config.log, "processor");
  try {
    const hashes = createKeyedHashes(pipelineSecret);
    await start(loop, {
      log,
      config,
      hashes,
      lineId: createLineIds(hashes.subject),
      clock: systemClock,
      report: (message) => post({ kind: "report", message }),
      faultPoint: faultPointFrom(config.faultPoint ?? undefined),
      signal: draining.signal,
    });
  } finally {
    await log.close();
  }
}

async function start(
  loop: LoopName,
  deps: OfferLoopDependencies & { readonly config: ProcessorConfig },
): Promise<void> {
  switch (loop) {
    case "dataset-writer":
      return await runDatasetMember({ ...deps, windows: (look) => lookFor = look });
    case "discount-offers":
      return await runDiscountOffers(deps);
    case "offer-view":
      return await runOfferView(deps);
    case "offer-sender": {
      const { config, clock } = deps;
      const mailer = mailerOf(config, clock);
      const render = (offer: DiscountOfferMail) => renderDiscountEmail(offer, config.discountText);
      try {
        return await runOfferSender({ ...deps, mailer, render });
      } finally {
        await mailer.close();
      }
    }
  }
}

function mailerOf({ smtp, dkim, dataDir, mailbox }: ProcessorConfig, clock: Clock): Mailer {
  const now = () => clock.now();
  if (smtp === null) return createMaildirMailer(dataDir, { now, dkim });
  const mailer = createSmtpMailer(smtp, { now, dkim });
  return mailbox ? { ...mailer, outcomeOf: (messageId) => outcomeIn(dataDir, messageId) } : mailer;
}
