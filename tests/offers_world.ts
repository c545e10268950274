import { DatabaseSync } from "node:sqlite";
import type { Clock } from "../contract/clock.ts";
import { createKeyedHashes } from "../contract/keyed_hash.ts";
import { FACTS_TOPIC, WEBHOOKS_TOPIC } from "../contract/names.ts";
import { unsubscribeRecord } from "../contract/unsubscribe_token.ts";
import { openViewToWrite } from "../processor/adapters/offer_schema.ts";
import { createOfferStoreReader } from "../processor/adapters/sqlite_offer_reader.ts";
import { createOfferStoreWriter } from "../processor/adapters/sqlite_offer_store.ts";
import type { DiscountPolicy } from "../processor/config.ts";
import { decodeFact, encodeFact, type Fact, type FactOf } from "../processor/core/facts.ts";
import type { Mailer, SendOutcome } from "../processor/core/mailer.ts";
import { readAddress } from "../processor/core/mailbox.ts";
import { fold, isSame } from "../processor/core/offer.ts";
import { decideOffers } from "../processor/discount_offers.ts";
import { factHash } from "../processor/facts_topic.ts";
import { offerCode } from "../processor/core/offer_names.ts";
import { sendOffers } from "../processor/offer_sender.ts";
import type { OfferStoreReader, OfferStoreWriter, ViewEnd } from "../processor/offer_store.ts";
import { followFacts } from "../processor/offer_view.ts";
import { createViewWatch } from "../processor/view_watch.ts";
import {
  type ConsumeOptions,
  type Consumption,
  LogUnavailableError,
  type PartitionHandler,
  type ReadOptions,
  type RecordBatch,
  type RecordPosition,
  type RecordToPublish,
  type TopicLog,
  type TopicRecord,
} from "../topic/topic.ts";

/**
 * A world in which the real loops of the offers run step by step: a topic in memory, a clock that the world moves, and
 * two processors that crash, pause, lose their view and are overtaken between any two effects. Everything that a loop
 * awaits is a step that the world chooses; a seed says all of it, so that a world can be seen again.
 *
 * What it does not imitate: several commits of SQLite on a disk (the views are in memory, each apply is one effect), a
 * broker that loses what it acknowledged, and bytes on the wire of SMTP.
 */
export type Rule = "by" | "box" | "uses" | "current" | "barrier";

export type WorldOptions = {
  readonly seed: number;
  readonly onUnknown: DiscountPolicy["onUnknown"];
  /** The mailer of a processor: `maildir` knows what became of its messages, `smtp` does not. */
  readonly mailer: Mailer["kind"];
  /** Rules left out on purpose, to see what they are for. */
  readonly without?: readonly Rule[];
};

export const PARTITIONS = 2;
export const SUBJECTS = 4;
export const MAILBOXES = 3;
export const THRESHOLD = 2;

const START = Date.UTC(2026, 0, 1);
const STEP_MS_MAX = 1_400;
const PAUSE_MS_MAX = 120_000;
const LIVELY_STEPS = 2_400;
const CALM_STEPS_MAX = 60_000;
const QUIET_STEPS = 250;
const QUIET_MS = 300_000;

const MOODS = [
  { optOut: 0.7, join: 13, erasures: 0.002 },
  { optOut: 4, join: 13, erasures: 0.002 },
  { optOut: 0.7, join: 20, erasures: 0.008 },
];

const POLICY: DiscountPolicy = {
  threshold: THRESHOLD,
  waitMs: 30_000,
  eventAgeMsMax: 7 * 86_400_000,
  retryDelaysMs: Array.from({ length: 50 }, () => 20_000),
  onUnknown: "hold",
  mailsPerMinuteMax: 1_000,
};

const hashes = createKeyedHashes("the simulation's secret, 16 or more");
const encoder = new TextEncoder();

/** What a user did, as the oracle keeps it. */
export type Produced = {
  readonly kind: "use" | "address" | "join" | "opt-out" | "erase";
  readonly who: number | null;
  readonly uuid: string | null;
  readonly at: number;
  readonly eventAt: number;
  readonly subjects: readonly string[];
};

