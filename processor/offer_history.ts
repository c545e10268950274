import { FACTS_TOPIC } from "../contract/names.ts";
import type { TraceStep } from "../contract/trace_step.ts";
import { tailOf } from "../topic/tail.ts";
import type { TopicLog } from "../topic/topic.ts";
import { decodeFact, type Fact } from "./facts/facts.ts";
import { mailStep } from "./offers/mail_report.ts";

/** A fact of an offer that the trace has a step for: that it was earned, or what became of its mail. */
export type OfferTold = {
  /** The fact's own time, in milliseconds since 1970. */
  readonly at: number;
  /** Offset of the offer's `earned`. */
  readonly offer: number;
  readonly stepOf: (whose: WhoseOffer) => TraceStep;
};

/** What no fact says. */
export type WhoseOffer = {
  /** Of the event that earned it. */
  readonly id: string;
  /** As the dataset has it. */
  readonly distinctId: string;
  readonly addressKnown: boolean;
};

/** Of the facts' end: records and bytes. */
const LOOKED_AT_MAX = 2_000;
const LOOKED_AT_BYTES_MAX = 2 * 1024 * 1024;

/** What the newest facts tell of offers, in their order; a mail whose claim lies further back is left out. */
export async function offersTold(log: TopicLog): Promise<readonly OfferTold[]> {
  const [bounds] = await log.bounds(FACTS_TOPIC);
  if (bounds === undefined) return [];
  const { records } = await tailOf(log, {
    topic: FACTS_TOPIC,
    bounds,
    recordsMax: LOOKED_AT_MAX,
    bytesMax: LOOKED_AT_BYTES_MAX,
  });
  const messageIds = new Map<string, string>();
  return records.flatMap(({ offset, value }) => {
    const read = decodeFact(new TextDecoder().decode(value));
    return read.ok ? toldBy(read.fact, { offset, messageIds }) : [];
  });
}

function toldBy(
  fact: Fact,
  { offset, messageIds }: { readonly offset: number; readonly messageIds: Map<string, string> },
): readonly OfferTold[] {
  const iso = (time: number) => new Date(time).toISOString();
  switch (fact.fact) {
    case "claimed":
      messageIds.set(`${fact.offer} ${fact.attempt}`, fact.messageId);
      return [];
    case "earned": {
      const [offer, at, dueAt] = [String(offset), iso(fact.at), iso(fact.dueAt)];
      const stepOf = (whose: WhoseOffer): TraceStep => (
        { step: "earned", ...whose, offer, dueAt, at, fromLog: true }
      );
      return [{ at: fact.at, offer: offset, stepOf }];
    }
    case "accepted":
    case "deferred":
    case "refused":
    case "unknown":
    case "closed": {
      const messageId = messageIds.get(`${fact.offer} ${fact.attempt}`) ?? null;
      if (fact.fact === "accepted" && messageId === null) return [];
      const stepOf = ({ distinctId }: WhoseOffer): TraceStep => ({
        ...mailStep(fact, { distinctId, messageId, at: fact.at }),
        fromLog: true,
      });
      return [{ at: fact.at, offer: fact.offer, stepOf }];
    }
    default:
      return [];
  }
}
