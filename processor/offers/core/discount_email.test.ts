import { describe, expect, it } from "vitest";
import { renderDiscountEmail } from "./discount_email.ts";
import { readDiscountText } from "./discount_text.ts";

const offer = {
  code: "SAVE-1234",
  messageId: "<offer.1@shop.example>",
  from: { name: "Shop", address: "offers@shop.example", domain: "shop.example" },
  to: "ada@example.org",
  uses: 5,
  publicUrl: "https://shop.example",
  unsubscribeToken: "a.b.c",
};

describe("renderDiscountEmail()", () => {
  it("says in text and in HTML what the discount is", () => {
    for (const part of [renderDiscountEmail(offer).text, renderDiscountEmail(offer).html]) {
      expect(part).toContain("20 % off your next month");
      expect(part).toContain("SAVE-1234");
    }
    const { text, html, subject } = renderDiscountEmail(offer, '2 months < 1 & "free" <script>');
    expect(text).toContain('Your discount: 2 months < 1 & "free" <script>\n');
    expect(html).toContain("2 months &#60; 1 &#38; &#34;free&#34; &#60;script&#62;");
    expect(html).not.toContain("<script");
    expect(subject).toBe("Your discount code: SAVE-1234");
  });
});

describe("readDiscountText()", () => {
  it("takes one line of at most 200 characters, in any script", () => {
    expect(readDiscountText("  20 € Rabatt für 2 Monate 🎁 ")).toBe("20 € Rabatt für 2 Monate 🎁");
    expect(readDiscountText("🎁".repeat(200))).not.toBeNull();
  });

  it.each([
    ["none", "  "],
    ["two lines", "20 % off\nBcc: eve@example.org"],
    ["a line end of mail", "20 % off\r\n.\r\n"],
    ["a line end of Unicode", "20 %\u2028off"],
    ["a control character", "20 %\u0007off"],
    ["a change of direction", "20 %\u202eoff"],
    ["half a character", "20 %\ud83c"],
    ["too long", "x".repeat(201)],
  ])("refuses %s", (_, text) => expect(readDiscountText(text)).toBeNull());
});
