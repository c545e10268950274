import { currentOf, type Offer, recipientOf } from "../../processor/offers/core/offer.ts";
import { type Earning, Oracle } from "./oracle.ts";
import type { Simulation } from "./simulation.ts";
import { PARTITIONS, type Produced, subjectOf, SUBJECTS, THRESHOLD } from "./terms.ts";

/** Which promises a world that has come to rest has broken; none is the only right answer. */
export function brokenPromises(simulation: Simulation): string[] {
  const before = simulation.failures.length > 0 ? [...simulation.failures] : [];
  return [...before, ...views(simulation), ...mails(simulation), ...offers(simulation), ...uses(simulation)];
}

function* views(simulation: Simulation): Generator<string> {
  const right = Oracle.dump(simulation.oracle.db);
  for (const { id, view } of simulation.processors) {
    if (Oracle.dump(view.db) !== right) {
      yield `the view of processor ${id} differs from the fold of all facts`;
    }
  }
}

function* mails(simulation: Simulation): Generator<string> {
  const { held } = simulation.oracle;
  const offerOf = new Map(held.map(({ claim }) => [claim.messageId, claim.offer]));
  const most = simulation.options.onUnknown === "hold" ? 1 : 2;
  for (const mailbox of new Set(simulation.mails.map((mail) => mail.mailbox))) {
    const sent = simulation.mails.filter((mail) => mail.mailbox === mailbox);
    if (sent.length > most) yield `mailbox mailed ${sent.length} times`;
    if (new Set(sent.map(({ messageId }) => offerOf.get(messageId))).size > 1) {
      yield "mailbox mailed for two offers";
    }
    if (new Set(sent.map(({ messageId }) => messageId)).size > 1) yield "mailed twice under two Message-IDs";
    if (sent.length === 2 && !saidUnknown(simulation, offerOf.get(sent[0]!.messageId))) {
      yield "mailbox mailed twice without an unknown";
    }
  }
  for (const mail of simulation.mails) {
    const claims = held.filter(({ claim }) => claim.messageId === mail.messageId);
    if (claims.length === 0) yield "mailed without a claim that held";
    else if (!claims.some(({ claim }) => claim.mailbox === mail.mailbox)) {
      yield "mailed to another mailbox than claimed";
    } else if (claims.every(({ claim, dueAt }) => outBy(simulation, { subject: claim.subject, dueAt }))) {
      yield "mailed though an opt-out lay in the topic when it was due";
    }
  }
  for (const { claim, earning } of held) {
    if (!mayGoTo(simulation, earning).has(claim.mailbox)) {
      yield `offer ${claim.offer} went to an address that came unproven, or after it was earned`;
    }
  }
}

/** What an offer may go to, from what users did and nothing else; what an erasure took is not taken off. */
function mayGoTo(
  { produced, options: { provenOnly } }: Simulation,
  { root, until }: Earning,
): ReadonlySet<string> {
  const counting = produced.flat().filter(({ at, proven }) => provenOnly ? proven : at <= until);
  const party = new Set([root]);
  for (const one of party) {
    for (const { who, other } of counting) {
      if (who === null || other === undefined) continue;
      if (subjectOf(who) === one) party.add(other);
      if (other === one) party.add(subjectOf(who));
    }
  }
  const theirs = counting.filter(({ who }) => who !== null && party.has(subjectOf(who)));
  return new Set(theirs.flatMap(({ mailbox }) => mailbox === undefined ? [] : [mailbox]));
}

function saidUnknown(simulation: Simulation, offer: number | undefined): boolean {
  const decoder = new TextDecoder();
  return simulation.facts.some(({ value }) => {
    const fact = JSON.parse(decoder.decode(value));
    return fact.fact === "unknown" && fact.offer === offer;
  });
}

function outBy(simulation: Simulation, { subject, dueAt }: { subject: string; dueAt: number }): boolean {
  return simulation.produced.flat().some(({ kind, who, at }) =>
    kind === "opt-out" && who !== null && subjectOf(who) === subject && at < dueAt
  );
}

function* offers(simulation: Simulation): Generator<string> {
  const { oracle } = simulation;
  if (oracle.unearned.length > 0) yield `an offer was claimed without its uses: ${oracle.unearned}`;
  if (oracle.doubles.length > 0) yield `a second offer of a person was claimed: ${oracle.doubles}`;
  const all = oracle.db.prepare("select body from offer order by id").all();
  for (const offer of all.map((row): Offer => JSON.parse((row as { body: string }).body))) {
    const now = oracle.reader.offerNow(offer.id)!;
    if (offer.state.is === "sending") yield `offer ${offer.id} is stuck in sending`;
    if (offer.state.is === "waiting" && now.isCurrent && recipientOf(now, simulation.policy) !== null) {
      yield `offer ${offer.id} is stuck in waiting`;
    }
    if (now.isCurrent !== (currentOf(offersWith(simulation, offer.subject))?.id === offer.id)) {
      yield "current differs";
    }
  }
  for (let who = 0; who < SUBJECTS; who++) {
    const subject = subjectOf(who);
    const person = oracle.reader.personOf(subject);
    const isTouched = oracle.subjectsWith(subject).some((one) => simulation.touched.has(one));
    // A person whom an erasure touched earns with the next use.
    if (person.uses >= THRESHOLD && !person.hasOffer && !isTouched) yield `never earned: user ${who}`;
  }
}

function offersWith(simulation: Simulation, subject: string): readonly Offer[] {
  return simulation.oracle.offersWith(subject).map(({ id }) => simulation.oracle.reader.offerNow(id)!.offer);
}

function* uses(simulation: Simulation): Generator<string> {
  const kept = new Map<string, { offset: number }>();
  for (const row of simulation.oracle.db.prepare("select subject, uuid, offset from use").all()) {
    const { subject, uuid, offset } = row as { subject: string; uuid: string; offset: number };
    kept.set(`${subject} ${uuid}`, { offset });
  }
  const countOf = (subject: string) => [...kept.keys()].filter((key) => key.startsWith(subject)).length;
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const records = simulation.produced[partition]!;
    for (const [offset, use] of records.entries()) {
      if (use.kind !== "use") continue;
      const subject = subjectOf(use.who!);
      const erasure = lastErasure(records, subject);
      const row = kept.get(`${subject} ${use.uuid}`);
      if (offset < erasure.offset && row !== undefined && row.offset <= offset) {
        yield `a use before an erasure counts: ${partition}:${offset}`;
      }
      const first = records.findIndex(({ uuid }) => uuid === use.uuid);
      const isNew = first > erasure.offset && use.eventAt > erasedAt(simulation, subject);
      if (isNew && row === undefined && countOf(subject) < THRESHOLD) {
        yield `use lost: ${partition}:${offset}`;
      }
      const isPast = offset > erasure.offset && use.eventAt <= erasure.at;
      if (isPast && row !== undefined) yield `a late use of an erased person counts: ${partition}:${offset}`;
    }
  }
}

function lastErasure(records: readonly Produced[], subject: string): { offset: number; at: number } {
  const offset = records.findLastIndex(({ kind, subjects }) =>
    kind === "erase" && subjects.includes(subject)
  );
  return { offset, at: records[offset]?.eventAt ?? -Infinity };
}

function erasedAt(simulation: Simulation, subject: string): number {
  return Math.max(
    -Infinity,
    ...simulation.produced.flat().filter(({ subjects }) => subjects.includes(subject)).map(({ eventAt }) =>
      eventAt
    ),
  );
}
