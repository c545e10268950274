import { generateKeyPairSync } from "node:crypto";
import { describe, expect, it } from "vitest";
import { isAligned, problemOfDkimKey, readDkimDomain, readDkimSelector } from "./dkim.ts";

const pem = { type: "pkcs8", format: "pem" } as const;
const rsa = (modulusLength: number) => generateKeyPairSync("rsa", { modulusLength }).privateKey;

describe("problemOfDkimKey()", () => {
  it("finds none in an RSA key, in both of its forms", () => {
    const key = rsa(2048);
    expect(problemOfDkimKey(key.export(pem) as string)).toBeNull();
    expect(problemOfDkimKey(key.export({ type: "pkcs1", format: "pem" }) as string)).toBeNull();
  });

  it.each([
    ["no key", "hello", /no private key.*openssl genrsa/],
    [
      "a public key",
      generateKeyPairSync("rsa", { modulusLength: 2048 }).publicKey.export({
        type: "spki",
        format: "pem",
      }) as string,
      /no private key/,
    ],
    [
      "a passphrase",
      rsa(2048).export({ ...pem, cipher: "aes-256-cbc", passphrase: "x" }) as string,
      /passphrase.*openssl pkey/,
    ],
    [
      "an Ed25519 key",
      generateKeyPairSync("ed25519").privateKey.export(pem) as string,
      /signed with RSA, and this key is ed25519.*openssl genrsa/,
    ],
    ["too few bits", rsa(512).export(pem) as string, /512 bits are too few/],
  ])("says what to do about %s, without the key", (_, text, said) => {
    const problem = problemOfDkimKey(text)!;
    expect(problem).toMatch(said);
    expect(problem).not.toContain(text.split("\n")[1] ?? text);
  });
});

it("domain and selector are names in DNS, in ASCII", () => {
  expect([readDkimDomain("Shop.Example"), readDkimDomain("bücher.example")]).toEqual([
    "shop.example",
    "xn--bcher-kva.example",
  ]);
  for (
    const no of [
      "shop",
      "shop example",
      "a;d=b.example",
      "1.2.3.4",
      "a@b.example",
      "a/b.example",
      "-a.example",
    ]
  ) {
    expect([no, readDkimDomain(no)]).toEqual([no, null]);
  }
  expect([readDkimSelector("2026A"), readDkimSelector("a._b")]).toEqual(["2026a", "a._b"]);
  for (const no of ["a;b", "a b", ".a", "a..b", "ä", "x".repeat(64)]) expect(readDkimSelector(no)).toBeNull();
});

it("a signature fits a sender of its domain, of one above it or within it", () => {
  expect(["shop.example", "mail.shop.example"].map((one) => isAligned(one, "Shop.example"))).toEqual([
    true,
    true,
  ]);
  expect(isAligned("shop.example", "mail.shop.example")).toBe(true);
  expect([isAligned("shop.example", "other.example"), isAligned("op.example", "shop.example")]).toEqual([
    false,
    false,
  ]);
});
