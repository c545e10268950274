import { describe, expect, test } from "vitest";
import { readMailSender } from "./mail_sender.ts";

describe("MAIL_FROM", () => {
  test.each([
    ["offers@shop.example", "", "offers@shop.example"],
    ["  <offers@shop.example> ", "", "offers@shop.example"],
    ["Shop <offers@shop.example>", "Shop", "offers@shop.example"],
    ['"Shop, Inc. \\"1\\"" <offers@shop.example>', 'Shop, Inc. "1"', "offers@shop.example"],
    ["Bücher 書 <Offers@BÜCHER.example>", "Bücher 書", "Offers@xn--bcher-kva.example"],
    ["offers@xn--bcher-kva.example.", "", "offers@xn--bcher-kva.example"],
    ["offers@例え.テスト", "", "offers@xn--r8jz45g.xn--zckzah"],
  ])("is one address with a name or without: %s", (text, name, address) => {
    expect(readMailSender(text)).toEqual({ name, address, domain: address.split("@")[1] });
  });

  // `offers` went out with a null sender, and the offer was spent.
  test.each([
    "offers",
    "",
    "@shop.example",
    "offers@",
    "offers@localhost",
    "offers@[127.0.0.1]",
    "offers@192.0.2.1",
    "offers@shop.example, eve@shop.example",
    "Shop <offers@shop.example>, Eve <eve@shop.example>",
    "Shop, Inc. <offers@shop.example>",
    "eve@shop.example <offers@shop.example>",
    "Shop <offers@shop.example",
    "Shop offers@shop.example",
    "Shop <>",
    "Shop <offers>",
    "Team: offers@shop.example;",
    "Shop <offers@shop.example>\r\nBcc: eve@shop.example",
    "Shop\r\nBcc: eve@shop.example\r\nX: <offers@shop.example>",
    "Shop\u0000 <offers@shop.example>",
    "Shop\u202e <offers@shop.example>",
    "öffers@shop.example",
    `${"x".repeat(129)} <offers@shop.example>`,
    `"${"\\".repeat(100_001)}`,
  ])("is refused where it is anything else: %#", (text) => {
    expect(readMailSender(text)).toBeNull();
  });
});
