import { createEmailProofs } from "../../contract/email_proof.ts";
import { isErasure, readLabel } from "../../contract/envelope.ts";
import { DISCOUNT_OFFERS_GROUP, WEBHOOKS_TOPIC } from "../../contract/names.ts";
import type { TraceStep } from "../../contract/trace_step.ts";
import type { Consumption, PartitionHandler, RecordBatch, TopicRecord } from "../../topic/topic.ts";
import { besideView, viewIsUpToDate, type ViewWatch } from "./view_watch.ts";
import { after, type ArmingEvent, decideChunk, decideEarned, type DecidePorts } from "./chunk_facts.ts";
import { isTracing } from "../../runtime/telemetry/tracing.ts";
import { traceHandled } from "../../topic/record_spans.ts";
import { consumeGroup, retrying, type Trouble } from "../loop/consume.ts";
import type { OfferLoopDependencies } from "./policy.ts";
import type { Fact, FactOf } from "../facts/facts.ts";
import { recipientOf } from "./core/offer.ts";
import { createGlancer } from "./core/glance.ts";
import { notedSteps } from "./core/noted.ts";
import { type OfferInput, readOfferInput } from "./core/product_event.ts";
import { createFactPublisher, publishFacts } from "../facts/topic.ts";
import { DeadLetterIndex } from "../dead_letters/positions.ts";
import { type HealthReport, reportHealth } from "../loop/health.ts";
import { standingOf } from "../loop/standing.ts";
import { isNearTheEnd, type LoopDependencies, TRACE_STEPS_PER_CHUNK_MAX } from "../loop/loop.ts";
import { createPersonHashes } from "./person_hashes.ts";
import { createSettledPeople } from "./settled_people.ts";
import { refuseOtherTopic, rememberTopic } from "./topic_check.ts";

/**
 * Group discount-offers: turns each record of its partitions into facts that are true whatever else happens, publishes
 * them, waits until this process's view has applied them, publishes what was earned, and only then lets the offset be
 * committed. Doing a chunk again harms nothing: what the view holds is not published again, and repeats change nothing.
 */
export type DiscountOffersPorts = LoopDependencies & Pick<DecidePorts, "store" | "policy" | "proofs"> & {
  readonly view: ViewWatch;
  /** Told whenever the partitions of this process change. */
  readonly announce: (partitions: readonly number[]) => void;
  /** A distinct_id as the dataset has it. */
  readonly lineId: (distinctId: string) => string | Promise<string>;
};

/** The loop as main starts it. */
export async function runDiscountOffers(deps: OfferLoopDependencies): Promise<void> {
  const { discount: policy, identitySecret } = deps.config;
  const proofs = identitySecret === null ? null : createEmailProofs(identitySecret);
  await besideView(
    deps,
    ({ store, view, channel: { announce } }) =>
      decideOffers({ ...deps, policy, proofs, store, view, announce }),
  );
}

/**
 * Most records of a chunk. However many they are, they cost one state of the view, one publish, one wait for the view
 * and one commit.
 */
const CHUNK_RECORDS_MAX = 2_000;

/** Resolves once `signal` aborts and the chunk in hand is done; rejects with what no retry helps against. */
export async function decideOffers(ports: DiscountOffersPorts): Promise<void> {
  const { log, clock, report, signal } = ports;
  const health = reportHealth(report);
  health("starting", "waits for the offer view to reach the facts' end");
  if (!(await viewIsUpToDate(ports))) return;
  const trouble = ({ error, waitMs }: Omit<Trouble, "partition">) =>
    health("waiting", `${error.message}; tries again in ${waitMs} ms`);
  await retrying(() => rememberTopic(ports), { clock, signal, trouble });
  health("starting", `joins ${DISCOUNT_OFFERS_GROUP}`);
  await consumeGroup(log, {
    topic: WEBHOOKS_TOPIC,
    group: DISCOUNT_OFFERS_GROUP,
    handler: createHandler(ports),
    unreadable: new DeadLetterIndex(log).unreadable,
    batchRecordsMax: CHUNK_RECORDS_MAX,
    clock,
    signal,
    started: (consumption) => void reportMembership(consumption, { ports, health }),
    trouble,
  });
}

/** Between two looks at the membership, and before it is joined for the first time, for which a start waits. */
const MEMBERSHIP_POLL_MS = 500;
const JOINING_POLL_MS = 10;

