import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createEmailProofs, EMAIL_PROOF } from "../../contract/email_proof.ts";
import { DatabaseSync } from "node:sqlite";
import { openPersons } from "../../demo/stand_in/persons.ts";
import { until } from "../../tests/support/until.ts";
import { encodeFact } from "../facts/encode.ts";
import type { Fact } from "../facts/facts.ts";
import type { RecordToPublish } from "../../topic/topic.ts";
import { decideChunk, decideEarned, type DecidePorts } from "./chunk_facts.ts";
import { readOfferInput } from "./core/product_event.ts";
import {
  deleteView,
  erasure,
  type EventOptions,
  handClock,
  hashes,
  look,
  mailsIn,
  newPlace,
  settled,
  START,
  uses,
  webhook,
  whileRunning,
} from "./fixtures/run.ts";
import { createPersonHashes } from "./person_hashes.ts";
import { createSettledPeople } from "./settled_people.ts";
import { createOfferStoreReader } from "./sqlite/reader.ts";
import { openViewToWrite } from "./sqlite/schema.ts";
import { createOfferStatusReader } from "./sqlite/status_reader.ts";
import { createOfferStoreWriter } from "./sqlite/writer.ts";

/**
 * Two users signed in on one device without reset() between them. PostHog keeps them two; here they were one person: one
 * offer for both, their uses counted together, and the erasure of one took the other.
 */
const proofs = createEmailProofs("the application's server knows it");
const policy = { threshold: 5, waitMs: 120_000, eventAgeMsMax: 7 * 86_400_000, provenOnly: false };

let db: DatabaseSync;
beforeEach(() => void (db = openViewToWrite(":memory:")));
afterEach(() => db.close());

/** The offers over a view in memory: each record decided and applied before the next one. */
function offers(more: Partial<DecidePorts> = {}) {
  const writer = createOfferStoreWriter(db, { codeOf: () => "CODE" });
  const store = createOfferStoreReader(db);
  const [settled, personHashes] = [createSettledPeople(), createPersonHashes(hashes)];
  const ports: DecidePorts = { store, settled, hashes: personHashes, policy, proofs: null, ...more };
  const shown = createOfferStatusReader(db, { threshold: 5, provenOnly: false });
  const facts: Fact[] = [];
  let offset = 0;
  const apply = (brought: readonly Fact[]) => {
    for (const fact of brought) {
      const text = new TextDecoder().decode(encodeFact(fact).value);
      writer.apply([{ offset: facts.length, fact, text }], { nextFact: facts.length + 1, last: null });
      facts.push(fact);
    }
    ports.settled.drop(store.touchedSince(facts.length - brought.length));
  };
  return {
    facts,
    apply,
    pass(records: readonly RecordToPublish[]) {
      for (const record of records) {
        const chunk = decideChunk([readOfferInput({ ...record, partition: 0, offset: offset++ })], ports);
        apply(chunk.facts);
        apply(decideEarned(chunk.arming, ports));
      }
    },
    /** Who is one person with each of these, of these: `ada+anon eve`. */
    persons(...ids: string[]): string {
      const person = new Map<number | null, string[]>();
      for (const id of ids) {
        const { id: of } = store.personOf(hashes.subject(id));
        person.set(of, [...person.get(of) ?? [], id]);
      }
      return [...person.values()].map((one) => one.join("+")).join(" ");
    },
    usesOf: (id: string) => store.personOf(hashes.subject(id)).uses,
    stateOf: (id: string) => shown.offerOf(id, hashes)?.state,
    named: (id: string) => shown.subjectsToErase(hashes.subject(id)),
    timelineOf: (id: string) => shown.offerOf(id, hashes)!.timeline.map(({ what }) => what),
  };
}

type Said = Omit<EventOptions, "eventAt" | "receivedAt"> & { readonly late?: number };
const at = (seconds: number, { late = 0, ...more }: Said = {}): EventOptions => ({
  ...more,
  eventAt: START + seconds * 1000,
  receivedAt: START + (seconds + late) * 1000,
});
const identify = (seconds: number, id: string, other: string, more: Said = {}) =>
  webhook(
    "$identify",
    id,
    at(seconds, { ...more, properties: { $anon_distinct_id: other, ...more.properties } }),
  );
