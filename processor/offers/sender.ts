import { WEBHOOKS_TOPIC } from "../../contract/names.ts";
import { backOffMs } from "../../runtime/retry.ts";
import { besideView, viewIsUpToDate } from "./view_watch.ts";
import { type Barrier, raiseBarrier } from "./barrier.ts";
import { ClaimsSeen } from "./claims_seen.ts";
import type { OfferLoopDependencies, OfferPolicy } from "./policy.ts";
import { isTransient, LOOP_BACK_OFF } from "../loop/consume.ts";
import type { Claimer, Fact, FactOf } from "../facts/facts.ts";
import { nextStep, type Offer, type SenderStep } from "./core/offer.ts";
import { FACTS_TOPIC_SPEC, publishFacts } from "../facts/topic.ts";
import { SettingsWatch } from "../../topic/settings_watch.ts";
import { type HealthReport, reportHealth } from "../loop/health.ts";
import {
  aboutAttempt,
  type AnswerFact,
  type AttemptOutcome,
  type AttemptPorts,
  attemptToSend,
} from "./send_attempt.ts";
import { isTracing } from "../../runtime/telemetry/tracing.ts";
import { beginMailSpan, type MailReportPorts, reportMail } from "./mail_report.ts";
import { createTopicIdLook } from "../loop/topic_id.ts";
import { RelayPause } from "./relay_pause.ts";
import { beginSenderRun } from "./sender_run.ts";
import { refuseOtherTopic } from "./topic_check.ts";

/**
 * Sends what is due, once. Between the last byte of a message and its final dot the sender claims the attempt by a fact,
 * and only lets go if the fold says that the claim holds: no claim = nothing was sent; claim and answer = known; a claim
 * without an answer = unknown, said by whoever may say it.
 *
 * It acts for offers whose earning record lies in a partition that this process owns. That two processors think so at
 * the same time, or none, harms nothing: claims decide.
 */
export type OfferSenderPorts =
  & Omit<AttemptPorts, "nextClaim">
  & Pick<MailReportPorts, "report" | "lineId">
  & {
    readonly policy: OfferPolicy;
    /** Partitions of `posthog.webhooks` that this process owns. */
    readonly owned: () => readonly number[];
    /** Why facts may get lost now, in words; null where they may not. A claim that gets lost is a second mail. */
    readonly factsInDanger: () => string | null;
  };

/** Mails at the server at the same time: one that answers slowly does not hold up the others. */
const SENDS_AT_ONCE = 4;
/** Due offers looked at behind one barrier. */
const DUE_AT_ONCE = 50;
/** Between two looks where nothing is known to be due earlier. */
const IDLE_MS = 250;
/** Between two looks at a barrier, or for room to send. */
const BUSY_MS = 20;
const MINUTE_MS = 60_000;

/** The loop as main starts it. */
export async function runOfferSender(
  deps: OfferLoopDependencies & Pick<AttemptPorts, "mailer" | "render">,
): Promise<void> {
  const { dataDir, discount: policy, mailFrom, publicUrl } = deps.config;
  const run = beginSenderRun(dataDir);
  // The processor's main thread watches all topics and logs what it sees; this loop must know of its own.
  const settings = new SettingsWatch(deps.log, {
    specs: [FACTS_TOPIC_SPEC],
    clock: deps.clock,
    report: () => {},
  });
  void settings.run(deps.signal);
  const factsInDanger = () => settings.breaches.find(({ loses }) => loses)?.words ?? null;
  await besideView(
    deps,
    ({ store, view, channel: { owned } }) =>
      sendOffers({ ...deps, store, run, policy, mailFrom, publicUrl, view, owned, factsInDanger }),
  );
}

/** Resolves when `signal` has aborted and mails in flight have been answered. */
export async function sendOffers(ports: OfferSenderPorts): Promise<void> {
  const { clock, signal, view } = ports;
  const report = reportHealth(ports.report);
  const health: HealthReport = (is, message) => report(is, message, ports.owned());
  health("starting", "waits for the offer view to reach the facts' end");
  const trouble = ({ error }: { error: Error }) => health("waiting", error.message);
  if (!(await viewIsUpToDate(ports, trouble))) return;
  const sender = new Sender(ports, health);
  let failures = 0;
  while (!signal.aborted) {
    const danger = ports.factsInDanger();
    if (danger !== null) {
      health("waiting", `no mail is sent: ${danger}`);
      await clock.wait(IDLE_MS, signal);
      continue;
    }
    try {
      const pauseMs = await sender.turn();
      failures = 0;
      await view.moved(pauseMs, signal);
    } catch (error) {
      if (!isTransient(error)) throw error;
      health("waiting", error.message);
      await clock.wait(backOffMs(++failures, LOOP_BACK_OFF), signal);
    }
  }
  await sender.drained();
}

