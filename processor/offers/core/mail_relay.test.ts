import { describe, expect, test } from "vitest";
import { defaultTls, mayLogIn, readClientName, readSmtpUrl, type SmtpAddress } from "./mail_relay.ts";

const LOGIN = { user: "ada", pass: "p@ss%/?#" };
const address = (given: Partial<SmtpAddress>): SmtpAddress => ({
  host: "mail.example",
  port: 587,
  implicitTls: false,
  login: null,
  ...given,
});

describe("SMTP_URL", () => {
  test.each([
    ["smtp://mail.example", address({})],
    ["smtp://MAIL.example.:2525/", address({ port: 2525 })],
    ["smtp://ada:p%40ss%25%2F%3F%23@mail.example", address({ login: LOGIN })],
    ["smtps://mail.example", address({ implicitTls: true, port: 465 })],
    ["SMTPS://mail_pit:1", address({ implicitTls: true, host: "mail_pit", port: 1 })],
    ["smtp://bücher.example", address({ host: "xn--bcher-kva.example" })],
    ["smtp://LOCALHOST:25", address({ host: "localhost", port: 25 })],
    ["smtp://[2001:db8::1]:25", address({ host: "2001:db8::1", port: 25 })],
  ])("says where: %s", (text, expected) => {
    expect(readSmtpUrl(text)).toEqual(expected);
  });

  // Without a host it was the library's "localhost"; a broken % threw at the first mail; options were passed over.
  test.each([
    "mail.example",
    "http://mail.example",
    "smtp:",
    "smtp:mail.example",
    "smtp://",
    "smtp:///secret",
    "smtp://ada:secret@",
    "smtp://ada:secret@:25",
    "smtp://ada:secret@mail.example:99999",
    "smtp://ada:secret@mail example",
    "smtp://ada:secret@-mail.example",
    "smtp://ada:100%secret@mail.example",
    "smtp://ada:1#secret@mail.example",
    "smtp://ada:1/secret@mail.example",
    "smtp://ada@mail.example",
    "smtp://:secret@mail.example",
    "smtp://ada:secret@mail.example/secret",
    "smtp://ada:secret@mail.example?requireTLS=true",
    "smtp://ada:secret@mail.example/?tls.rejectUnauthorized=false",
    "smtp://mail.example?",
  ])("is refused in words that quote nothing of it: %s", (text) => {
    const words = readSmtpUrl(text);
    expect(words).toEqual(expect.any(String));
    expect(words).not.toMatch(/secret|ada|mail\.example/);
  });
});

describe("SMTP_TLS", () => {
  test.each<[SmtpAddress, string]>([
    [address({ login: LOGIN }), "require"],
    [address({ login: LOGIN, host: "192.0.2.1" }), "require"],
    [address({ login: LOGIN, host: "localhost" }), "opportunistic"],
    [address({ login: LOGIN, host: "127.0.0.1" }), "opportunistic"],
    [address({ login: LOGIN, host: "::1" }), "opportunistic"],
    [address({}), "opportunistic"],
  ])("where it is not set %o: %s", (given, expected) => {
    expect(defaultTls(given)).toBe(expected);
  });
});

describe("credentials", () => {
  test.each([
    [true, { isEncrypted: true, host: "mail.example", peer: "192.0.2.1" }],
    [true, { isEncrypted: false, host: "localhost", peer: "::1" }],
    [true, { isEncrypted: false, host: "127.0.0.1", peer: "::ffff:127.0.0.1" }],
    [false, { isEncrypted: false, host: "mail.example", peer: "192.0.2.1" }],
    [false, { isEncrypted: false, host: "localhost", peer: "192.0.2.1" }],
    [false, { isEncrypted: false, host: "localhost", peer: undefined }],
    [false, { isEncrypted: false, host: "127.0.0.1.mail.example", peer: "192.0.2.1" }],
  ])("may go out: %s over %o", (expected, connection) => {
    expect(mayLogIn(connection)).toBe(expected);
  });
});

describe("SMTP_CLIENT_NAME", () => {
  test.each([
    ["Shop.example.", "shop.example"],
    ["bücher.example", "xn--bcher-kva.example"],
    ["relay-1", "relay-1"],
    ["[192.0.2.1]", "[192.0.2.1]"],
    ["[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]"],
  ])("is a domain or an address literal: %s", (text, expected) => {
    expect(readClientName(text)).toBe(expected);
  });

  test.each([
    "shop example",
    "shop.example\r\nMAIL FROM:<>",
    "shop_1",
    "-shop",
    "192.0.2.1",
    "[192.0.2.999]",
    "[IPv6:zz]",
    "[IPv6:1:2]",
    "[shop.example]",
    "shop.example:25",
    "x".repeat(64),
  ])("is nothing else: %j", (text) => {
    expect(readClientName(text)).toBeNull();
  });
});