const alias = (seconds: number, id: string, other: string, more: Said = {}) =>
  webhook("$create_alias", id, at(seconds, { ...more, properties: { alias: other } }));
const force = (seconds: number, id: string, other: string, more: Said = {}) =>
  webhook("$merge_dangerously", id, at(seconds, { ...more, properties: { alias: other } }));
const visit = (seconds: number, id: string, personId: string) =>
  webhook("$pageview", id, at(seconds, { personId }));

function permutations<T>(all: readonly T[]): readonly (readonly T[])[] {
  if (all.length < 2) return [all];
  return all.flatMap((one, i) => permutations(all.toSpliced(i, 1)).map((rest) => [one, ...rest]));
}

describe("whom PostHog merges, told by event times alone, in whatever order they come", () => {
  const [ada, eve] = [identify(1, "ada", "anon"), identify(2, "eve", "anon-2")];
  it.each<[string, readonly RecordToPublish[], string]>([
    ["an anonymous id and who signs in", [ada], "ada+anon eve anon-2"],
    ["two users of one device, each after reset()", [ada, eve], "ada+anon eve+anon-2"],
    ["two users of one device without reset()", [ada, eve, identify(3, "eve", "ada")], "ada+anon eve+anon-2"],
    [
      "one anonymous id, claimed by two users in turn",
      [ada, identify(3, "eve", "anon")],
      "ada+anon eve anon-2",
    ],
    ["the other user first", [identify(0, "eve", "anon"), ada], "ada anon+eve anon-2"],
    ["the two users the other way round", [ada, eve, identify(3, "ada", "eve")], "ada+anon eve+anon-2"],
    ["by $create_alias, one way", [ada, eve, alias(3, "eve", "ada")], "ada+anon eve+anon-2"],
    ["by $create_alias, and the other", [ada, eve, alias(3, "ada", "eve")], "ada+anon eve+anon-2"],
    ["an alias of somebody never identified", [ada, alias(3, "ada", "eve")], "ada+anon+eve anon-2"],
    ["an alias told both ways", [alias(1, "ada", "anon"), alias(2, "anon", "ada")], "ada+anon eve anon-2"],
    ["a refused request identifies its own id too", [
      ada,
      alias(2, "eve", "ada"),
      identify(3, "anon-2", "eve"),
    ], "ada+anon eve anon-2"],
    ["by $merge_dangerously", [ada, eve, force(3, "eve", "ada")], "ada+anon+eve+anon-2"],
    ["refused, then forced", [ada, alias(2, "eve", "ada"), force(3, "eve", "ada")], "ada+anon+eve anon-2"],
    [
      "forced twice, and named in between",
      [force(1, "ada", "anon"), identify(2, "eve", "ada"), force(3, "ada", "anon")],
      "ada+anon eve anon-2",
    ],
    ["the same request again", [ada, identify(5, "ada", "anon"), eve], "ada+anon eve+anon-2"],
    [
      "refused, and the same was asked before",
      [ada, alias(0, "eve", "anon"), alias(5, "eve", "anon")],
      "ada anon+eve anon-2",
    ],
    [
      "an id that PostHog joins nobody by",
      [identify(1, "ada", "guest"), identify(2, "eve", "guest")],
      "ada anon eve anon-2",
    ],
  ])("%s", (_, records, right) => {
    for (const order of permutations(records)) {
      db.close();
      db = openViewToWrite(":memory:");
      const { pass, persons } = offers();
      // Everybody is known to the view, so that who is nobody's is a person too.
      pass(["ada", "anon", "eve", "anon-2"].flatMap((id) => uses(1, id)));
      pass(order);
      const told = persons("ada", "anon", "eve", "anon-2").split(" ").map((one) =>
        one.split("+").sort().join("+")
      );
      expect(told.sort().join(" ")).toBe(
        right.split(" ").map((one) => one.split("+").sort().join("+")).sort().join(" "),
      );
    }
  });
});

it("a request that says it is older than a delivery takes comes too late: anybody may say so", () => {
  const { pass, persons } = offers();
  pass([identify(100_000, "ada", "anon"), identify(1, "mallory", "anon", { late: 100_100 })]);
  pass([identify(1, "mallory", "ada", { late: 100_101 })]);
  expect(persons("ada", "anon", "mallory")).toBe("ada+anon mallory");
  // An operator brings what happened before.
  pass([identify(2, "eve", "anon", { source: "backfill", late: 100_102 })]);
  expect(persons("ada", "anon", "eve")).toBe("ada anon+eve");
});

