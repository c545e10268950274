import { DatabaseSync } from "node:sqlite";
import { beforeEach, describe, expect, it } from "vitest";
import { isNobody } from "../../contract/nobody.ts";
import { openPersons, personName, type Persons, updatedProperties } from "./persons.ts";

const PROJECT_URL = "http://127.0.0.1:8010/project/1";
const UUID = "0190a000-0000-7000-8000-000000000001";
let db: DatabaseSync;
let persons: Persons;

beforeEach(() => {
  db = new DatabaseSync(":memory:");
  persons = openPersons(db, { projectUrl: PROJECT_URL });
});

function event(name: string, distinctId: string, properties: Record<string, unknown> = {}) {
  return { uuid: UUID, event: name, distinctId, timestamp: "2026-01-01T00:00:00.000Z", properties };
}

/** Applies an event that has a person. */
function apply(name: string, distinctId: string, properties: Record<string, unknown> = {}) {
  return persons.apply(event(name, distinctId, properties))!;
}

const identify = (distinctId: string, anonymous: string, set: Record<string, unknown> = {}) =>
  apply("$identify", distinctId, { $anon_distinct_id: anonymous, $set: set });

describe("a person as an event shows it", () => {
  it("has the id that PostHog derives from project and distinct id, and an address of the stand-in", () => {
    expect(apply("x", "user 1/2")).toEqual({
      id: "72bbd05b-1c38-5bea-a13c-350ec4b3d29b",
      properties: { $creator_event_uuid: UUID },
      name: "user 1/2",
      url: `${PROJECT_URL}/person/user%201%2F2`,
    });
  });

  it("is a snapshot: a later event changes later ones only", () => {
    const before = apply("x", "u", { $set: { email: "a@example.org" } });
    const after = apply("x", "u", { $set: { email: "b@example.org" } });
    expect(before.properties.email).toBe("a@example.org");
    expect(after.properties.email).toBe("b@example.org");
    expect(after.name).toBe("b@example.org");
  });

  it("is the same after the store was opened again", () => {
    const before = identify("user", "anon", { email: "a@example.org" });
    persons = openPersons(db, { projectUrl: PROJECT_URL });
    expect(apply("x", "anon")).toMatchObject({ id: before.id, properties: { email: "a@example.org" } });
  });
});

describe("an event that wants no person profile", () => {
  const none = { $process_person_profile: false };

  it("shows no person properties, also of a known person, and sets none", () => {
    expect(apply("x", "anon", { ...none, $set: { email: "a@example.org" } }).properties).toEqual({});
    const known = apply("x", "user", { $set: { email: "a@example.org" } });
    const shown = apply("x", "user", none);
    expect(shown).toMatchObject({ id: known.id, properties: {}, name: "user" });
    expect(db.prepare("SELECT count(*) AS n FROM person").get()).toEqual({ n: 1 });
  });

  it("has the id that the person has later", () => {
    expect(apply("x", "anon", none).id).toBe(apply("x", "anon").id);
  });

  it.each(["$identify", "$create_alias", "$merge_dangerously"])("is thrown away as %s", (name) => {
    expect(persons.apply(event(name, "user", { ...none, $anon_distinct_id: "anon", alias: "anon" })))
      .toBeNull();
    expect(apply("x", "user").id).not.toBe(apply("x", "anon").id);
  });
});

describe("joining", () => {
  it("two unknown ids become one person, named for the identified one", () => {
    const person = identify("user", "anon", { email: "a@example.org" });
    expect(person.properties).toMatchObject({ email: "a@example.org" });
    expect(apply("x", "anon").id).toBe(person.id);
    expect(apply("x", "someone").id).not.toBe(person.id);
  });

  it("an unknown id joins the known person, whichever side it stands on", () => {
    const anon = apply("x", "anon", { $set: { plan: "free" } });
    expect(identify("user", "anon")).toMatchObject({ id: anon.id, properties: { plan: "free" } });
    expect(identify("user", "phone").id).toBe(anon.id);
    expect(apply("x", "phone").id).toBe(anon.id);
  });

  it("two known persons become the identified one; of one property its own value stays", () => {
    apply("x", "anon", { $set: { plan: "free", theme: "dark" } });
    const user = apply("x", "user", { $set: { plan: "paid" } });
    const joined = identify("user", "anon", { email: "a@example.org" });
    expect(joined.id).toBe(user.id);
    expect(joined.properties).toMatchObject({ plan: "paid", theme: "dark", email: "a@example.org" });
    expect(apply("x", "anon").id).toBe(user.id);
    expect(db.prepare("SELECT count(*) AS n FROM person").get()).toEqual({ n: 1 });
  });

  it("an identified person is not merged into another one, but by $merge_dangerously", () => {
    const first = identify("first", "anon-1");
    const second = identify("second", "anon-2");
    expect(identify("second", "first").id).toBe(second.id);
    expect(apply("x", "first").id).toBe(first.id);
    apply("$merge_dangerously", "second", { alias: "first" });
    expect(apply("x", "first").id).toBe(second.id);
  });

  it("a person counts as identified from its first join on, whoever was known before", () => {
    const person = apply("x", "first");
    identify("first", "anon-1");
    identify("second", "anon-2");
    identify("second", "first");
    expect(apply("x", "first").id).toBe(person.id);
    expect(apply("x", "second").id).not.toBe(person.id);
  });

  it("an anonymous id stays with the first who claimed it, also where the second is known by events alone", () => {
    const first = identify("first", "anon");
    const second = apply("x", "second");
    expect(identify("second", "anon").id).toBe(second.id);
    expect(apply("x", "anon").id).toBe(first.id);
    // Its own refused request has identified the second.
    identify("third", "anon-3");
    identify("third", "second");
    expect(apply("x", "second").id).toBe(second.id);
  });

  it("an id that was never seen is added to the other's person, also where that is identified", () => {
    const first = identify("first", "anon");
    expect(identify("new", "first").id).toBe(first.id);
    expect(apply("$create_alias", "newer", { alias: "first" }).id).toBe(first.id);
  });

  it("$create_alias joins the alias", () => {
    const user = apply("x", "user");
    apply("$create_alias", "user", { alias: "other" });
    expect(apply("x", "other").id).toBe(user.id);
  });

  it.each(["anonymous", "GUEST", '"null"', "[object Object]", "0", " ", "undefined"])(
    "nobody is joined by the id %j",
    (illegal) => {
      expect(isNobody(illegal)).toBe(true);
      identify("user-1", illegal);
      identify("user-2", illegal);
      expect(apply("x", "user-1").id).not.toBe(apply("x", "user-2").id);
    },
  );
});

describe("person properties", () => {
  it("$set overwrites, $set_once fills gaps, $unset removes", () => {
    const known = { a: 1, b: 2, c: 3 };
    const update = { $set: { a: 10 }, $set_once: { b: 20, d: 40 }, $unset: ["c"] };
    expect(updatedProperties(known, update)).toEqual({ a: 10, b: 2, d: 40 });
  });

  it("name a person by e-mail, then name, then user name, then distinct id", () => {
    expect(personName({ username: "ada", name: "Ada", email: "a@example.org" }, "u")).toBe("a@example.org");
    expect(personName({ username: "ada", name: "Ada", email: " " }, "u")).toBe("Ada");
    expect(personName({ email: 7 }, "u")).toBe("u");
  });
});
