import { expect, test } from "vitest";
import { decodeJson, parseEnvelope } from "../../contract/envelope.ts";
import { bodyOf, isTraining, nameOf, PEOPLE } from "./envelopes.ts";

const NUMBERS = Array.from({ length: 20_000 }, (_, n) => n * 20);

test("each of the 5,000 people has a name of their own, and keeps it", () => {
  expect(new Set(Array.from({ length: PEOPLE }, (_, person) => nameOf(person))).size).toBe(PEOPLE);
  const nameIn = (n: number) => JSON.parse(new TextDecoder().decode(bodyOf(n, 1))).person.properties.name;
  expect([nameIn(7), nameIn(7 + PEOPLE)]).toEqual([nameOf(7), nameOf(7)]);
});

test("an envelope of a training event has 763 bytes on average, with prompts of four kinds", () => {
  const bytes = NUMBERS.map((n) => bodyOf(n + n / 20 % 4, 1).length);
  expect(Math.round(bytes.reduce((sum, length) => sum + length, 0) / bytes.length)).toBe(763);
  const prompts = NUMBERS.map((_, n) =>
    JSON.parse(new TextDecoder().decode(bodyOf(n, 1))).event.properties.input_prompt
  );
  expect(new Set(prompts).size).toBe(4);
});

test("the share of training events is the one that is asked for", () => {
  const events = Array.from({ length: 2000 }, (_, n) => parseEnvelope(decodeJson(bodyOf(n, 0.25))));
  const training = events.filter((outcome) => outcome.ok && outcome.envelope.event === "generation_failed");
  expect(training.length).toBe(500);
  expect(events.filter((_, n) => isTraining(n, 0.25)).length).toBe(500);
});