/** Tells where the membership stands, until `signal` aborts. */
export async function reportMembership(
  consumption: Pick<Consumption, "state">,
  { ports: { clock, signal, report }, health }: {
    ports: Pick<DiscountOffersPorts, "clock" | "signal" | "report">;
    health: HealthReport;
  },
): Promise<void> {
  let reported = "";
  let logged: string | undefined;
  let hasJoined = false;
  while (!signal.aborted) {
    const state = consumption.state();
    const standing = standingOf(state);
    const now = JSON.stringify({ ...state, standing });
    if (now !== reported) {
      if (state.is === "joined") health("ready", null, state.partitions, standing);
      else health("waiting", state.reason ?? `joins ${DISCOUNT_OFFERS_GROUP}`, state.partitions, standing);
      if (state.is === "joined") logged = undefined;
      if (state.reason !== undefined && state.reason !== logged) {
        logged = state.reason;
        report({ kind: "log", level: "warn", text: state.reason });
      }
    }
    reported = now;
    hasJoined ||= state.is === "joined";
    await clock.wait(hasJoined ? MEMBERSHIP_POLL_MS : JOINING_POLL_MS, signal);
  }
}

function createHandler(ports: DiscountOffersPorts): PartitionHandler {
  const { store, log, faultPoint, announce } = ports;
  const owned = new Set<number>();
  const handled = new Set<number>();
  const decider = createDecider(ports);
  return {
    async assigned(partition, { signal }) {
      owned.add(partition);
      announce([...owned]);
      await refuseOtherTopic(ports);
      // What the owner before has published and committed past: an erasure that this view lacks would hide later uses.
      if (!(await viewIsUpToDate({ ...ports, signal: AbortSignal.any([ports.signal, signal]) }))) return null;
      const before = store.notCaughtUp().get(partition);
      if (before === undefined) return null;
      // Facts were lost: a committed offset from before says nothing, one below was committed on the way through.
      const committed = (await log.committed(WEBHOOKS_TOPIC, DISCOUNT_OFFERS_GROUP))[partition] ?? null;
      const { startOffset } = await log.boundsOf(WEBHOOKS_TOPIC, partition);
      if (startOffset >= before) await decider.caughtUp(partition, before);
      return committed !== null && committed < before ? null : 0;
    },
    async handle(batch, { signal }) {
      if (handled.delete(batch.partition)) faultPoint("offers.committed");
      if (!(await decider.decide(batch, signal))) return "reassign";
      handled.add(batch.partition);
      return "handled";
    },
    revoked(partition) {
      owned.delete(partition);
      handled.delete(partition);
      announce([...owned]);
      return Promise.resolve();
    },
  };
}

function createDecider(ports: DiscountOffersPorts) {
  const { log, store, view, hashes, clock, report, faultPoint } = ports;
  const deciding: DecidePorts = {
    store,
    policy: ports.policy,
    proofs: ports.proofs,
    hashes: createPersonHashes(hashes),
    settled: createSettledPeople(),
  };
  const glanceAt = createGlancer();
  const publishInTurn = createFactPublisher(log);
  let settledAt = store.end().nextFact;

  /** One state of the view for everything that is read inside; people touched since the last look are settled no more. */
  const look = <T>(read: () => T): T =>
    store.snapshot(() => {
      const { nextFact } = store.end();
      if (nextFact > settledAt) deciding.settled.drop(store.touchedSince(settledAt));
      settledAt = nextFact;
      return read();
    });

  /** What must be decided. Most records are of settled people, and are passed over without being read whole. */
  function* unsettled(records: readonly TopicRecord[]): Generator<OfferInput> {
    for (const record of records) {
      // What has a source is no live event.
      const glance = record.headers.source === undefined ? glanceAt(record.value) : null;
      if (deciding.settled.passes(glance)) continue;
      const input = readOfferInput(record);
      yield input.is === "event" ? { ...input, glance } : input;
    }
  }

  /** `told` gathers what was published. */
  type Publishing = { readonly signal: AbortSignal; readonly told: Fact[]; readonly isShown: boolean };

  const publish = async (facts: readonly Fact[], { signal, told }: Publishing): Promise<boolean> => {
    for (const fact of facts) told.push(fact);
    report({ kind: "count", counter: "facts", by: facts.length });
    const end = await publishInTurn(facts);
    faultPoint("offers.published");
    return await view.applied(end, signal);
  };

  /** False where `signal` aborted on the way: nothing may be committed. */
  const decideSection = async (records: readonly TopicRecord[], publishing: Publishing): Promise<boolean> => {
    const { facts, arming, ignored } = look(() => decideChunk(unsettled(records), deciding));
    if (ignored > 0) report({ kind: "count", counter: "ignored", by: ignored });
    if (facts.length > 0 && !(await publish(facts, publishing))) return false;
    faultPoint("offers.applied");
    const earned = arming.length === 0 ? [] : look(() => decideEarned(arming, deciding));
    if (publishing.isShown) look(() => reportCounted(facts, { arming, ports }));
    if (earned.length === 0) return true;
    const isApplied = await publish(earned, publishing);
    faultPoint("offers.earned");
    await reportEarned(earned, { arming, ports });
    return isApplied;
  };

  const caughtUp = async (partition: number, offset: number): Promise<void> => {
    const { fingerprint } = hashes;
    const at = clock.now();
    await publishFacts(log, [{ fact: "secret", at, fingerprint, caughtUp: { [partition]: offset } }]);
  };

  return {
    caughtUp,
    async decide(batch: RecordBatch, signal: AbortSignal): Promise<boolean> {
      const from = clock.now();
      const told: Fact[] = [];
      const isShown = isNearTheEnd(batch);
      const publishing = { signal, told, isShown };
      report({ kind: "count", counter: "records", by: batch.records.length });
      for (const section of sections(batch.records)) {
        if (!(await decideSection(section, publishing))) return false;
      }
      if (isShown) reportNoted(batch, { facts: told, ports });
      if (isTracing) traceFacts(told, { batch, from, to: clock.now() });
      const before = store.notCaughtUp().get(batch.partition);
      if (before !== undefined && batch.nextOffset >= before) await caughtUp(batch.partition, before);
      return true;
    },
  };
}