describe("what PostHog's person.ids show is the stronger word", () => {
  it("another one later parts what event times had joined, and the same one joins what they had not", () => {
    const { pass, persons } = offers();
    pass([alias(1, "eve", "ada", { personId: "of-eve" })]);
    expect(persons("ada", "eve")).toBe("ada+eve");
    // Ada was identified before any webhook came here.
    pass([visit(2, "ada", "of-ada")]);
    expect(persons("ada", "eve")).toBe("ada eve");
    pass([identify(3, "kim", "ada", { personId: "of-ada" })]);
    expect(persons("ada", "eve", "kim")).toBe("ada+kim eve");
  });

  it("what may have been before the request says nothing: an older event, one on its way, a clock ahead", () => {
    const { pass, persons } = offers();
    pass([visit(0, "anon", "of-anon"), identify(10, "ada", "anon", { personId: "of-ada", late: 5 })]);
    pass([webhook("$pageview", "anon", at(9, { personId: "of-anon", late: 20 }))]);
    pass([webhook("$pageview", "anon", at(14, { personId: "of-anon", late: 20 }))]);
    pass([
      webhook("$pageview", "anon", {
        personId: "of-anon",
        eventAt: START + 60_000,
        receivedAt: START + 14_000,
      }),
    ]);
    expect(persons("ada", "anon")).toBe("ada+anon");
    pass([visit(16, "anon", "of-anon")]);
    expect(persons("ada", "anon")).toBe("ada anon");
  });

  it("it is told once per request, and a settled person is looked at until it is", () => {
    const { pass, facts, persons } = offers();
    pass([...uses(6, "ada", at(0, { personId: "of-ada" })), alias(10, "eve", "ada", { personId: "of-eve" })]);
    const before = facts.length;
    pass([visit(5, "ada", "of-ada"), visit(6, "ada", "of-ada")]);
    expect(facts).toHaveLength(before);
    pass([visit(11, "ada", "of-ada"), visit(12, "ada", "of-ada"), visit(13, "ada", "of-ada")]);
    expect(facts.slice(before).map(({ fact }) => fact)).toEqual(["joined"]);
    expect(persons("ada", "eve")).toBe("ada eve");
  });

  it("holds no id and no person.id, but keyed hashes", () => {
    const { pass, facts } = offers();
    pass([identify(1, "ada", "anon", { personId: "of-ada" })]);
    expect(facts).toMatchObject([
      { fact: "merge_asked", other: hashes.subject("anon"), person: hashes.personSubject("of-ada") },
      { fact: "joined", other: hashes.personSubject("of-ada") },
    ]);
    expect(JSON.stringify(facts)).not.toMatch(/"(ada|anon|of-ada)"/);
  });
});

