import { unsubscribeRecord } from "../../contract/unsubscribe_token.ts";
import type { OfferPolicy } from "../../processor/offers/policy.ts";
import { encodeFact } from "../../processor/facts/encode.ts";
import type { Fact } from "../../processor/facts/facts.ts";
import { readAddress } from "../../processor/offers/core/mailbox.ts";
import type { TopicRecord } from "../../topic/topic.ts";
import { Oracle } from "./oracle.ts";
import { type Asked, SimulatedPosthog } from "./posthog.ts";
import { SimulatedProcessor } from "./simulated_processor.ts";
import {
  distinctId,
  hashes,
  MAILBOXES,
  PARTITIONS,
  POLICY,
  type Produced,
  proofs,
  type Rule,
  seededRandom,
  type SentMail,
  type SimulationOptions,
  START,
  subjectOf,
  SUBJECTS,
} from "./terms.ts";

const STEP_MS_MAX = 1_400;
const PAUSE_MS_MAX = 120_000;
const LIVELY_STEPS = 2_400;
const CALM_STEPS_MAX = 60_000;
const QUIET_STEPS = 250;
const QUIET_MS = 300_000;
/** A webhook that PostHog had to send again comes this much later, behind others. */
const DELAY_MS_MAX = 10_000;
/** What happens that much later happens after all that was delivered before. */
const VISIT_AFTER_MS = 60_000;

const MOODS = [
  { optOut: 0.7, join: 13, erasures: 0.002 },
  { optOut: 4, join: 13, erasures: 0.002 },
  { optOut: 0.7, join: 20, erasures: 0.008 },
  // Where nobody is erased, everybody's joins can be held against PostHog's.
  { optOut: 0.7, join: 16, erasures: 0 },
];

const OPT_OUTS = [{ unsubscribed: true }, { unsubscribed: "true" }, { email_opt_out: true }, {
  email_opt_out: 1,
}];

/** What happens often differs from world to world; opt-outs and joins in percent, erasures per step. */
export function moodOf(seed: number): typeof MOODS[number] {
  return MOODS[Math.floor(seed / 4) % MOODS.length]!;
}

const encoder = new TextEncoder();

/**
 * A world in which the real loops of the offers run step by step: a topic in memory, a clock that the world moves, and
 * two processors that crash, pause, lose their view and are overtaken between any two effects. Everything that a loop
 * awaits is a step that the world chooses; a seed says all of it, so that a world can be seen again.
 *
 * What it does not imitate: several commits of SQLite on a disk (the views are in memory, each apply is one effect), a
 * broker that loses what it acknowledged, and bytes on the wire of SMTP.
 */
export class Simulation {
  readonly random: () => number;
  readonly policy: OfferPolicy;
  time = START;
  calm = false;
  steps = 0;
  readonly facts: TopicRecord[] = [];
  readonly raw: TopicRecord[][] = Array.from({ length: PARTITIONS }, () => []);
  readonly produced: Produced[][] = Array.from({ length: PARTITIONS }, () => []);
  readonly committed: number[] = Array.from({ length: PARTITIONS }, () => 0);
  readonly owner: number[] = Array.from({ length: PARTITIONS }, (_, partition) => partition % 2);
  /** Grows with every rebalance; a commit under an older one than gave the partition its owner is refused. */
  generation = 0;
  readonly ownedSince: number[] = Array.from({ length: PARTITIONS }, () => 0);
  readonly processors: SimulatedProcessor[];
  readonly mails: SentMail[] = [];
  readonly failures: string[] = [];
  readonly oracle: Oracle;
  readonly posthog = new SimulatedPosthog();
  /** Subjects that were one person with an erased one. */
  readonly touched = new Set<string>();
  readonly #named: Set<string>[] = [];
  readonly #mood: typeof MOODS[number];
  /** Share of what users say that brings its proof, where proofs are asked for. */
  readonly #provenShare: number;
  /** Share of publishes that are not answered, half of which have not landed. */
  readonly awayShare: number;
  #eraser: Generator<void> | null = null;
  #uuids = 0;
  /** On their way here. */
  #webhooks: Webhook[] = [];