/** An erasure ends a section: what comes after it must be looked at with the erased gone from the view. */
function sections(records: readonly TopicRecord[]): readonly (readonly TopicRecord[])[] {
  const found: (readonly TopicRecord[])[] = [];
  let begin = 0;
  for (const [i, { headers }] of records.entries()) {
    if (headers.source === undefined || !isErasure(readLabel(headers))) continue;
    found.push(records.slice(begin, i + 1));
    begin = i + 1;
  }
  if (begin < records.length) found.push(begin === 0 ? records : records.slice(begin));
  return found;
}

/** Tells OpenTelemetry which facts each record has brought; of one that brought none nothing. */
function traceFacts(
  facts: readonly Fact[],
  { batch, from, to }: { readonly batch: RecordBatch; readonly from: number; readonly to: number },
): void {
  const kinds = Map.groupBy(facts, (fact) => "position" in fact ? fact.position.offset : -1);
  const handled = batch.records.flatMap((record) => {
    const brought = kinds.get(record.offset)?.map(({ fact }) => fact);
    return brought ? [{ record, attributes: { "pipeline.facts": brought } }] : [];
  });
  traceHandled(handled, { topic: WEBHOOKS_TOPIC, group: DISCOUNT_OFFERS_GROUP, from, to });
}

type Reporting = { readonly arming: readonly ArmingEvent[]; readonly ports: DiscountOffersPorts };

function reportCounted(facts: readonly Fact[], { ports: { store, policy, clock, report } }: Reporting): void {
  const counted = facts.filter((fact): fact is FactOf<"counted"> => fact.fact === "counted");
  if (counted.length === 0) return;
  const at = new Date(clock.now()).toISOString();
  const steps = counted.slice(-TRACE_STEPS_PER_CHUNK_MAX).map(({ subject, uuid, position }): TraceStep => {
    const uses = store.usesBefore(subject, after(position));
    return { step: "counted", id: uuid, uses, threshold: policy.threshold, at };
  });
  report({ kind: "steps", steps });
}

function reportNoted(
  { records }: RecordBatch,
  { facts, ports: { clock, report } }: {
    readonly facts: readonly Fact[];
    readonly ports: DiscountOffersPorts;
  },
): void {
  const at = new Date(clock.now()).toISOString();
  const steps = notedSteps(records.slice(-TRACE_STEPS_PER_CHUNK_MAX), { facts, at });
  if (steps.length > 0) report({ kind: "steps", steps });
}

/** Tells only of what holds: another processor may have been first. */
async function reportEarned(
  earned: readonly FactOf<"earned">[],
  { arming, ports }: Reporting,
): Promise<void> {
  const { store, clock, report, lineId, policy } = ports;
  const at = new Date(clock.now()).toISOString();
  const steps: TraceStep[] = [];
  for (const { subject, position, dueAt } of earned.slice(-TRACE_STEPS_PER_CHUNK_MAX)) {
    const offer = store.offerOf(subject);
    const { event } = arming.find(({ event }) => event.position.offset === position.offset)!;
    if (offer === null || offer.offer.position.offset !== position.offset) continue;
    steps.push({
      step: "earned",
      id: event.id,
      offer: String(offer.offer.id),
      distinctId: await lineId(event.distinctId),
      dueAt: new Date(dueAt).toISOString(),
      addressKnown: recipientOf(offer, policy) !== null,
      at,
    });
  }
  if (steps.length > 0) report({ kind: "steps", steps });
}