class Sender {
  readonly #ports: OfferSenderPorts;
  readonly #health: HealthReport;
  /** Attempts under way, by offer. */
  readonly #inFlight = new Map<number, Promise<void>>();
  readonly #seen: ClaimsSeen;
  readonly #relay: RelayPause;
  /** Answers to claims that may land behind them, by claim. */
  readonly #unclear = new Map<number, AnswerFact>();
  #claims = 0;
  readonly #topicId: () => Promise<string | null>;
  #barrier: Barrier | null = null;
  #barrierPauseMs = BUSY_MS;
  #failure: Error | null = null;

  constructor(ports: OfferSenderPorts, health: HealthReport) {
    this.#ports = ports;
    this.#health = health;
    this.#seen = new ClaimsSeen(ports.run, ports.clock);
    this.#relay = new RelayPause(ports.clock);
    this.#topicId = createTopicIdLook(ports.log, { topic: WEBHOOKS_TOPIC, clock: ports.clock });
  }

  /** One look at everything that can be done; answers how many ms may pass until the next. */
  async turn(): Promise<number> {
    if (this.#failure !== null) throw this.#failure;
    await this.#settleClaims();
    return await this.#sendDue();
  }

  async drained(): Promise<void> {
    await Promise.all(this.#inFlight.values());
    if (this.#failure !== null) throw this.#failure;
  }

  /** Claims without an answer, of earlier runs on this DATA_DIR and of others, and what follows from an unknown one. */
  async #settleClaims(): Promise<void> {
    const { store, policy } = this.#ports;
    const sending = store.sending();
    this.#seen.keep(sending);
    const unknown = policy.onUnknown === "resend-once" ? store.unknowns() : [];
    const facts: Fact[] = [];
    for (const offer of [...sending, ...unknown]) {
      if (this.#inFlight.has(offer.id)) continue;
      const claim = this.#seen.look(offer, this.#claims);
      const again = claim?.of === "this_run" ? this.#answerAgain(offer) : null;
      if (again !== null) facts.push(again);
      if (claim?.of !== "earlier_run" && !this.#owns(offer)) continue;
      const now = store.offerNow(offer.id);
      if (now === null) continue;
      const at = this.#ports.clock.now();
      const step = nextStep(now, at, { policy, claim });
      const fact = await this.#settlement(now.offer, { step, now: at });
      if (fact !== null) facts.push(fact);
    }
    await this.#publish(facts);
  }

  #answerAgain({ state }: Offer): AnswerFact | null {
    return state.is === "sending" ? this.#unclear.get(state.by.claim) ?? null : null;
  }

  async #settlement(offer: Offer, { step, now }: { step: SenderStep; now: number }): Promise<Fact | null> {
    const about = aboutAttempt(offer, now);
    switch (step.is) {
      case "unknown":
        return { fact: "unknown", ...about, by: step.by, words: "no answer within a minute of the claim" };
      case "settle":
        return await this.#settleEarlier(about, { by: step.by, messageId: offer.messageId! });
      case "reopen": {
        const { subject, id, attempt: after } = offer;
        return { fact: "reopened", subject, at: now, offer: id, after, reason: "resend-once" };
      }
      case "wait":
      case "close":
      case "send":
        return null;
    }
  }

  async #settleEarlier(
    about: ReturnType<typeof aboutAttempt>,
    { by, messageId }: { by: Claimer; messageId: string },
  ): Promise<AnswerFact> {
    let words: string;
    switch (await this.#ports.mailer.outcomeOf(messageId)) {
      case "accepted":
        return { fact: "accepted", ...about, by, words: "found delivered after a restart" };
      case "not_sent":
        words = "not sent: the processor stopped";
        return { fact: "deferred", ...about, by, words, nextAttemptAt: about.at };
      case "unknown":
        words = "the processor stopped before the answer was recorded";
        return { fact: "unknown", ...about, by, words };
    }
  }

  async #sendDue(): Promise<number> {
    const { store, owned, clock, log, policy: { provenOnly } } = this.#ports;
    const partitions = owned();
    const now = clock.now();
    const trouble = this.#relay.look();
    if (trouble !== null) {
      this.#health("waiting", trouble.message);
      if (trouble.leftMs > 0) return Math.min(trouble.leftMs, IDLE_MS);
    }
    if (this.#inFlight.size >= SENDS_AT_ONCE) return BUSY_MS;
    if (this.#barrier === null) {
      const due = store.due(partitions, { now, limit: SENDS_AT_ONCE + 1, provenOnly });
      if (due.every((id) => this.#inFlight.has(id))) {
        this.#health("ready", null);
        return this.#untilNextDue(now, partitions);
      }
      await refuseOtherTopic({ log, store }, this.#topicId);
      this.#barrier = await raiseBarrier(log, { store, asOf: now });
    }
    const waitsFor = await this.#barrier.check();
    if (waitsFor !== null) {
      this.#health("waiting", `mails are due, but ${waitsFor}`);
      return this.#barrierPauseMs = Math.min(IDLE_MS, this.#barrierPauseMs * 2);
    }
    const { asOf } = this.#barrier;
    this.#barrier = null;
    this.#barrierPauseMs = BUSY_MS;
    const due = store.due(partitions, { now: asOf, limit: DUE_AT_ONCE, provenOnly });
    const begun = await this.#actOn(due, asOf);
    return begun > 0 ? BUSY_MS : IDLE_MS;
  }

  /**
   * Acts on offers behind a barrier: conditions are looked at once more, against the view as it is now. Answers for how
   * many something could be done.
   */
  async #actOn(ids: readonly number[], asOf: number): Promise<number> {
    const { store } = this.#ports;
    const closing: FactOf<"closed">[] = [];
    // Mailboxes of the time before a loss are known only when all of them are closed.
    let begun = 0;
    let room = store.lostWaiting() > 0 ? 0 : this.#room();
    for (const id of ids) {
      const person = this.#inFlight.has(id) ? null : store.offerNow(id);
      if (person === null) continue;
      const { offer } = person;
      const step = nextStep(person, asOf, { policy: this.#ports.policy, claim: null });
      if (step.is === "close") {
        const { reason, mailbox } = step;
        const { subject, attempt } = offer;
        const at = this.#ports.clock.now();
        closing.push({ fact: "closed", subject, at, offer: id, attempt, reason, mailbox });
      } else if (step.is === "send" && room > 0) {
        room--;
        begun++;
        this.#start(offer, step);
      }
    }
    await this.#publish(closing);
    for (const fact of closing) await reportMail(fact, null, this.#ports);
    return begun + closing.length;
  }

  #start(offer: Offer, destination: Extract<SenderStep, { is: "send" }>): void {
    const attempt = this.#attempt(offer, destination)
      .catch((error) => {
        if (!isTransient(error)) this.#failure = error;
      })
      .finally(() => this.#inFlight.delete(offer.id));
    this.#inFlight.set(offer.id, attempt);
  }

  async #attempt(offer: Offer, destination: Extract<SenderStep, { is: "send" }>): Promise<void> {
    const { view, signal, report } = this.#ports;
    const ports = { ...this.#ports, nextClaim: () => ++this.#claims };
    const span = isTracing ? await beginMailSpan(offer, ports) : null;
    let outcome: AttemptOutcome | null = null;
    try {
      outcome = await attemptToSend(offer, destination, ports);
    } finally {
      const is = outcome?.is === "answered" ? outcome.fact.fact : outcome?.is ?? "failed";
      span?.end({ attributes: { "pipeline.outcome": is }, failed: is === "accepted" ? null : is });
    }
    if (outcome.is === "relay") {
      if (!this.#relay.begin(outcome.serverAnswer)) return;
      const text = `mail relay: ${outcome.serverAnswer}; mails wait until it takes them again`;
      return report({ kind: "log", level: "warn", text });
    }
    if (outcome.is === "void") return;
    if (this.#relay.end()) report({ kind: "log", level: "info", text: "mail relay: takes mails again" });
    const { fact, end } = outcome;
    if (outcome.isUnclear && fact.by !== null) this.#unclear.set(fact.by.claim, fact);
    report({ kind: "count", counter: "mails", by: 1, label: fact.fact });
    if (end !== null) await view.applied(end, signal);
    await reportMail(fact, this.#ports.store.offerNow(offer.id)?.offer.messageId ?? null, this.#ports);
  }

  /** Publishes and waits until the view has it, so that the next turn does not say it again. */
  async #publish(facts: readonly Fact[]): Promise<void> {
    if (facts.length === 0) return;
    const { log, view, signal } = this.#ports;
    await view.applied(await publishFacts(log, facts), signal);
  }

  #owns(offer: Offer): boolean {
    return this.#ports.owned().includes(offer.position.partition);
  }

  /** How many attempts may begin now. Held claims are counted in the view, so the limit is everybody's. */
  #room(): number {
    const { store, clock, policy } = this.#ports;
    const held = store.heldSince(clock.now() - MINUTE_MS);
    const byRate = policy.mailsPerMinuteMax - held - this.#inFlight.size;
    if (byRate <= 0) this.#health("ready", `${held} mails within a minute: MAIL_MAX_PER_MINUTE is reached`);
    return Math.max(0, Math.min(SENDS_AT_ONCE - this.#inFlight.size, byRate));
  }

  #untilNextDue(now: number, partitions: readonly number[]): number {
    const next = this.#ports.store.nextDue(partitions, this.#ports.policy);
    return next === null ? IDLE_MS : Math.min(IDLE_MS, Math.max(1, next - now));
  }
}
