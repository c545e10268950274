import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readAddress, readRecipient } from "./mailbox.ts";

describe("one mailbox in every spelling", () => {
  it.each([
    ["ada@example.org", [
      " Ada@EXAMPLE.org\n",
      "ADA+shop@example.org",
      "ada+a+b@example.org.",
      '"ada"@example.org',
    ]],
    ["adal@gmail.com", ["Ada.L@gmail.com", "a.d.a.l+x@googlemail.com", "ＡdaL＠ｇｍａｉｌ．com"]],
    ["ada@xn--mnchen-3ya.example", [
      "ada@münchen.example",
      "ada@MÜNCHEN。example",
      "Ada@xn--mnchen-3ya.example",
    ]],
    ["a.l@example.org", ["A.L@example.org"]],
    ["+tag@example.org", ["+tag@example.org"]],
    ["josé@example.org", ["JOSE\u0301@example.org"]],
  ])("is %s", (normalised, spellings) => {
    for (const spelling of spellings) expect(readAddress(spelling)?.normalised).toBe(normalised);
  });

  it("keeps what it is delivered to, but for the domain's spelling", () => {
    expect(readAddress("Ada.L+shop@MÜNCHEN.example")!.deliverable).toBe("Ada.L+shop@xn--mnchen-3ya.example");
  });

  it("tells mailboxes apart that are not one", () => {
    const two = ["a.l@example.org", "al@example.org", "al@example.com", "al@gmail.example"];
    expect(new Set(two.map((one) => readAddress(one)!.normalised)).size).toBe(4);
  });
});

describe("what no mail could be sent to", () => {
  it.each([
    "",
    "ada",
    "@example.org",
    "ada@",
    "ada@example.org, eve@example.org",
    "Ada <ada@example.org>",
    "ada@example.org\r\nBcc: eve@example.org",
    "a da@example.org",
    "ada@exa mple.org",
    "ada@[127.0.0.1]",
    "ada@example.org:25",
    "ada@user:pass@example.org/",
    "ada@-example.org",
    "ada\u0000@example.org",
    "ada\u200b@example.org",
    "a..b@example.org",
    `${"a".repeat(65)}@example.org`,
    `ada@${"a".repeat(300)}.org`,
    "x".repeat(5_000_000),
  ])("is no address: %#", (text) => {
    expect(readAddress(text)).toBeNull();
  });

  it.each([undefined, null, 7, {}, ["ada@example.org"]])("is no text: %s", (value) => {
    expect(readAddress(value)).toBeNull();
  });
});

describe("what no public mail server takes", () => {
  it.each([
    "a@localhost",
    "a@intranet",
    "a@shop.local",
    "a@printer.localhost",
    "a@2130706433",
    "a@127.0.0.1",
    "a@0x7f.1",
    "a@[1.2.3.4]",
    "a@[IPv6:::1]",
    "a@1.2.3.4.5",
    "a%victim.example@relay.example",
    "relay.example!victim@shop.example",
    "@relay.example:a@shop.example",
    "=?utf-8?q?a=40b.example?=@shop.example",
    "a％victim.example@relay.example",
    "＝？utf-8?q?x?＝@shop.example",
    '"a b"@shop.example',
    '"a\\"b"@shop.example',
    '"a@b.example"@shop.example',
    "a\u0007@shop.example",
    "a@shop.example\r\nRCPT TO:<b@shop.example>",
    "a@shop.1",
    "a@1.0.0.127.in-addr.arpa",
  ])("is no recipient: %s", (text) => {
    expect(readRecipient(text)).toBeNull();
  });

  it.each([
    "ada@example.org",
    "grace.okafor.12@example.com",
    "ada+shop@mail.example",
    "ada@münchen.example",
    "josé@example.org",
    '"ada"@example.org',
    "o'hara@example.ie",
    "ada@4.de",
    "ada@xn--mnchen-3ya.xn--vermgensberatung-pwb",
  ])("leaves recipients as they are: %s", (text) => {
    expect(readRecipient(text)).toEqual(readAddress(text));
    expect(readRecipient(text)).not.toBeNull();
  });
});

it("reads a domain as the URL parser does, also where that one is not asked", () => {
  const label = fc.string({ unit: fc.constantFrom(..."abx09-A"), minLength: 1, maxLength: 6 });
  const domains = fc.array(fc.oneof(label, fc.constantFrom("xn--mnchen-3ya", "xn--a", "0x1f", "1", "com")), {
    minLength: 1,
    maxLength: 4,
  }).map((labels) => labels.join("."));
  fc.assert(
    fc.property(domains, (domain) => {
      const url = URL.canParse(`http://${domain}`) ? new URL(`http://${domain}`).hostname : "";
      const isName = url.split(".").every((label) => /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(label));
      expect(readAddress(`user@${domain}`)?.deliverable).toBe(isName ? `user@${url}` : undefined);
    }),
    { numRuns: 5_000 },
  );
});
