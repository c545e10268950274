import fc from "fast-check";
import { Buffer } from "node:buffer";
import { createHmac } from "node:crypto";
import { expect, test } from "vitest";
import { createHmacSha256, createKeyedHashes } from "./keyed_hash.ts";
import { checkUnsubscribeToken, makeUnsubscribeToken } from "./unsubscribe_token.ts";

test("createHmacSha256() answers what node:crypto's createHmac does, for any key and message", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.uint8Array({ maxLength: 300 }), (key, message) => {
      const expected = createHmac("sha256", key).update(message).digest();
      expect(Buffer.compare(createHmacSha256(key)(message), expected)).toBe(0);
    }),
  );
});

test("createHmacSha256() answers what createHmac does for any text, short or long, one after the other", () => {
  const hmac = createHmacSha256("a key");
  const text = fc.array(fc.string({ unit: "binary" }), { maxLength: 8 }).map((parts) => parts.join("\ud800"));
  fc.assert(
    fc.property(
      fc.oneof(text, fc.integer({ min: 250, max: 260 }).map((length) => "€".repeat(length))),
      (text) => {
        expect(hmac(text).toString("hex")).toBe(createHmac("sha256", "a key").update(text).digest("hex"));
      },
    ),
  );
});

test.each([63, 64, 65, 128])("createHmacSha256() keeps to RFC 2104 at a key of %i bytes", (length) => {
  const key = Buffer.alloc(length, 7);
  expect(createHmacSha256(key)("x").toString("hex")).toBe(
    createHmac("sha256", key).update("x").digest("hex"),
  );
});

test("createHmacSha256() reads texts as UTF-8 and is the same each time it is used", () => {
  const hmac = createHmacSha256("schlüssel");
  const expected = createHmac("sha256", "schlüssel").update("größe").digest("hex");
  expect([hmac("größe").toString("hex"), hmac("größe").toString("hex")]).toEqual([expected, expected]);
});

test("createHmacSha256() passes test case 2 of RFC 4231", () => {
  expect(createHmacSha256("Jefe")("what do ya want for nothing?").toString("hex"))
    .toBe("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
});

test("subjects are 128 bits in hex, the HMAC of the distinct_id under the secret", () => {
  const hashes = createKeyedHashes("a secret of sixteen");
  const expected = createHmac("sha256", "a secret of sixteen").update("user-1").digest("hex").slice(0, 32);
  expect(hashes.subject("user-1")).toBe(expected);
});

test("one text hashed for different purposes gives different hashes", () => {
  const hashes = createKeyedHashes("a secret of sixteen");
  const all = [
    hashes.subject("x"),
    hashes.personSubject("x").slice(2),
    hashes.mailbox("x"),
    hashes.derive("code", "x").toString("hex", 0, 16),
  ];
  expect(new Set(all).size).toBe(all.length);
});

test("another secret gives other hashes and another fingerprint", () => {
  const [one, other] = [createKeyedHashes("secret number one"), createKeyedHashes("secret number two")];
  expect(one.fingerprint).toMatch(/^[0-9a-f]{16}$/);
  expect(one.fingerprint).not.toBe(other.fingerprint);
  expect(one.subject("x")).not.toBe(other.subject("x"));
  expect(one.fingerprint).toBe(createKeyedHashes("secret number one").fingerprint);
});

const PURPOSES = ["person.id", "mailbox", "discount code", "Message-ID", "unsubscribe token", "fingerprint"];

/**
 * A distinct_id is anybody's to choose, and its hash stands in dataset and facts. The keys of the other purposes were
 * hashes under the same key: capturing as "key\0unsubscribe token" published half of the key that signs those tokens.
 */
test("no distinct_id gives a part of another purpose's key", () => {
  const secret = "a secret of sixteen";
  const hashes = createKeyedHashes(secret);
  for (const purpose of [...PURPOSES, "distinct_id", "", "anything"]) {
    const key = createHmac("sha256", secret).update(`key\0${purpose}`).digest("hex");
    expect(hashes.subject(`key\0${purpose}`), purpose).toMatch(/^[0-9a-f]{32}$/);
    expect(key, purpose).not.toContain(hashes.subject(`key\0${purpose}`));
  }
  expect(hashes.subject("key\0a")).not.toBe(hashes.subject("key\0b"));
});

test("no text of one purpose hashes as the same text of another, whatever the text", () => {
  const hashes = createKeyedHashes("a secret of sixteen");
  const text = fc.oneof(
    fc.string(),
    fc.constantFrom(...PURPOSES).map((purpose) => `key\0${purpose}`),
    fc.string().map((rest) => `key\0${rest}`),
  );
  fc.assert(fc.property(text, (text) => {
    const all = [
      hashes.subject(text),
      ...PURPOSES.map((purpose) => hashes.derive(purpose, text).toString("hex", 0, 16)),
    ];
    expect(new Set(all).size).toBe(all.length);
  }));
});

/** Printed by the code of that release. */
const OF_THE_FIRST_RELEASE = {
  subject: "b5c2f7eb33506ab6b3c1db76c2a8917a",
  likeAKey: [
    "72dc89515e6240b907a9720d36fd6c48",
    "9b1dc98984a9ed43c2e309f3a1b6ea15",
    "385a4022d3a83dd493edb0d9cde92281",
    "f91c414c8b293851168d2ce50296bed2",
  ],
  person: "p-6d88fdc961404d2958e24a3214b3bad0",
  mailbox: "d6e7618b25e3c21cc11e5ff46aa57256",
  code: "df19303a4f0f88f4",
  messageId: "fa0fc06237b8c940",
  token: "-mqlbvQHH4OloNccE-XE8A",
  fingerprint: "921300e45ebb1e3e",
};

test("hashes that facts, datasets and sent mails of earlier releases hold stay what they were", () => {
  const hashes = createKeyedHashes("a secret of sixteen");
  expect({
    subject: hashes.subject("user-1"),
    likeAKey: ["key", "key\u0001mailbox", "KEY\0mailbox", " key\0mailbox"].map(hashes.subject),
    person: hashes.personSubject("0190"),
    mailbox: hashes.mailbox("ada@example.org"),
    code: hashes.derive("discount code", "x").toString("hex", 0, 8),
    messageId: hashes.derive("Message-ID", "x").toString("hex", 0, 8),
    token: makeUnsubscribeToken(hashes, { subject: "0".repeat(32), mailbox: "1".repeat(32) }).split(".")[2],
    fingerprint: hashes.fingerprint,
  }).toEqual(OF_THE_FIRST_RELEASE);
  const claims = { subject: "0".repeat(32), mailbox: "1".repeat(32) };
  const sent = `${claims.subject}.${claims.mailbox}.${OF_THE_FIRST_RELEASE.token}`;
  expect(checkUnsubscribeToken(hashes, sent)).toEqual(claims);
});