  constructor(readonly options: SimulationOptions) {
    this.random = seededRandom(options.seed);
    this.#mood = moodOf(options.seed);
    this.#provenShare = options.seed % 2 === 0 ? 0.2 : 0.8;
    this.awayShare = options.seed % 5 === 0 ? 0.1 : 0.02;
    // Where retries come quickly, a fact of a paused processor meets the next attempt.
    const retryMs = options.seed % 3 === 0 ? 1_000 : 20_000;
    const retryDelaysMs = Array.from({ length: 50 }, () => retryMs);
    const provenOnly = options.provenOnly && !this.leavesOut("proof");
    this.policy = { ...POLICY, retryDelaysMs, onUnknown: options.onUnknown, provenOnly };
    this.oracle = new Oracle(options.without ?? [], this.touched);
    this.append({ fact: "secret", at: this.time, fingerprint: hashes.fingerprint });
    this.processors = [0, 1].map((id) => new SimulatedProcessor(this, id));
  }

  leavesOut(rule: Rule): boolean {
    return this.options.without?.includes(rule) ?? false;
  }

  pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.random() * from.length)]!;
  }

  /** A fact lands in the topic, and in the oracle's view. */
  append(fact: Fact): number {
    const record = encodeFact(this.#withoutRules(fact));
    const offset = this.facts.length;
    this.facts.push({ ...record, partition: 0, offset });
    this.oracle.apply(this.facts[offset]!);
    return offset;
  }

  /** Rules that stand in the facts are left out by writing into them what the fold without the rule would have used. */
  #withoutRules(fact: Fact): Fact {
    if (fact.fact === "merge_asked") {
      const { person, ...rest } = fact;
      return {
        ...rest,
        ...(person === undefined || this.leavesOut("person") ? {} : { person }),
        ...(this.leavesOut("refuse") ? { how: "dangerous" } : {}),
        ...(this.leavesOut("late") ? { proven: true } : {}),
      };
    }
    if (this.leavesOut("late") && (fact.fact === "addressed" || fact.fact === "joined")) {
      return { ...fact, proven: true };
    }
    if (this.leavesOut("uses") && fact.fact === "earned") return { ...fact, uses: 0 };
    if (this.leavesOut("box") && fact.fact === "claimed") {
      const now = this.oracle.reader.offerNow(fact.offer);
      return now?.address ? { ...fact, mailbox: now.address.mailbox } : fact;
    }
    if (
      this.leavesOut("by") &&
      (fact.fact === "deferred" || fact.fact === "refused" || fact.fact === "unknown")
    ) {
      const state = this.oracle.reader.offerNow(fact.offer)?.offer.state;
      return state?.is === "sending" ? { ...fact, by: state.by } : fact;
    }
    return fact;
  }

  async run(): Promise<string[]> {
    for (const processor of this.processors) processor.begin();
    await settle();
    for (let i = 0; i < LIVELY_STEPS; i++) await this.#step();
    this.calm = true;
    for (const processor of this.processors) processor.pausedUntil = 0;
    this.#rebalance();
    this.#deliverAll();
    while (!this.#isHandled()) await this.#step();
    // Only what comes later than a merge says for sure what PostHog made of it.
    this.time += VISIT_AFTER_MS;
    for (let who = 0; who < SUBJECTS; who++) this.#visit(who);
    this.#deliverAll();
    await this.#untilQuiet();
    for (const processor of this.processors) processor.catchUp();
    return this.failures;
  }

  close(): void {
    for (const { view } of this.processors) view.db.close();
    this.oracle.db.close();
  }

  #isHandled(): boolean {
    return this.#eraser === null && this.raw.every((records, p) => this.committed[p] === records.length);
  }

  async #untilQuiet(): Promise<void> {
    let quiet = { steps: 0, since: this.time, facts: this.facts.length };
    for (let i = 0; i < CALM_STEPS_MAX; i++) {
      await this.#step();
      if (!this.#isHandled() || this.facts.length !== quiet.facts) {
        quiet = { steps: 0, since: this.time, facts: this.facts.length };
      }
      if (++quiet.steps > QUIET_STEPS && this.time - quiet.since > QUIET_MS) return;
    }
    this.failures.push("never quiet");
  }

  async #step(): Promise<void> {
    const { random } = this;
    this.time += 1 + Math.floor(random() * STEP_MS_MAX * (this.calm ? 3 : 1));
    this.steps++;
    if (!this.calm && random() < 0.035) this.#produce();
    if (!this.calm) this.#deliverDue();
    if (this.#eraser === null && !this.calm && random() < this.#mood.erasures) this.#eraser = this.#erase();
    if (this.#eraser !== null && random() < 0.2) {
      const killed = !this.calm && random() < 0.05;
      if (killed || this.#eraser.next().done) this.#eraser = null;
    }
    const processor = this.pick(this.processors);
    if (processor.pausedUntil > this.time) return;
    const luck = this.calm ? 1 : random();
    if (!processor.alive) {
      processor.begin();
      this.#rebalance();
    } else if (luck < 0.003) {
      processor.crash();
      this.#rebalance();
    } else if (luck < 0.006) {
      processor.pausedUntil = this.time + random() * PAUSE_MS_MAX;
      if (random() < 0.7) this.#rebalance(processor);
    } else {
      this.#learn(processor);
      processor.step();
    }
    await settle();
  }

  #rebalance(without?: SimulatedProcessor): void {
    const live = this.processors.filter((one) =>
      one.alive && one !== without && one.pausedUntil <= this.time
    );
    if (live.length === 0) return;
    this.generation++;
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const owner = this.pick(live).id;
      if (owner !== this.owner[partition]) this.ownedSince[partition] = this.generation;
      this.owner[partition] = owner;
    }
  }

  /** A processor hears late of what it owns: until then two of them work on one partition. */
  #learn(processor: SimulatedProcessor): void {
    const now = this.owner.flatMap((id, partition) => id === processor.id ? [partition] : []);
    if (this.random() < (this.calm ? 0.5 : 0.05)) processor.group?.learn(now);
  }

  // ---- what users do

  #produce(): void {
    const { random } = this;
    const who = Math.floor(random() * SUBJECTS);
    const dice = random() * 100;
    const { optOut, join } = this.#mood;
    const kind: Produced["kind"] = dice < optOut
      ? "opt-out"
      : dice < optOut + join
      ? "join"
      : dice < 35
      ? "address"
      : "use";
    const mailbox = kind === "address" || (["use", "opt-out"].includes(kind) && random() < 0.5)
      ? Math.floor(random() * MAILBOXES)
      : null;
    const merge = kind === "join" ? this.#mergeInto(who) : null;
    this.#say({ kind, who, mailbox, merge });
    // Two users of one device, and PostHog may hear of the second first.
    if (merge !== null && random() < 0.4) this.#say({ kind, ...this.#alsoClaims(merge, who), mailbox: null });
  }

  #alsoClaims({ how, other }: Asked, first: number): { who: number; merge: Asked } {
    const users = [...Array(SUBJECTS).keys()].filter((who) => who !== first && distinctId(who) !== other);
    const who = this.pick(users);
    return { who, merge: { how, into: distinctId(who), other } };
  }

  #say({ kind, who, mailbox, merge }: Omit<Said, "uuid" | "eventAt">): void {
    const { random } = this;
    const late = random() < (merge === null ? 0.1 : 0.4) ? Math.floor(random() * 30_000) : 0;
    const repeats = 1 + (random() < 0.2 ? 1 : 0);
    const uuid = uuidOf(++this.#uuids);
    const { record, said } = kind === "opt-out" && random() < 0.5
      ? { record: this.#unsubscribe(who), said: {} }
      : this.#webhook({ kind, who, mailbox, merge, uuid, eventAt: this.time - late });
    const partition = record.headers.source === "unsubscribe" ? (who + 1) % PARTITIONS : who % PARTITIONS;
    const produced = {
      kind,
      who,
      uuid: kind === "use" ? uuid : null,
      eventAt: this.time - late,
      subjects: [],
      ...said,
    };
    for (let i = 0; i < repeats; i++) {
      const due = this.time + (random() < 0.2 ? Math.floor(random() * DELAY_MS_MAX) : 0);
      this.#webhooks.push({ due, partition, record, produced });
    }
  }

  #visit(who: number): void {
    const uuid = uuidOf(++this.#uuids);
    const kind = "visit" as const;
    const { record, said } = this.#webhook({
      kind,
      who,
      mailbox: null,
      merge: null,
      uuid,
      eventAt: this.time,
    });
    const produced = { kind, who, uuid: null, eventAt: this.time, subjects: [], ...said };
    this.#webhooks.push({ due: this.time, partition: who % PARTITIONS, record, produced });
  }

  /** About one in three joins is by a person.id alone, where PostHog shows few of them. */
  #mergeInto(who: number): Asked | null {
    if (!this.options.personsShown && this.random() < 0.4) return null;
    const other = this.pick([...Array(SUBJECTS).keys()].filter((other) => other !== who));
    // Where merges may be forced, all end up as one.
    const forced = this.options.seed % 7 === 0 && this.random() < 0.2;
    const how = forced ? "dangerous" : this.pick(["identify", "alias"] as const);
    return { how, into: distinctId(who), other: distinctId(other) };
  }

  #deliverDue(): void {
    const due = this.#webhooks.filter((webhook) => webhook.due <= this.time);
    if (due.length === 0) return;
    this.#webhooks = this.#webhooks.filter((webhook) => webhook.due > this.time);
    for (const { partition, record, produced } of due) {
      this.deliver(partition, { ...record, timestamp: this.time }, { ...produced, at: this.time });
    }
  }

  #deliverAll(): void {
    this.time = Math.max(this.time, ...this.#webhooks.map(({ due }) => due));
    this.#deliverDue();
  }

  deliver(partition: number, record: Omit<TopicRecord, "partition" | "offset">, produced: Produced): void {
    this.raw[partition]!.push({ ...record, partition, offset: this.raw[partition]!.length });
    this.produced[partition]!.push(produced);
  }

  #webhook(
    { kind, who, mailbox, merge, uuid, eventAt }: Said,
  ): { record: Omit<TopicRecord, "partition" | "offset">; said: Partial<Produced> } {
    // Half of the opt-outs that PostHog brings are a person's property, in any of its spellings, of an event of any name.
    const byProperty = kind === "opt-out" && this.random() < 0.5;
    const event = kind === "use"
      ? "feature_used"
      : kind === "opt-out" && !byProperty
      ? "email_unsubscribed"
      : byProperty
      ? this.pick(["$set", "$identify", "$pageview"])
      : merge !== null
      ? MERGES[merge.how]
      : "$set";
    const proven = this.options.provenOnly && this.random() < this.#provenShare;
    const proof = (said: string) => proven ? { email_proof: proofs.make(distinctId(who), said) } : {};
    const properties: Record<string, unknown> = merge === null
      ? {}
      : { [merge.how === "identify" ? "$anon_distinct_id" : "alias"]: merge.other, ...proof(merge.other) };
    if (merge !== null) this.posthog.ask(merge);
    const email = mailbox === null ? undefined : this.#spelling(mailbox);
    const bag = {
      ...(email === undefined ? {} : { email, ...proof(email) }),
      ...(byProperty && !this.leavesOut("property") ? this.pick(OPT_OUTS) : {}),
    };
    const counts = !byProperty || !this.options.provenOnly || (proven && email !== undefined);
    const inSet = this.random() < 0.5;
    if (inSet) {
      properties[byProperty && email === undefined ? this.pick(["$set", "$set_once"]) : "$set"] = bag;
    }
    const isJoin = kind === "join" && merge === null;
    const personId = this.options.personsShown
      ? this.posthog.see(distinctId(who))
      : isJoin
      ? `person-${Math.floor(this.random() * 2)}`
      : null;
    const person = { ...(personId === null ? {} : { id: personId }), properties: inSet ? {} : bag };
    const timestamp = new Date(eventAt).toISOString();
    const body = { event: { uuid, event, distinct_id: distinctId(who), properties, timestamp }, person };
    const record = {
      key: encoder.encode(distinctId(who)),
      value: encoder.encode(JSON.stringify(body)),
      headers: { id: uuid, event },
      timestamp: this.time,
    };
    const said: Partial<Produced> = {
      proven,
      // Without the proof that this world asks for it is an event like any other.
      ...(counts ? {} : { kind: "visit" }),
      ...(email === undefined ? {} : { mailbox: hashes.mailbox(readAddress(email)!.normalised) }),
      ...(merge === null ? {} : { merge }),
      ...(personId === null ? {} : { person: hashes.personSubject(personId) }),
    };
    return { record, said };
  }

  #spelling(mailbox: number): string {
    return this.pick([
      `box${mailbox}@gmail.com`,
      `B.ox${mailbox}+x@Gmail.com`,
      ` box${mailbox}@googlemail.com`,
    ]);
  }

  #unsubscribe(who: number): Omit<TopicRecord, "partition" | "offset"> {
    const address = readAddress(this.#spelling(Math.floor(this.random() * MAILBOXES)))!;
    const claims = { subject: subjectOf(who), mailbox: hashes.mailbox(address.normalised) };
    return unsubscribeRecord(claims, this.time);
  }

  /** What the erase command does: waits for the group, names all joined subjects, one record per partition. */
  *#erase(): Generator<void> {
    const who = Math.floor(this.random() * SUBJECTS);
    const ends = this.raw.map((records) => records.length);
    while (ends.some((end, p) => this.committed[p]! < end) && this.random() < 0.99) yield;
    const names = new Set(this.oracle.subjectsWith(subjectOf(who)));
    for (const earlier of this.#named) {
      if ([...earlier].some((one) => names.has(one))) { for (const one of earlier) names.add(one); }
    }
    this.#named.push(names);
    const subjects = [...names].sort();
    const at = this.time;
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const value = encoder.encode(
        JSON.stringify({ event: "$erase", at: new Date(at).toISOString(), subjects }),
      );
      const headers = { id: uuidOf(++this.#uuids), event: "$erase", source: "erase" };
      this.deliver(partition, { key: encoder.encode(subjects[0]!), value, headers, timestamp: this.time }, {
        kind: "erase",
        who: null,
        uuid: null,
        at: this.time,
        eventAt: at,
        subjects,
      });
      yield;
    }
  }
}

type Said = {
  readonly kind: Produced["kind"];
  readonly who: number;
  readonly mailbox: number | null;
  readonly merge: Asked | null;
  readonly uuid: string;
  readonly eventAt: number;
};

type Webhook = {
  readonly due: number;
  readonly partition: number;
  readonly record: Omit<TopicRecord, "partition" | "offset">;
  readonly produced: Omit<Produced, "at">;
};

const MERGES: Readonly<Record<Asked["how"], string>> = {
  identify: "$identify",
  alias: "$create_alias",
  dangerous: "$merge_dangerously",
};

function uuidOf(number: number): string {
  return `00000000-0000-4000-8000-${number.toString(16).padStart(12, "0")}`;
}

function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
