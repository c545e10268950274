import type { Clock } from "../../runtime/clock.ts";
import { decodeFact } from "../../processor/facts/facts.ts";
import type { Mailer, SendOutcome } from "../../processor/offers/mailer.ts";
import { readAddress } from "../../processor/offers/core/mailbox.ts";
import { decideOffers } from "../../processor/offers/discount_offers.ts";
import type { OfferPolicy } from "../../processor/offers/policy.ts";
import { sendOffers } from "../../processor/offers/sender.ts";
import { followFacts } from "../../processor/offers/view.ts";
import { createViewWatch } from "../../processor/offers/view_watch.ts";
import { type LogWorld, type SimulatedGroup, SimulatedLog, type Step, stepIn } from "./simulated_log.ts";
import {
  endAt,
  hashes,
  newView,
  proofs,
  type Rule,
  type SentMail,
  type SimulatedView,
  type SimulationOptions,
  START,
} from "./terms.ts";

/** What a processor sees of the world. */
export type ProcessorWorld = LogWorld & {
  readonly options: SimulationOptions;
  readonly policy: OfferPolicy;
  readonly time: number;
  readonly mails: SentMail[];
  readonly failures: string[];
  pick<T>(from: readonly T[]): T;
  leavesOut(rule: Rule): boolean;
};

/** A processor of the world: the three loops of the offers over a view of its own, begun anew after each crash. */
export class SimulatedProcessor {
  alive = false;
  pausedUntil = 0;
  group: SimulatedGroup | null = null;
  owned: readonly number[] = [];
  view: SimulatedView;
  /** Message-IDs on this processor's disk. */
  readonly files = new Set<string>();
  #steps: Step[] = [];
  #starts = 0;

  constructor(readonly simulation: ProcessorWorld, readonly id: number) {
    this.view = newView(this.simulation.options.without ?? []);
  }

  crash(): void {
    this.alive = false;
    this.#steps = [];
    this.group = null;
    this.owned = [];
  }

  begin(): void {
    const { simulation } = this;
    this.alive = true;
    if (this.#starts++ > 0 && simulation.random() < 0.5) {
      this.view.db.close();
      this.view = newView(this.simulation.options.without ?? []);
    }
    this.#steps = [];
    const steps = this.#steps;
    const signal = new AbortController().signal;
    const { writer, reader } = this.view;
    const log = new SimulatedLog(this, steps);
    const clock = this.#clock(steps);
    const channel = { wait: (ms: number, signal: AbortSignal) => clock.wait(ms, signal) };
    const view = createViewWatch(reader, channel);
    const common = { log, clock, hashes, signal, view, store: reader, policy: simulation.policy };
    const quiet = { report: () => {}, faultPoint: () => {}, lineId: (id: string) => id };
    const loops = [
      followFacts({ ...common, ...quiet, store: writer, moved: () => {} }),
      decideOffers({
        ...common,
        ...quiet,
        proofs: simulation.policy.provenOnly && !simulation.leavesOut("proof") ? proofs : null,
        announce: (partitions) => this.owned = partitions,
      }),
      sendOffers({
        ...common,
        ...quiet,
        run: { dataDir: `disk-${this.id}`, start: this.#starts },
        mailer: this.#mailer(steps, clock),
        render: (mail) => ({ ...mail, subject: "", text: "", html: "", unsubscribeUrl: "" }),
        mailFrom: { name: "", address: "shop@shop.example", domain: "shop.example" },
        publicUrl: "http://localhost:8000",
        owned: () => this.owned,
        factsInDanger: () => null,
      }),
    ];
    for (const loop of loops) loop.catch((error) => simulation.failures.push(`a loop ended: ${error.stack}`));
  }

  catchUp(): void {
    const { nextFact } = this.view.reader.end();
    for (const record of this.simulation.facts.slice(nextFact)) {
      const text = new TextDecoder().decode(record.value);
      const outcome = decodeFact(text);
      if (outcome.ok) {
        this.view.writer.apply([{ offset: record.offset, fact: outcome.fact, text }], endAt(record));
      }
    }
  }

  /** Takes one of the steps that something in here waits for. */
  step(): void {
    const ready = this.#steps.filter((step) => step.ready());
    if (ready.length === 0) return;
    const effects = ready.filter((step) => !step.isTimer);
    const among = effects.length > 0 && this.simulation.random() < 0.8 ? effects : ready;
    const step = this.simulation.pick(among);
    this.#steps.splice(this.#steps.indexOf(step), 1);
    step.take();
  }

  #clock(steps: Step[]): Clock {
    const { simulation } = this;
    return {
      now: () => simulation.time,
      monotonic: () => simulation.time - START,
      wait: (ms, signal) => {
        const due = simulation.time + ms;
        return stepIn(steps, () => {}, {
          ready: () => simulation.time >= due || signal?.aborted === true,
          isTimer: true,
        });
      },
    };
  }

  #mailer(steps: Step[], clock: Clock): Mailer {
    const { simulation, files } = this;
    const { mailer: kind } = simulation.options;
    const luck = () => simulation.calm ? 1 : simulation.random();
    const looksAgain = simulation.options.seed % 2 === 0;
    return {
      kind,
      async send(mail, claim): Promise<SendOutcome> {
        const first = await stepIn(steps, luck);
        if (kind === "smtp" && first < 0.05) return { is: "relay", serverAnswer: "greylisted" };
        if (kind === "smtp" && first < 0.2) return { is: "deferred", serverAnswer: "450", claimed: false };
        if (kind === "smtp" && first < 0.23) return { is: "refused", serverAnswer: "550", claimed: false };
        const begun = clock.monotonic();
        if (!await claim().catch(() => false)) return { is: "void" };
        const second = await stepIn(steps, luck);
        if (kind === "smtp" && second < 0.1) return { is: "deferred", serverAnswer: "451", claimed: true };
        if (looksAgain && clock.monotonic() - begun > 45_000) {
          return { is: "deferred", serverAnswer: "gave up", claimed: true };
        }
        await stepIn(steps, () => {
          const mailbox = hashes.mailbox(readAddress(mail.to)!.normalised);
          simulation.mails.push({ messageId: mail.messageId, mailbox, at: simulation.time });
          files.add(mail.messageId);
        });
        return kind === "smtp" && second < 0.2
          ? { is: "unknown", serverAnswer: "cut after the dot" }
          : { is: "accepted", serverAnswer: "250" };
      },
      outcomeOf: (messageId) =>
        stepIn(steps, () => kind === "smtp" ? "unknown" : files.has(messageId) ? "accepted" : "not_sent"),
      close: () => Promise.resolve(),
    };
  }
}
