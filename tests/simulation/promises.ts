import { currentOf, type Offer, recipientOf } from "../../processor/offers/core/offer.ts";
import { type Earning, Oracle } from "./oracle.ts";
import { SimulatedPosthog } from "./posthog.ts";
import type { Simulation } from "./simulation.ts";
import { distinctId, hashes, PARTITIONS, type Produced, subjectOf, SUBJECTS, THRESHOLD } from "./terms.ts";

/** Which promises a world that has come to rest has broken; none is the only right answer. */
export function brokenPromises(simulation: Simulation): string[] {
  const before = simulation.failures.length > 0 ? [...simulation.failures] : [];
  const { views, persons, mails, offers, uses } = PROMISES;
  return [...before, ...[views, persons, mails, offers, uses].flatMap((of) => [...of(simulation)])];
}

function* views(simulation: Simulation): Generator<string> {
  const right = Oracle.dump(simulation.oracle.db);
  for (const { id, view } of simulation.processors) {
    if (Oracle.dump(view.db) !== right) {
      yield `the view of processor ${id} differs from the fold of all facts`;
    }
  }
}

/** Who is one person: whom PostHog has merged where its person.ids are shown, else by the order of event times. */
function* persons(simulation: Simulation): Generator<string> {
  const { oracle, posthog, options: { personsShown, provenOnly } } = simulation;
  const isKnown = personsShown && !provenOnly;
  const right = isKnown ? posthog : byEventTimes(simulation);
  const ids = Array.from({ length: SUBJECTS }, (_, who) => distinctId(who));
  const leftOut = new Set(nearErased(simulation));
  // Whoever the left out are joined to may be joined through them.
  const isLeftOut = (id: string) =>
    ids.some((other) =>
      leftOut.has(hashes.subject(other)) &&
      (right.areOne(id, other) || oracle.subjectsWith(hashes.subject(id)).includes(hashes.subject(other)))
    );
  const compared = ids.filter((id) => !isLeftOut(id));
  for (const a of compared) {
    const together = oracle.subjectsWith(hashes.subject(a));
    for (const b of compared.slice(compared.indexOf(a) + 1)) {
      const areOne = together.includes(hashes.subject(b));
      if (areOne && !right.areOne(a, b)) yield `${a} and ${b} are one person, whom PostHog keeps two`;
      if (!areOne && right.areOne(a, b)) yield `${a} and ${b} are two persons, whom PostHog has merged`;
    }
  }
}

function byEventTimes({ produced, options: { provenOnly } }: Simulation) {
  const all = produced.flatMap((records, partition) =>
    records.map((record, offset) => ({ ...record, partition, offset }))
  );
  const asked = all.filter(({ merge, proven }) => merge !== undefined && (proven || !provenOnly)).sort((
    a,
    b,
  ) => a.eventAt - b.eventAt || a.at - b.at || a.partition - b.partition || a.offset - b.offset);
  // Who has not been seen before cannot be told from who has: all are taken as known.
  const posthog = new SimulatedPosthog(Array.from({ length: SUBJECTS }, (_, who) => distinctId(who)));
  for (const { merge } of asked) posthog.ask(merge!);
  const byPerson = new Map<string, string[]>();
  for (const { who, person } of provenOnly ? [] : all) {
    if (who === null || person === undefined) continue;
    byPerson.set(person, [...byPerson.get(person) ?? [], distinctId(who)]);
  }
  const near = (id: string) => [
    ...Array.from({ length: SUBJECTS }, (_, who) => distinctId(who)).filter((other) =>
      posthog.areOne(id, other)
    ),
    ...[...byPerson.values()].filter((ids) => ids.includes(id)).flat(),
  ];
  return {
    areOne(a: string, b: string): boolean {
      const found = new Set([a]);
      for (const one of found) for (const other of near(one)) found.add(other);
      return found.has(b);
    },
  };
}

/** What an erasure took of one may have named another. */
function nearErased({ produced, touched }: Simulation): string[] {
  const erased = new Set([...touched, ...produced.flat().flatMap(({ subjects }) => subjects)]);
  const asked = produced.flat().flatMap(({ merge }) => merge === undefined ? [] : [merge]);
  const ends = asked.map(({ into, other }) => [into, other].map((id) => hashes.subject(id)));
  return [...erased, ...ends.filter((two) => two.some((one) => erased.has(one))).flat()];
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
    for (const { who, merge, person } of counting) {
      for (const other of who === null ? [] : othersOf(merge, provenOnly ? undefined : person)) {
        if (subjectOf(who!) === one) party.add(other);
        if (other === one) party.add(subjectOf(who!));
      }
    }
  }
  const theirs = counting.filter(({ who }) => who !== null && party.has(subjectOf(who)));
  return new Set(theirs.flatMap(({ mailbox }) => mailbox === undefined ? [] : [mailbox]));
}

function othersOf(merge: Produced["merge"], person: Produced["person"]): string[] {
  return [
    ...(merge === undefined ? [] : [hashes.subject(merge.other)]),
    ...(person === undefined ? [] : [person]),
  ];
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
    const isTouched = oracle.subjectsWith(subject).some((one) =>
      simulation.touched.has(one) || oracle.parted.has(one)
    );
    // A person of whom an erasure or a refused merge has taken something earns with the next event.
    if (person.uses >= THRESHOLD && !person.hasOffer && !isTouched) yield `never earned: user ${who}`;
  }
}

function offersWith(simulation: Simulation, subject: string): readonly Offer[] {
  return simulation.oracle.offersWith(subject).map(({ id }) => simulation.oracle.reader.offerNow(id)!.offer);
}

function* uses(simulation: Simulation): Generator<string> {
  const kept = new Map<string, { offset: number }>();
  for (
    const row of simulation.oracle.db.prepare(
      "select s.subject, uuid, offset from use u join subject s on s.id = u.subject",
    ).all()
  ) {
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

const PROMISES = { views, persons, mails, offers, uses };

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