describe("what two have who turn out to be two", () => {
  const joined = () => {
    const all = offers();
    all.pass([...uses(3, "ada", at(0, { email: "ada@example.org" })), ...uses(2, "eve", at(0))]);
    all.pass([alias(10, "eve", "ada")]);
    expect([all.stateOf("ada"), all.usesOf("ada")]).toEqual(["waiting", 5]);
    return all;
  };
  const earlier = identify(5, "ada", "anon", { late: 30 });

  it("an offer that waits goes with the uses that earned it, and each counts on alone", () => {
    const { pass, stateOf, usesOf, persons } = joined();
    pass([earlier]);
    expect(persons("ada", "anon", "eve")).toBe("ada+anon eve");
    expect(["ada", "eve"].map((id) => [stateOf(id), usesOf(id)])).toEqual([["counting", 3], ["counting", 2]]);
    pass([...uses(2, "ada", at(40)), ...uses(3, "eve", at(40))]);
    expect(["ada", "eve"].map(stateOf)).toEqual(["waiting", "waiting"]);
  });

  it("an offer that was mailed stays, where it was earned", () => {
    const { pass, apply, stateOf, facts } = joined();
    const offer = facts.findIndex(({ fact }) => fact === "earned");
    const { subject } = facts[offer] as { subject: string };
    const by = { dataDir: "d", start: 1, claim: 1 };
    const attempt = { subject, at: START + 20_000, offer, attempt: 1, by };
    apply([
      { fact: "claimed", ...attempt, mailbox: hashes.mailbox("ada@example.org"), messageId: "<1@x>" },
      { fact: "accepted", ...attempt, words: "250" },
    ]);
    pass([earlier]);
    expect([stateOf("ada"), stateOf("eve")].sort()).toEqual(["counting", "offered"]);
  });

  it("an opt-out stays with the id that opted out, an address with its own", () => {
    const { pass, stateOf, persons } = joined();
    pass([webhook("email_unsubscribed", "ada", at(11)), earlier, ...uses(5, "eve", at(40))]);
    expect(persons("ada", "eve")).toBe("ada eve");
    expect([stateOf("ada"), stateOf("eve")]).toEqual(["closed", "waiting"]);
    const { newest_mailbox } = db.prepare(
      "select newest_mailbox from person p join subject s on s.person = p.id where s.subject = ?",
    ).get(hashes.subject("eve")) as { newest_mailbox: string | null };
    expect(newest_mailbox).toBeNull();
  });

  it("the erasure of one does not name the other", () => {
    const { pass, named } = joined();
    expect(named("ada")).toContain(hashes.subject("eve"));
    pass([earlier]);
    expect(named("ada")).toEqual([hashes.subject("ada"), hashes.subject("anon")].sort());
    expect(named("eve")).toEqual([hashes.subject("eve")]);
  });

  it("the timeline says what became of a request", () => {
    const { pass, timelineOf } = joined();
    expect(timelineOf("eve")).toContain("two ids are one person, by $create_alias (record 0:5)");
    pass([earlier]);
    expect(timelineOf("eve").join("\n")).toMatch(
      /PostHog keeps them two: \$create_alias named an id that is identified as another person \(record 0:5\)/,
    );
    expect(timelineOf("ada").join("\n")).toContain("two ids are one person, by $identify");
  });

  it("the same is so of a view that is built again from the facts", () => {
    const { pass, facts, persons } = joined();
    pass([earlier, ...uses(3, "eve", at(40)), identify(41, "kim", "anon"), force(42, "kim", "eve")]);
    const before = persons("ada", "anon", "eve", "kim");
    const dump = () => db.prepare("select * from joined order by a, b").all();
    const rows = dump();
    db.close();
    db = openViewToWrite(":memory:");
    const again = offers();
    again.apply(facts);
    expect([again.persons("ada", "anon", "eve", "kim"), dump()]).toEqual([before, rows]);
    expect(before).toBe("ada+anon eve+kim");
  });
});

describe("an erasure", () => {
  it("of who claimed an id first lets a later claim hold, though that came before the erasure", () => {
    const { apply, pass, persons } = offers();
    pass([identify(1, "ada", "anon"), ...uses(1, "eve", at(2))]);
    const from = { subject: hashes.subject("eve"), at: START + 3_000, position: { partition: 1, offset: 0 } };
    apply([{
      fact: "merge_asked",
      ...from,
      other: hashes.subject("anon"),
      how: "alias",
      askedAt: START + 3_000,
    }]);
    expect(persons("anon", "eve")).toBe("anon eve");
    pass([erasure([hashes.subject("ada"), hashes.subject("anon")], START + 10_000)[0]!]);
    expect(persons("anon", "eve")).toBe("anon+eve");
  });
});

describe("facts of before requests were judged", () => {
  const position = { partition: 0, offset: 0 };
  const told = (subject: string, other: string): Fact => ({
    fact: "joined",
    ...{ subject: hashes.subject(subject), other, at: START, position },
  });

  it("mean what they meant: two ids are one person for good", () => {
    const { apply, pass, persons } = offers();
    apply([told("eve", hashes.subject("ada")), told("ada", hashes.personSubject("of-ada"))]);
    pass([identify(-5, "ada", "anon"), visit(9, "ada", "of-ada"), visit(9, "eve", "of-eve")]);
    pass([alias(10, "eve", "ada", { personId: "of-eve" }), visit(11, "ada", "of-ada")]);
    expect(persons("ada", "eve", "anon")).toBe("ada+eve+anon");
  });

  it("name their ids, so that a later claim of one is refused", () => {
    const { apply, pass, persons } = offers();
    apply([told("ada", hashes.subject("anon"))]);
    pass([identify(5, "eve", "anon")]);
    expect(persons("ada", "anon", "eve")).toBe("ada+anon eve");
  });
});

