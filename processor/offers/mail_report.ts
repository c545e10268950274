import type { TraceStep } from "../../contract/trace_step.ts";
import type { FactOf } from "../facts/facts.ts";
import { isTransient } from "../loop/consume.ts";
import type { LoopDependencies, LoopMessage } from "../loop/loop.ts";
import type { OfferStoreReader } from "./store.ts";
import { beginSpan, type OpenSpan, TRACEPARENT } from "../../runtime/telemetry/tracing.ts";
import type { Offer } from "./core/offer.ts";
import { type AnswerFact, eventAt, recordAt } from "./send_attempt.ts";

/** Tells the trace what became of an offer's mail. */
export type MailReportPorts = Pick<LoopDependencies, "log" | "clock" | "report"> & {
  readonly store: Pick<OfferStoreReader, "offerNow">;
  /** A distinct_id as the dataset has it. */
  readonly lineId: (distinctId: string) => string | Promise<string>;
};

/** Reports what became of an attempt, with the distinct_id as the dataset has it, read from the raw record by position. */
export async function reportMail(
  fact: AnswerFact | FactOf<"closed">,
  messageId: string | null,
  ports: MailReportPorts,
): Promise<void> {
  const distinctId = await distinctIdOf(fact.offer, ports);
  ports.report(mailLine(fact, { distinctId, messageId }));
  ports.report({ kind: "steps", steps: [mailStep(fact, { distinctId, messageId, at: ports.clock.now() })] });
}

/** The trace's step of what became of an attempt; `at` in milliseconds since 1970. */
export function mailStep(
  fact: AnswerFact | FactOf<"closed">,
  { distinctId, messageId, at }: {
    readonly distinctId: string | null;
    readonly messageId: string | null;
    readonly at: number;
  },
): MailStep {
  const nextAttemptAt = fact.fact === "deferred" ? fact.nextAttemptAt : null;
  return {
    step: "mail",
    offer: String(fact.offer),
    distinctId,
    outcome: fact.fact,
    words: fact.fact === "closed" ? fact.reason : fact.words,
    messageId,
    nextAttemptAt: nextAttemptAt === null ? null : new Date(nextAttemptAt).toISOString(),
    at: new Date(at).toISOString(),
  };
}

type MailStep = Extract<TraceStep, { step: "mail" }>;

/** As the log says it: a mail that was not sent is somebody's business, an offer that closed is no trouble. */
function mailLine(
  fact: AnswerFact | FactOf<"closed">,
  { distinctId, messageId }: { readonly distinctId: string | null; readonly messageId: string | null },
): LoopMessage {
  const whose = `offer ${fact.offer} of ${distinctId ?? "a person whose record is gone"}`;
  const about = { outcome: fact.fact, ...(messageId === null ? {} : { id: messageId }) };
  switch (fact.fact) {
    case "accepted":
      return {
        kind: "log",
        level: "info",
        text: `mail sent: ${whose}`,
        about: { ...about, outcome: "mail" },
      };
    case "closed":
      return { kind: "log", level: "info", text: `${whose} is closed: ${fact.reason}`, about };
    case "deferred":
    case "refused":
    case "unknown":
      return { kind: "log", level: "warn", text: `mail ${fact.fact}: ${whose}: ${fact.words}`, about };
  }
}

/** Only the raw record knows it; where the log is away just now, nobody is named. */
async function distinctIdOf(offer: number, ports: MailReportPorts): Promise<string | null> {
  const position = ports.store.offerNow(offer)?.offer.position;
  if (position === undefined) return null;
  try {
    const event = await eventAt(position, ports);
    return event === null ? null : await ports.lineId(event.distinctId);
  } catch (error) {
    if (isTransient(error)) return null;
    throw error;
  }
}

/**
 * The span of an attempt to send, in the trace of the use that earned the offer: that use's raw record names it, and nothing
 * else keeps it. Where the record is gone, or was published untraced, the span begins a trace.
 */
export async function beginMailSpan(
  { id, attempt, position }: Offer,
  ports: Pick<MailReportPorts, "log">,
): Promise<OpenSpan | null> {
  const record = await recordAt(position, ports).catch(() => null);
  return beginSpan("send mail", {
    parent: record?.headers[TRACEPARENT],
    kind: "client",
    attributes: { "pipeline.offer": id, "pipeline.attempt": attempt },
  });
}
