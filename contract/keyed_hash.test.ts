import fc from "fast-check";
import { Buffer } from "node:buffer";
import { createHmac } from "node:crypto";
import { expect, test } from "vitest";
import { createHmacSha256, createKeyedHashes } from "./keyed_hash.ts";

test("createHmacSha256() answers what node:crypto's createHmac does, for any key and message", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.uint8Array({ maxLength: 300 }), (key, message) => {
      const expected = createHmac("sha256", key).update(message).digest();
      expect(Buffer.compare(createHmacSha256(key)(message), expected)).toBe(0);
    }),
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