it("with IDENTITY_SECRET only proven requests count, for a join and against one, and no person.id does", () => {
  const { pass, persons } = offers({ proofs });
  const proven = (seconds: number, id: string, other: string) =>
    identify(seconds, id, other, { personId: id, properties: { [EMAIL_PROOF]: proofs.make(id, other) } });
  pass([
    identify(1, "mallory", "anon"),
    proven(2, "ada", "anon"),
    proven(3, "eve", "anon"),
    visit(9, "anon", "x"),
  ]);
  expect(persons("mallory", "ada", "anon", "eve")).toBe("mallory ada+anon eve");
});

it("whatever is captured, they are the persons of PostHog once each has been seen again", () => {
  const ids = ["ada", "eve", "kim", "anon-1", "anon-2"];
  let state = 7;
  const pick = <T>(from: readonly T[]): T => from[(state = (state * 48271) % 2147483647) % from.length]!;
  for (let world = 0; world < 60; world++) {
    db.close();
    db = openViewToWrite(":memory:");
    const posthog = new DatabaseSync(":memory:");
    const persons = openPersons(posthog, { projectUrl: "" });
    const capture = (
      event: string,
      id: string,
      seconds: number,
      properties: Record<string, unknown> = {},
    ) => {
      const timestamp = new Date(START + seconds * 1000).toISOString();
      const { id: personId } = persons.apply({ uuid: "", event, distinctId: id, timestamp, properties })!;
      return webhook(event, id, at(seconds, { properties, personId, late: pick([0, 1, 9]) }));
    };
    const records = Array.from({ length: 14 }, (_, n) => {
      const [id, other] = [pick(ids), pick(ids)];
      const event = pick([
        "$pageview",
        "$identify",
        "$identify",
        "$create_alias",
        world % 4 === 0 ? "$merge_dangerously" : "x",
      ]);
      // PostHog hears of some later than they happened.
      return capture(event, id, n * 3 - pick([0, 0, 10]), { $anon_distinct_id: other, alias: other });
    });
    const told = offers();
    for (; records.length > 0;) told.pass(records.splice(pick([0, 0, 1, 2]) % records.length, 1));
    told.pass(ids.map((id) => capture("$pageview", id, 100)));
    const right = new Map<string, string[]>();
    for (const id of ids) {
      const person =
        persons.apply({ uuid: "", event: "x", distinctId: id, timestamp: "", properties: {} })!.id;
      right.set(person, [...right.get(person) ?? [], id]);
    }
    expect(told.persons(...ids)).toBe([...right.values()].map((one) => one.join("+")).join(" "));
    posthog.close();
  }
});

it("two users of one device have two offers and two mails, also when the view is built again", async () => {
  const place = await newPlace();
  try {
    const clock = handClock();
    await place.publish([
      identify(0, "ada", "anon", { set: "ada@example.org" }),
      ...uses(2, "anon", at(0)),
      ...uses(3, "ada", at(1)),
      webhook("$set", "eve", at(2, { set: "eve@example.org" })),
      identify(3, "eve", "anon"),
      identify(3, "eve", "ada"),
      ...uses(5, "eve", at(4)),
    ]);
    const shown = (id: string) => look(place, (offers) => offers.offerOf(id, hashes))!;
    await whileRunning(place, { clock }, async (running) => {
      await settled(place, running);
      expect([shown("ada").uses, shown("eve").uses]).toEqual([5, 5]);
      clock.move(300_000);
      await until(
        "both have theirs",
        () => shown("ada").state === "offered" && shown("eve").state === "offered",
      );
    });
    deleteView(place);
    await whileRunning(place, { clock }, (running) => settled(place, running));
    expect(mailsIn(place).map((mail) => /^To: <?(\w+)@/m.exec(mail)![1]).sort()).toEqual(["ada", "eve"]);
    expect(shown("ada").code).not.toBe(shown("eve").code);
  } finally {
    await place.remove();
  }
});