export type SentMail = { readonly messageId: string; readonly mailbox: string; readonly at: number };

/** Something that a loop waits for. */
type Step = { readonly ready: () => boolean; readonly isTimer: boolean; readonly take: () => void };

/** Numbers from a seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export const distinctId = (who: number) => `user-${who}`;
export const subjectOf = (who: number) => hashes.subject(distinctId(who));

export class World {
  readonly random: () => number;
  readonly policy: DiscountPolicy;
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
  readonly processors: WorldProcessor[];
  readonly mails: SentMail[] = [];
  readonly failures: string[] = [];
  readonly oracle: Oracle;
  /** Subjects that were one person with an erased one. */
  readonly touched = new Set<string>();
  readonly #named: Set<string>[] = [];
  /** What happens often differs from world to world; opt-outs and joins in percent, erasures per step. */
  readonly #mood: { readonly optOut: number; readonly join: number; readonly erasures: number };
  /** Share of publishes that are not answered, half of which have not landed. */
  readonly awayShare: number;
  #eraser: Generator<void> | null = null;
  #uuids = 0;

  constructor(readonly options: WorldOptions) {
    this.random = seededRandom(options.seed);
    this.#mood = MOODS[Math.floor(options.seed / 4) % MOODS.length]!;
    this.awayShare = options.seed % 5 === 0 ? 0.1 : 0.02;
    this.policy = { ...POLICY, onUnknown: options.onUnknown };
    this.oracle = new Oracle(this);
    this.append({ fact: "secret", at: this.time, fingerprint: hashes.fingerprint });
    this.processors = [0, 1].map((id) => new WorldProcessor(this, id));
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
    await this.#untilQuiet();
    for (const processor of this.processors) processor.catchUp();
    return this.failures;
  }

  close(): void {
    for (const { view } of this.processors) view.db.close();
    this.oracle.db.close();
  }

  async #untilQuiet(): Promise<void> {
    let quiet = { steps: 0, since: this.time, facts: this.facts.length };
    for (let i = 0; i < CALM_STEPS_MAX; i++) {
      await this.#step();
      const done = this.#eraser === null &&
        this.raw.every((records, p) => this.committed[p] === records.length);
      if (!done || this.facts.length !== quiet.facts) {
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

  #rebalance(without?: WorldProcessor): void {
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
  #learn(processor: WorldProcessor): void {
    const now = this.owner.flatMap((id, partition) => id === processor.id ? [partition] : []);
    if (this.random() < (this.calm ? 0.5 : 0.05)) processor.group?.learn(now);
  }

  // ---- what users do

  #produce(): void {
    const { random } = this;
    const who = Math.floor(random() * SUBJECTS);
    const dice = random() * 100;
    const { optOut, join } = this.#mood;
    const kind = dice < optOut ? "opt-out" : dice < optOut + join ? "join" : dice < 35 ? "address" : "use";
    const mailbox = kind === "address" || (kind === "use" && random() < 0.5)
      ? Math.floor(random() * MAILBOXES)
      : null;
    const late = random() < 0.1 ? Math.floor(random() * 30_000) : 0;
    const repeats = 1 + (random() < 0.2 ? 1 : 0);
    const uuid = uuidOf(++this.#uuids);
    const record = kind === "opt-out" && random() < 0.5
      ? this.#unsubscribe(who)
      : this.#webhook({ kind, who, mailbox, uuid, eventAt: this.time - late });
    const partition = record.headers.source === "unsubscribe" ? (who + 1) % PARTITIONS : who % PARTITIONS;
    for (let i = 0; i < repeats; i++) {
      this.deliver(partition, record, {
        kind,
        who,
        uuid: kind === "use" ? uuid : null,
        at: this.time,
        eventAt: this.time - late,
        subjects: [],
      });
    }
  }

  deliver(partition: number, record: Omit<TopicRecord, "partition" | "offset">, produced: Produced): void {
    this.raw[partition]!.push({ ...record, partition, offset: this.raw[partition]!.length });
    this.produced[partition]!.push(produced);
  }

  #webhook(
    { kind, who, mailbox, uuid, eventAt }: {
      kind: Produced["kind"];
      who: number;
      mailbox: number | null;
      uuid: string;
      eventAt: number;
    },
  ): Omit<TopicRecord, "partition" | "offset"> {
    const others = [...Array(SUBJECTS).keys()].filter((other) => other !== who);
    const byPerson = kind === "join" && this.random() < 0.4;
    const event = kind === "use"
      ? "feature_used"
      : kind === "opt-out"
      ? "email_unsubscribed"
      : kind === "join" && !byPerson
      ? "$identify"
      : "$set";
    const properties: Record<string, unknown> = {};
    if (event === "$identify") properties.$anon_distinct_id = distinctId(this.pick(others));
    const email = mailbox === null ? undefined : this.#spelling(mailbox);
    if (email !== undefined && this.random() < 0.5) properties.$set = { email };
    const person = {
      ...(byPerson ? { id: `person-of-${Math.floor(this.random() * 2)}` } : {}),
      properties: email !== undefined && properties.$set === undefined ? { email } : {},
    };
    const timestamp = new Date(eventAt).toISOString();
    const body = { event: { uuid, event, distinct_id: distinctId(who), properties, timestamp }, person };
    return {
      key: encoder.encode(distinctId(who)),
      value: encoder.encode(JSON.stringify(body)),
      headers: { id: uuid, event },
      timestamp: this.time,
    };
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

/** The fold of all facts, always up to date, and what it saw happen. */
export class Oracle {
  readonly db: DatabaseSync;
  readonly reader: OfferStoreReader;
  readonly #writer: OfferStoreWriter;
  /** Offers claimed while another one of the same person was on its way or sent. */
  readonly doubles: number[] = [];
  /** Offers claimed for a person who has not (any more) the uses. */
  readonly unearned: number[] = [];
  /** Per Message-ID, the claims on it that held, in order, with the time at which the attempt was due. */
  readonly held: { readonly claim: FactOf<"claimed">; readonly dueAt: number }[] = [];
  readonly #subjectsOf;
  readonly #others;

  constructor(readonly world: World) {
    this.db = openView();
    this.#writer = createOfferStoreWriter(this.db, storeOptions(world));
    this.reader = createOfferStoreReader(this.db);
    this.#subjectsOf = this.db.prepare(
      "select s.subject from subject own join subject s on s.person = own.person where own.subject = ?",
    );
    this.#others = this.db.prepare(
      `select o.id, o.state from offer o join subject s on s.subject = o.subject
       where s.person = (select person from subject where subject = ?)`,
    );
  }

  subjectsWith(subject: string): readonly string[] {
    const found = this.#subjectsOf.all(subject).map((row) => (row as { subject: string }).subject);
    return found.length === 0 ? [subject] : found;
  }

  offersWith(subject: string): readonly { id: number; state: string }[] {
    return this.#others.all(subject) as { id: number; state: string }[];
  }

  apply(record: TopicRecord): void {
    const text = new TextDecoder().decode(record.value);
    const outcome = decodeFact(text);
    if (!outcome.ok) throw new Error(outcome.reason);
    const { fact } = outcome;
    const before = fact.fact === "claimed" ? this.reader.offerNow(fact.offer) : null;
    if (fact.fact === "erased") {
      for (const one of fact.subjects) for (const s of this.subjectsWith(one)) this.world.touched.add(s);
    }
    this.#writer.apply([{ offset: record.offset, fact, text }], endAt(record));
    if (fact.fact === "claimed" && before !== null) this.#claimed(fact, before.offer.state);
  }

  #claimed(claim: FactOf<"claimed">, before: { is: string; dueAt?: number }): void {
    const offer = this.reader.offerNow(claim.offer)?.offer;
    if (offer?.state.is !== "sending" || !isSame(offer.state.by, claim.by)) return;
    this.held.push({ claim, dueAt: before.dueAt! });
    // The rule may be left out of the fact; the promise is about the uses that the policy asks for.
    if (this.reader.personOf(offer.subject).uses < THRESHOLD) this.unearned.push(offer.id);
    const other = this.offersWith(offer.subject).find(({ id, state }) =>
      id !== offer.id && (state === "sending" || state === "offered")
    );
    if (other !== undefined) this.doubles.push(offer.id);
  }

  /** Everything that two views of the same facts must have in common. */
  static dump(db: DatabaseSync): string {
    const all = (sql: string) => db.prepare(sql).all();
    return JSON.stringify([
      all("select id, body from offer order by id"),
      all("select * from use order by subject, uuid"),
      all("select * from address order by subject"),
      all("select * from joined order by a, b"),
      all("select * from claimed order by mailbox"),
      all("select * from suppressed order by mailbox"),
      all("select * from opted_out order by subject"),
      all(
        "select p.state, p.uses, p.offer, p.due, s.subject from person p join subject s on s.person = p.id order by s.subject",
      ),
    ]);
  }
}

