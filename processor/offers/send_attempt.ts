import { backOffMs } from "../../runtime/retry.ts";
import { WEBHOOKS_TOPIC } from "../../contract/names.ts";
import { makeUnsubscribeToken } from "../../contract/unsubscribe_token.ts";
import type { OfferPolicy } from "./policy.ts";
import { DeadLetterIndex } from "../dead_letters/positions.ts";
import { isTransient, LOOP_BACK_OFF } from "../loop/consume.ts";
import type { DiscountOfferMail, OutgoingMail } from "./core/discount_email.ts";
import type { Claimer, FactOf, Position } from "../facts/facts.ts";
import { type Address, readRecipient } from "./core/mailbox.ts";
import type { Mailer, SendOutcome } from "./mailer.ts";
import { isSame, type Offer } from "./core/offer.ts";
import { type ProductEvent, readOfferInput } from "./core/product_event.ts";
import { publishFacts } from "../facts/topic.ts";
import type { LoopDependencies } from "../loop/loop.ts";
import type { MailSender } from "./core/mail_sender.ts";
import { offerCode, offerMessageId } from "./core/names.ts";
import type { OfferStoreReader } from "./store.ts";
import type { SenderRun } from "./sender_run.ts";
import type { TopicRecord } from "../../topic/topic.ts";
import type { ViewWatch } from "./view_watch.ts";

/** One attempt to send one offer's mail: address → message → claim at the dot → the server's answer as a fact. */
export type AttemptPorts = Omit<LoopDependencies, "report"> & {
  readonly store: OfferStoreReader;
  readonly view: ViewWatch;
  readonly mailer: Mailer;
  /** Makes the mail of an offer; the same offer gives the same mail, Message-ID included. */
  readonly render: (offer: DiscountOfferMail) => OutgoingMail;
  readonly policy: Pick<OfferPolicy, "retryDelaysMs">;
  readonly mailFrom: MailSender;
  readonly publicUrl: string;
  readonly run: SenderRun;
  /** Numbers the claims of this run. */
  readonly nextClaim: () => number;
};

/** The facts that say what became of an attempt. */
export type AnswerFact = FactOf<"accepted" | "deferred" | "refused" | "unknown">;

/** What one attempt to send came to. */
export type AttemptOutcome =
  /**
   * `end`: the offset after the answer; null where this run ended before it could be published. `isUnclear`: the claim may
   * still land behind the answer, which must then be said again.
   */
  | {
    readonly is: "answered";
    readonly fact: AnswerFact;
    readonly end: number | null;
    readonly isUnclear: boolean;
  }
  /** The claim did not hold: nothing was sent, and nothing is to be said. */
  | { readonly is: "void" }
  /** The relay's trouble, no attempt was used. */
  | { readonly is: "relay"; readonly serverAnswer: string };

/** Where the message is to go, decided right before. */
export type Destination = { readonly mailbox: string; readonly position: Position };

/** What is known of the claim of this attempt; `unclear`: it may have landed, and nothing was sent on it. */
type Claim = { readonly by: Claimer; is: "unclear" | "holds" | "void" };

/** A claim that takes longer than this to be confirmed is not used: others call it unknown after 60 s. */
const CLAIM_CONFIRM_MS_MAX = 30_000;
const ANSWER_CHARACTERS_MAX = 300;

/** Rejects where the log is away before anything was claimed; the attempt is then still to be made. */
export async function attemptToSend(
  offer: Offer,
  destination: Destination,
  ports: AttemptPorts,
): Promise<AttemptOutcome> {
  const address = await addressAt(destination, ports);
  if (address === null) {
    const reason = "the record that gave the address is gone, or no public mail server takes that address";
    const about = aboutAttempt(offer, ports.clock.now());
    const fact = { fact: "refused", ...about, by: null, words: reason } as const;
    return { is: "answered", fact, end: await answer(fact, ports), isUnclear: false };
  }
  const mail = messageOf(offer, { address, mailbox: destination.mailbox, ports });
  const claims: Claim[] = [];
  let outcome: SendOutcome;
  try {
    outcome = await ports.mailer.send(mail, () => {
      const claim: Claim = { by: { ...ports.run, claim: ports.nextClaim() }, is: "unclear" };
      claims.push(claim);
      return publishClaim(claim, { offer, messageId: mail.messageId, mailbox: destination.mailbox, ports });
    });
  } catch (error) {
    outcome = mailerBroke(error as Error, claims[0]?.is === "holds");
  }
  ports.faultPoint("sender.sent");
  const fact = answerOf(outcome, { offer, claim: claims[0] ?? null, ports });
  if (fact === null) return outcome.is === "relay" ? outcome : { is: "void" };
  const isUnclear = claims[0]?.is === "unclear";
  return { is: "answered", fact, end: await answer(fact, ports), isUnclear };
}

/** What every fact of an offer's attempt names. */
export function aboutAttempt({ subject, id, attempt }: Offer, at: number) {
  return { subject, offer: id, attempt, at };
}

