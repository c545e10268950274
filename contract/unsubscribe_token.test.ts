import fc from "fast-check";
import { expect, test } from "vitest";
import { readEnvelope, readLabel } from "./envelope.ts";
import { createKeyedHashes } from "./keyed_hash.ts";
import {
  checkUnsubscribeToken,
  makeUnsubscribeToken,
  readUnsubscribe,
  type UnsubscribeClaims,
  unsubscribeRecord,
} from "./unsubscribe_token.ts";

const hashes = createKeyedHashes("a secret of sixteen");
const claims: UnsubscribeClaims = {
  subject: hashes.subject("user-1"),
  mailbox: hashes.mailbox("a@example.test"),
};

test("a token gives its claims back, also those of a person.id", () => {
  const person = { ...claims, subject: hashes.personSubject("p1") };
  expect(checkUnsubscribeToken(hashes, makeUnsubscribeToken(hashes, claims))).toEqual(claims);
  expect(checkUnsubscribeToken(hashes, makeUnsubscribeToken(hashes, person))).toEqual(person);
});

test("a token is the same each time it is made and fits into an address as it is", () => {
  const token = makeUnsubscribeToken(hashes, claims);
  expect(makeUnsubscribeToken(hashes, claims)).toBe(token);
  expect(encodeURIComponent(token)).toBe(token);
});

test("a token made under another secret is forged", () => {
  const token = makeUnsubscribeToken(createKeyedHashes("another secret of ours"), claims);
  expect(checkUnsubscribeToken(hashes, token)).toBeNull();
});

test("a token with any one character changed, dropped or added is forged", () => {
  const token = makeUnsubscribeToken(hashes, claims);
  for (let at = 0; at < token.length; at++) {
    const other = token[at] === "0" ? "1" : "0";
    expect(
      checkUnsubscribeToken(hashes, token.slice(0, at) + other + token.slice(at + 1)),
      `changed at ${at}`,
    )
      .toBeNull();
    expect(checkUnsubscribeToken(hashes, token.slice(0, at) + token.slice(at + 1)), `dropped at ${at}`)
      .toBeNull();
    expect(checkUnsubscribeToken(hashes, token.slice(0, at) + "0" + token.slice(at)), `added at ${at}`)
      .toBeNull();
  }
});

test("any other text is no token, and none makes the check throw", () => {
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
    expect(checkUnsubscribeToken(hashes, text)).toBeNull();
  }));
});

test("the record holds keyed hashes only and says where it came from", () => {
  const record = unsubscribeRecord(claims, Date.UTC(2026, 0, 1));
  expect(readUnsubscribe(record.value)).toEqual(claims);
  expect(readLabel(record.headers)).toMatchObject({
    event: "email_unsubscribed",
    source: "unsubscribe",
    redrives: 0,
  });
  expect(new TextDecoder().decode(record.value)).toBe(
    `{"event":"email_unsubscribed","at":"2026-01-01T00:00:00.000Z","subject":"${claims.subject}","mailbox":"${claims.mailbox}"}`,
  );
  expect(readEnvelope(record.value).ok).toBe(false);
});

test("readUnsubscribe() answers null where claims are missing or no hashes", () => {
  const read = (body: unknown) => readUnsubscribe(new TextEncoder().encode(JSON.stringify(body)));
  expect(read({ subject: claims.subject })).toBeNull();
  expect(read({ ...claims, mailbox: "a@example.test" })).toBeNull();
  expect(read([])).toBeNull();
});