class WorldProcessor {
  alive = false;
  pausedUntil = 0;
  group: WorldGroup | null = null;
  owned: readonly number[] = [];
  view: { readonly db: DatabaseSync; readonly writer: OfferStoreWriter; readonly reader: OfferStoreReader };
  /** Message-IDs on this processor's disk. */
  readonly files = new Set<string>();
  #steps: Step[] = [];
  #starts = 0;

  constructor(readonly world: World, readonly id: number) {
    this.view = this.#newView();
  }

  crash(): void {
    this.alive = false;
    this.#steps = [];
    this.group = null;
    this.owned = [];
  }

  begin(): void {
    const { world } = this;
    this.alive = true;
    if (this.#starts++ > 0 && world.random() < 0.5) {
      this.view.db.close();
      this.view = this.#newView();
    }
    this.#steps = [];
    const steps = this.#steps;
    const signal = new AbortController().signal;
    const { writer, reader } = this.view;
    const log = new WorldLog(this, steps);
    const clock = this.#clock(steps);
    const channel = { wait: (ms: number, signal: AbortSignal) => clock.wait(ms, signal) };
    const view = createViewWatch(reader, channel);
    const common = { log, clock, hashes, signal, view, store: reader, policy: world.policy };
    const quiet = { report: () => {}, reach: () => {}, lineId: (id: string) => id };
    const loops = [
      followFacts({ ...common, ...quiet, store: writer, moved: () => {} }),
      decideOffers({ ...common, ...quiet, announce: (partitions) => this.owned = partitions }),
      sendOffers({
        ...common,
        ...quiet,
        run: { dataDir: `disk-${this.id}`, start: this.#starts },
        mailer: this.#mailer(steps, clock),
        render: (mail) => ({ ...mail, subject: "", text: "", html: "", unsubscribeUrl: "" }),
        mailFrom: "shop@shop.example",
        publicUrl: "http://localhost:8000",
        owned: () => this.owned,
      }),
    ];
    for (const loop of loops) loop.catch((error) => world.failures.push(`a loop ended: ${error.stack}`));
  }

  catchUp(): void {
    const { nextFact } = this.view.reader.end();
    for (const record of this.world.facts.slice(nextFact)) {
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
    const among = effects.length > 0 && this.world.random() < 0.8 ? effects : ready;
    const step = this.world.pick(among);
    this.#steps.splice(this.#steps.indexOf(step), 1);
    step.take();
  }

  #newView() {
    const db = openView();
    return {
      db,
      writer: createOfferStoreWriter(db, storeOptions(this.world)),
      reader: createOfferStoreReader(db),
    };
  }

  #clock(steps: Step[]): Clock {
    const { world } = this;
    return {
      now: () => world.time,
      monotonic: () => world.time - START,
      wait: (ms, signal) => {
        const due = world.time + ms;
        return stepIn(steps, () => {}, {
          ready: () => world.time >= due || signal?.aborted === true,
          isTimer: true,
        });
      },
    };
  }

