import { describe, expect, it } from "vitest";
import { createKeyedHashes } from "../../../contract/keyed_hash.ts";
import { readMailSender } from "./mail_sender.ts";
import { normalCode, offerCode, offerMessageId } from "./names.ts";

const hashes = createKeyedHashes("a secret for tests, long enough");
const offer = { subject: "a".repeat(32), position: { partition: 1, offset: 2 }, edition: 0 };

describe("an offer's code", () => {
  it("is the same each time, and another one for another offer or secret", () => {
    const other = createKeyedHashes("another secret, also long enough");
    const codes = [
      offerCode(hashes, offer),
      offerCode(hashes, { ...offer, position: { partition: 1, offset: 3 } }),
      offerCode(hashes, { ...offer, subject: "b".repeat(32) }),
      offerCode(other, offer),
    ];
    expect(offerCode(hashes, { ...offer })).toBe(codes[0]);
    expect(new Set(codes).size).toBe(4);
    for (const code of codes) expect(code).toMatch(/^([0-9A-HJKMNP-TV-Z]{4}-){2}[0-9A-HJKMNP-TV-Z]{4}$/);
  });

  it("is understood as a person types it", () => {
    for (const typed of ["7q2m-xk4t-0zr1", "7Q2MXK4T0ZR1", " 7q2m xk4t ozrl", "7Q2M-XK4T-OZRI"]) {
      expect(normalCode(typed)).toBe("7Q2M-XK4T-0ZR1");
    }
    expect(normalCode("7Q2M")).toBe("7Q2M");
  });
});

describe("an offer's Message-ID", () => {
  const idFrom = (sender: string, edition = 0) =>
    offerMessageId(hashes, { ...offer, edition }, readMailSender(sender)!.domain);

  it("stands under the sender's domain and changes with the edition only", () => {
    const id = idFrom("Shop <offers@shop.example>");
    expect(id).toMatch(/^<[0-9a-f]{32}@shop\.example>$/);
    expect(idFrom("other@shop.example")).toBe(id);
    expect(idFrom("offers@shop.example", 1)).not.toBe(id);
  });

  // It was `localhost` for every domain beyond ASCII.
  it("stands under the punycode of an international domain", () => {
    expect(idFrom("Bücher <offers@bücher.example>")).toMatch(/^<[0-9a-f]{32}@xn--bcher-kva\.example>$/);
  });
});
