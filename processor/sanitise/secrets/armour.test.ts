import { describe, expect, test } from "vitest";
import { sanitise } from "../mod.ts";
import { unmark } from "../testdata/marked.ts";
import { drawer, drawsOf } from "../testdata/samples.ts";

/** Made at run time, so that no scanner takes this file for a leak. */
const { of } = drawsOf(drawer(99));
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const b64 = (length: number) => of(`${LETTERS}+/`, length);
const url = (length: number) => of(`${LETTERS}-_`, length);

function check(rows: readonly string[]): void {
  test.each(rows.map((row) => [unmark(row)] as const))("$input", ({ input, output }) => {
    expect(sanitise(input).text).toBe(output);
    expect(sanitise(output).text).toBe(output);
  });
}
const lines = (count: number) => Array.from({ length: count }, () => b64(64)).join("\n");

describe("private keys in armour of all kinds", () =>
  check([
    `> ⟦-----BEGIN RSA PRIVATE KEY-----\n> ${b64(64)}\n> ${b64(64)}\n> ${b64(20)}==⟧`,
    `On Monday Bob wrote:\n> ⟦-----BEGIN OPENSSH PRIVATE KEY-----\n> ${b64(70)}\n> ${
      b64(70)
    }⟧\n> Does it work?`,
    `PuTTY-User-Key-File-2: ssh-rsa\nEncryption: none\nComment: key\nPublic-Lines: 1\nAAAAB3NzaC1yc2E=\nPrivate-Lines: 2\n⟦${
      b64(64)
    }\n${b64(60)}==⟧\nPrivate-MAC: x`,
    `PuTTY-User-Key-File-3: ssh-ed25519\nPrivate-Lines: 1\n⟦${b64(48)}⟧`,
    `⟦---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nComment: "x"\n${
      lines(2)
    }\n---- END SSH2 ENCRYPTED PRIVATE KEY ----⟧\nok`,
    `{"kty":"RSA","n":"${url(86)}","e":"AQAB","d":"⟦${url(86)}⟧","p":"⟦${url(43)}⟧","q":"⟦${
      url(43)
    }⟧","dp":"⟦${url(43)}⟧","dq":"⟦${url(43)}⟧","qi":"⟦${url(43)}⟧"}`,
    `{\n  "d": "⟦${url(43)}⟧",\n  "crv": "P-256",\n  "kty": "EC",\n  "x": "${url(20)}"\n}`,
    `{"kty":"oct","k":"⟦${url(43)}⟧","alg":"HS256"}`,
    `{"a":"{\\"kty\\":\\"oct\\",\\"k\\":\\"⟦${url(43)}⟧\\"}"}`,
    `<RSAKeyValue><Modulus>${b64(43)}=</Modulus><Exponent>AQAB</Exponent><P>⟦${b64(43)}=⟧</P><Q>⟦${
      b64(43)
    }=⟧</Q><DP>⟦${b64(43)}=⟧</DP><DQ>⟦${b64(43)}=⟧</DQ><InverseQ>⟦${b64(43)}=⟧</InverseQ><D>⟦${
      b64(86)
    }==⟧</D></RSAKeyValue>`,
    `⟦-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: GnuPG v2\n\n${
      lines(2)
    }\n=aB3d\n-----END PGP PRIVATE KEY BLOCK-----⟧`,
    `⟦-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n${lines(2)}⟧`,
    `AGE secret: «AGE-SECRET-KEY-1${of("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58)}»`,
    `[Interface]\nPrivateKey = ⟦${b64(43)}=⟧\nAddress = 10.0.0.2/32\n\n[Peer]\nPublicKey = ${
      b64(43)
    }=\nPresharedKey = ⟦${b64(43)}=⟧`,
    `private_key: "⟦${b64(43)}=⟧"`,
    `client-key-data: ⟦LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQ${b64(120)}⟧\nclient: x`,
    `key: ⟦b3BlbnNzaC1rZXktdjEAAAAABG5vbmU${b64(80)}⟧`,
    `"⟦-----BEGIN EC PRIVATE KEY-----\\n${b64(64)}\\n${b64(40)}\\n-----END EC PRIVATE KEY-----⟧\\n"`,
  ]));

describe("public keys, certificates and words stay", () =>
  check([
    `-----BEGIN PUBLIC KEY-----\n${lines(1)}\n-----END PUBLIC KEY-----`,
    `-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n${lines(1)}\n-----END PGP PUBLIC KEY BLOCK-----`,
    `---- BEGIN SSH2 PUBLIC KEY ----\n${lines(1)}\n---- END SSH2 PUBLIC KEY ----`,
    `{"kty":"RSA","n":"${url(86)}","e":"AQAB","kid":"k1"}`,
    `{"kty":"EC","crv":"P-256","x":"${url(30)}","y":"${url(30)}"}`,
    `[Peer]\nPublicKey = ${b64(43)}=\nAllowedIPs = 10.0.0.0/24`,
    `Public-Lines: 4\n${b64(64)}`,
    "PrivateKey = ",
    "<P>Some paragraph</P><D>text</D>",
    "Private-Lines: 14",
    `{"d": "M10 20L30 40", "p": "x"}`,
    `client-certificate-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0t${b64(60)}`,
    "PrivateKey privateKey = KeyFactory.getInstance(algorithm2).generatePrivate(spec);",
  ]));

describe("more private keys, and the header of one alone", () =>
  check([
    `⟦-----BEGIN OpenVPN Static key V1-----\n${
      "0a1b2c3d4e5f6071".repeat(2)
    }\n-----END OpenVPN Static key V1-----⟧`,
    `<RSAParameters><D>⟦${b64(86)}⟧</D></RSAParameters>`,
    "The header -----BEGIN PRIVATE KEY----- marks PKCS#8",
    'if (text.includes("-----BEGIN RSA PRIVATE KEY-----")) return',
  ]));