  #mailer(steps: Step[], clock: Clock): Mailer {
    const { world, files } = this;
    const { mailer: kind } = world.options;
    const luck = () => world.calm ? 1 : world.random();
    const looksAgain = world.options.seed % 2 === 0;
    return {
      kind,
      async send(mail, claim): Promise<SendOutcome> {
        const first = await stepIn(steps, luck);
        if (kind === "smtp" && first < 0.05) return { is: "relay", words: "greylisted" };
        if (kind === "smtp" && first < 0.2) return { is: "deferred", words: "450", claimed: false };
        if (kind === "smtp" && first < 0.23) return { is: "refused", words: "550", claimed: false };
        const begun = clock.monotonic();
        if (!await claim().catch(() => false)) return { is: "void" };
        const second = await stepIn(steps, luck);
        if (kind === "smtp" && second < 0.1) return { is: "deferred", words: "451", claimed: true };
        if (looksAgain && clock.monotonic() - begun > 45_000) {
          return { is: "deferred", words: "gave up", claimed: true };
        }
        await stepIn(steps, () => {
          const mailbox = hashes.mailbox(readAddress(mail.to)!.normalised);
          world.mails.push({ messageId: mail.messageId, mailbox, at: world.time });
          files.add(mail.messageId);
        });
        return kind === "smtp" && second < 0.2
          ? { is: "unknown", words: "cut after the dot" }
          : { is: "accepted", words: "250" };
      },
      outcomeOf: (messageId) =>
        stepIn(steps, () => kind === "smtp" ? "unknown" : files.has(messageId) ? "accepted" : "not_sent"),
      close: () => Promise.resolve(),
    };
  }
}