/** Publishes the claim and waits until the view says whether it holds. Never rejects: false lets nothing go. */
async function publishClaim(
  claim: Claim,
  { offer, messageId, mailbox, ports }: {
    offer: Offer;
    messageId: string;
    mailbox: string;
    ports: AttemptPorts;
  },
): Promise<boolean> {
  const { log, clock, view, store, signal, faultPoint } = ports;
  const begun = clock.monotonic();
  try {
    const about = aboutAttempt(offer, clock.now());
    const fact = { fact: "claimed", ...about, by: claim.by, mailbox, messageId } as const;
    const end = await publishFacts(log, [fact]);
    if (!(await view.applied(end, signal))) return false;
  } catch (error) {
    if (isTransient(error)) return false;
    throw error;
  }
  const state = store.offerNow(offer.id)?.offer.state;
  const holds = state?.is === "sending" && isSame(state.by, claim.by);
  if (holds && clock.monotonic() - begun > CLAIM_CONFIRM_MS_MAX) return false;
  claim.is = holds ? "holds" : "void";
  if (holds) faultPoint("sender.claimed");
  return holds;
}

/** What the outcome says as a fact; null where there is nothing to say. */
function answerOf(
  outcome: SendOutcome,
  { offer, claim, ports }: { offer: Offer; claim: Claim | null; ports: AttemptPorts },
): AnswerFact | null {
  if (claim?.is === "void") return null;
  const now = ports.clock.now();
  const by = claim?.by ?? null;
  const about = aboutAttempt(offer, now);
  // Claimed, perhaps, and broken off by ourselves: whoever finds the claim must also find that nothing was sent on it.
  if (claim?.is === "unclear") {
    const reason = "broken off: the claim could not be confirmed in time";
    return { fact: "deferred", ...about, by, words: reason, nextAttemptAt: now };
  }
  switch (outcome.is) {
    case "accepted":
      return by && { fact: "accepted", ...about, by, words: serverAnswerOf(outcome) };
    case "refused":
      return { fact: "refused", ...about, by, words: serverAnswerOf(outcome) };
    case "deferred": {
      const delay = ports.policy.retryDelaysMs[offer.tries - 1];
      const nextAttemptAt = delay === undefined ? null : now + delay;
      return { fact: "deferred", ...about, by, words: serverAnswerOf(outcome), nextAttemptAt };
    }
    case "unknown":
      return by && { fact: "unknown", ...about, by, words: serverAnswerOf(outcome) };
    case "relay":
    case "void":
      return by && { fact: "deferred", ...about, by, words: "broken off", nextAttemptAt: now };
  }
}

/** A mailer that throws has a bug; whether the message went is known only if it had not been claimed. */
function mailerBroke(error: Error, claimHeld: boolean): SendOutcome {
  const reason = `the mailer broke: ${error.message}`;
  return claimHeld ? { is: "unknown", serverAnswer: reason } : { is: "relay", serverAnswer: reason };
}

/**
 * Publishes an answer, again and again while the log is away: it is known what became of the mail, and only this run
 * can say it. Gives up when this run ends; the next one settles the claim.
 */
async function answer(fact: AnswerFact, ports: AttemptPorts): Promise<number | null> {
  const { log, clock, signal, faultPoint } = ports;
  for (let tries = 1;; tries++) {
    try {
      const end = await publishFacts(log, [fact]);
      faultPoint("sender.answered");
      return end;
    } catch (error) {
      if (!isTransient(error)) throw error;
      if (signal.aborted) return null;
      await clock.wait(backOffMs(tries, LOOP_BACK_OFF), signal);
    }
  }
}

/** The plain address, read from the raw record that gave it, and kept nowhere; null where it is not there any more. */
async function addressAt({ mailbox, position }: Destination, ports: AttemptPorts): Promise<Address | null> {
  const event = await eventAt(position, ports);
  // Of two addresses in one event only one may have counted.
  const addresses = (event?.said ?? []).map(({ email }) => readRecipient(email));
  return addresses.find((one) => one !== null && ports.hashes.mailbox(one.normalised) === mailbox) ?? null;
}

/** The event at a position of the raw topic; null where no event lies there (any more). */
export async function eventAt(
  { partition, offset }: Position,
  { log }: Pick<AttemptPorts, "log">,
): Promise<ProductEvent | null> {
  const record = await recordAt({ partition, offset }, { log });
  const input = record && readOfferInput(record);
  return input?.is === "event" ? input.event : null;
}

/** The record at a position of the raw topic; null where there is none (any more). */
export async function recordAt(
  { partition, offset }: Position,
  { log }: Pick<AttemptPorts, "log">,
): Promise<TopicRecord | null> {
  // What was set aside unread is gone for good; what only cannot be read now may be there at the next attempt.
  const { unreadable } = new DeadLetterIndex(log);
  const range = { partition, from: offset, until: offset + 1, unreadable };
  for await (const { records } of log.read(WEBHOOKS_TOPIC, range)) {
    const record = records.find((record) => record.offset === offset);
    if (record) return record;
  }
  return null;
}

function messageOf(
  offer: Offer,
  { address, mailbox, ports }: { address: Address; mailbox: string; ports: AttemptPorts },
): OutgoingMail {
  const { hashes, mailFrom, publicUrl, render } = ports;
  return render({
    code: offerCode(hashes, offer),
    messageId: offer.messageId ?? offerMessageId(hashes, offer, mailFrom.domain),
    from: mailFrom,
    to: address.deliverable,
    uses: offer.uses,
    publicUrl,
    unsubscribeToken: makeUnsubscribeToken(hashes, { subject: offer.subject, mailbox }),
  });
}

/** The mailer leaves addresses out of its words; facts are kept for ever, so nothing like one gets in here either. */
function serverAnswerOf({ serverAnswer: reason }: { readonly serverAnswer: string }): string {
  return reason.replace(/[^\s<>"']+@[^\s<>"']+/g, "<address>").slice(0, ANSWER_CHARACTERS_MAX);
}