/** The log as one incarnation of a processor sees it; every answer is a step. */
class WorldLog implements TopicLog {
  readonly kind = "kafka";
  readonly #world: World;

  constructor(readonly processor: WorldProcessor, readonly steps: Step[]) {
    this.#world = processor.world;
  }

  ensureTopic(): Promise<void> {
    return Promise.resolve();
  }

  /** The records land in one step, the answer comes in another; now and then it does not come, whatever happened. */
  async publish(topic: string, records: readonly RecordToPublish[]): Promise<readonly RecordPosition[]> {
    if (topic !== FACTS_TOPIC) throw new Error(`nothing publishes to ${topic} here`);
    const world = this.#world;
    const luck = world.calm ? 1 : world.random();
    const positions = await stepIn(this.steps, () => {
      if (luck < world.awayShare / 2) return [];
      return records.map(({ value }) => {
        const outcome = decodeFact(new TextDecoder().decode(value));
        if (!outcome.ok) throw new Error(outcome.reason);
        return { partition: 0, offset: world.append(outcome.fact) };
      });
    });
    await stepIn(this.steps, () => {});
    if (luck < world.awayShare) throw new LogUnavailableError("away");
    return positions;
  }

  async *read(topic: string, { partition, from, until, signal, batchRecordsMax = 500 }: ReadOptions) {
    const world = this.#world;
    const records = topic === FACTS_TOPIC ? world.facts : world.raw[partition]!;
    let next = from;
    while (!signal?.aborted && (until === undefined || next < until)) {
      const batch = await stepIn(this.steps, () => {
        const size = world.calm ? batchRecordsMax : 1 + Math.floor(world.random() * 40);
        return records.slice(next, Math.min(next + size, until ?? Infinity));
      }, { ready: () => records.length > next || until !== undefined || signal?.aborted === true });
      if (batch.length === 0 && until !== undefined) return;
      next += batch.length;
      yield { partition, records: batch, nextOffset: next, endOffset: records.length };
    }
  }

  bounds(topic: string) {
    const partitions = topic === FACTS_TOPIC ? [this.#world.facts] : this.#world.raw;
    const isNothing = topic === WEBHOOKS_TOPIC && this.#world.leavesOut("barrier");
    return stepIn(this.steps, () =>
      partitions.map((records, partition) => ({
        partition,
        startOffset: 0,
        endOffset: isNothing ? 0 : records.length,
      })));
  }

  committed() {
    return stepIn(this.steps, () => [...this.#world.committed]);
  }

  consume({ handler }: ConsumeOptions): Consumption {
    const group = new WorldGroup(this.processor, { steps: this.steps, handler, world: this.#world });
    this.processor.group = group;
    return {
      state: () => ({ is: "joined", partitions: [...group.owned] }),
      stop: () => Promise.resolve(),
      ended: group.ended,
    };
  }

  lag(): never {
    throw new Error("nobody asks for the lag here");
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

type Task = { readonly gone: AbortController; readonly done: Promise<void>; readonly generation: number };

/** One processor's membership: what it believes to own, and one task per partition. */
class WorldGroup {
  readonly owned = new Set<number>();
  readonly ended: Promise<void>;
  readonly #tasks = new Map<number, Task>();
  #fail: (error: unknown) => void = () => {};

  constructor(
    readonly processor: WorldProcessor,
    readonly with_: { readonly steps: Step[]; readonly handler: PartitionHandler; readonly world: World },
  ) {
    this.ended = new Promise((_, reject) => this.#fail = reject);
  }

  /** Partitions that went and came back meanwhile begin anew too: another owner may have committed less. */
  learn(now: readonly number[]): void {
    const { world } = this.with_;
    for (const partition of [...this.owned]) {
      const task = this.#tasks.get(partition)!;
      if (now.includes(partition) && task.generation >= world.ownedSince[partition]!) continue;
      this.owned.delete(partition);
      task.gone.abort();
    }
    for (const partition of now) {
      if (this.owned.has(partition)) continue;
      this.owned.add(partition);
      const before = this.#tasks.get(partition)?.done ?? Promise.resolve();
      const gone = new AbortController();
      const { generation } = world;
      const done = before.then(() => this.#task(partition, { signal: gone.signal, generation })).catch(
        this.#fail,
      );
      this.#tasks.set(partition, { gone, done, generation });
    }
  }

  async #task(
    partition: number,
    { signal, generation }: { signal: AbortSignal; generation: number },
  ): Promise<void> {
    const { steps, handler, world } = this.with_;
    const records = world.raw[partition]!;
    while (!signal.aborted) {
      let next = await handler.assigned(partition, { signal }) ?? world.committed[partition]!;
      let goesOn = true;
      while (goesOn && !signal.aborted) {
        const batch = await stepIn(steps, () => this.#poll(partition, next), {
          ready: () => signal.aborted || records.length > next,
        });
        if (signal.aborted) break;
        const answer = await handler.handle(batch, { signal, heartbeat: () => Promise.resolve() });
        goesOn = answer === "handled";
        if (goesOn) {
          next = batch.nextOffset;
          // Refused under an older generation; the member then learns that it has to begin anew.
          await stepIn(steps, () => {
            const isOwner = world.owner[partition] === this.processor.id && !signal.aborted;
            if (isOwner && generation >= world.ownedSince[partition]!) world.committed[partition] = next;
          });
        }
      }
    }
    await handler.revoked(partition);
  }

  #poll(partition: number, from: number): RecordBatch {
    const { world } = this.with_;
    const all = world.raw[partition]!;
    const records = all.slice(from, from + 1 + Math.floor(world.random() * 5));
    return { partition, records, nextOffset: from + records.length, endOffset: all.length };
  }
}

function stepIn<T>(
  steps: Step[],
  take: () => T,
  { ready = () => true, isTimer = false }: { ready?: () => boolean; isTimer?: boolean } = {},
): Promise<T> {
  return new Promise((resolve, reject) => {
    steps.push({
      ready,
      isTimer,
      take() {
        try {
          resolve(take());
        } catch (error) {
          reject(error);
        }
      },
    });
  });
}

function storeOptions(world: World) {
  return {
    codeOf: (offer: Parameters<typeof fold>[0]) => offerCode(hashes, offer),
    foldOffer: world.leavesOut("current")
      ? ((offer, fact, person) => fold(offer, fact, { ...person, current: offer.id })) as typeof fold
      : fold,
  };
}

function openView(): DatabaseSync {
  return openViewToWrite(":memory:");
}

function endAt({ offset, value }: TopicRecord): ViewEnd {
  return { nextFact: offset + 1, last: { offset, hash: factHash(value) } };
}

function uuidOf(number: number): string {
  return `00000000-0000-4000-8000-${number.toString(16).padStart(12, "0")}`;
}

function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
