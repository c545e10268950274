import { describe, expect, test } from "vitest";
import {
  ConsoleDoor,
  type ConsoleSettings,
  hostNameIn,
  hostRefusal,
  isLocal,
  isLoopback,
  passwordHeaders,
  visitOf,
} from "./door.ts";

describe("a loopback name", () => {
  test.each(["localhost", "127.0.0.1", "127.1.2.3", "::1", "[::1]"])("%s is one", (host) => {
    expect(isLoopback(host)).toBe(true);
  });

  test.each(["0.0.0.0", "::", "192.168.1.4", "example.test", "127.0.0.1.example.test", "128.0.0.1", ""])(
    "%s is none",
    (host) => {
      expect(isLoopback(host)).toBe(false);
    },
  );
});

describe("the host that a header names", () => {
  test.each([
    ["Shop.Example", "shop.example"],
    ["shop.example.", "shop.example"],
    ["shop.example:8000", "shop.example"],
    ["LOCALHOST.:3000", "localhost"],
    ["[::1]:8000", "[::1]"],
    ["[0:0:0:0:0:0:0:1]", "[::1]"],
    ["posthog-stand-in:8010", "posthog-stand-in"],
    ["a_b", "a_b"],
    ["0x7f.1", "127.0.0.1"],
  ])("%s is %s", (header, name) => {
    expect(hostNameIn(header)).toBe(name);
  });

  test.each([
    null,
    "",
    " ",
    "a b",
    "%%%",
    "%6cocalhost",
    "localhost@evil.example",
    "localhost/evil",
    "evil.example#localhost",
    "a:b",
    "a:99999",
    "a:1:2",
    "::1",
    "[::1",
    "[::1%lo]",
    ".",
    "localhost\\evil",
    "localhost,evil",
  ])("%j is none", (header) => {
    expect(hostNameIn(header)).toBeNull();
  });

  test("is that of :authority where there is no header, and no made-up loopback one", () => {
    const of = (url: string, headers = {}) => visitOf({ url, headers: new Headers(headers) }, null).host;
    expect(of("http://shop.example/x")).toBe("shop.example");
    expect(of("http://shop.example/x", { host: "evil.example" })).toBe("evil.example");
    expect(of("http://localhost:3000/x")).toBeNull();
    expect(of("http://127.0.0.1:3000/x")).toBeNull();
    expect(of("http://%%%/x")).toBeNull();
  });
});

const SETTINGS: ConsoleSettings = {
  publicHost: "shop.example",
  allowedHosts: ["processor", "10.0.0.7"],
  password: null,
  anonymous: false,
};
const PASSWORD = "pässword: of a test";
const authorized = (password = PASSWORD) => passwordHeaders(password);

const visit = (
  host: string | null,
  peer: string | null = "127.0.0.1",
  headers: Record<string, string> = {},
) =>
  visitOf(
    { url: "http://localhost/", headers: new Headers({ ...(host === null ? {} : { host }), ...headers }) },
    peer === null ? undefined : { remoteAddr: { transport: "tcp", hostname: peer, port: 1 } },
  );

describe("every service", () => {
  test.each([
    ["localhost:3000", null],
    ["127.0.0.1", null],
    ["[::1]:3000", null],
    ["SHOP.example.:443", null],
    ["processor:3001", null],
    ["10.0.0.7:8000", null],
    ["evil.example", 421],
    ["shop.example.evil.example", 421],
    ["10.0.0.8", 421],
    ["localhost.evil.example", 421],
    ["%%%", 400],
    [null, 400],
  ])("called %s answers, or says %s", (host, status) => {
    expect(hostRefusal(visit(host), SETTINGS)?.status ?? null).toBe(status);
  });
});

const ELSEWHERE = "203.0.113.7";
const FORWARDED = [
  "forwarded",
  "via",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-proto",
  "x-real-ip",
];

describe("the console", () => {
  const closed = SETTINGS;
  const anonymous = { ...SETTINGS, anonymous: true };
  const locked = { ...SETTINGS, password: PASSWORD };

  test.each([
    ["localhost:8000", "127.0.0.1", "without a password", closed, null],
    ["127.0.0.1", "127.0.0.1", "without a password", closed, null],
    ["[::1]", "::1", "without a password", closed, null],
    ["localhost", "::ffff:127.0.0.1", "without a password", closed, null],
    ["localhost", ELSEWHERE, "without a password", closed, 403],
    ["localhost", `::ffff:${ELSEWHERE}`, "without a password", closed, 403],
    ["localhost", "fd00::2", "without a password", closed, 403],
    ["localhost", null, "without a password", closed, 403],
    ["shop.example", "127.0.0.1", "without a password", closed, 403],
    ["processor", "127.0.0.1", "without a password", closed, 403],
    ["processor", ELSEWHERE, "without a password", closed, 403],
    ["evil.example", "127.0.0.1", "without a password", closed, 421],
    [null, "127.0.0.1", "without a password", closed, 400],
    ["localhost", "172.18.0.1", "that is everybody's", anonymous, null],
    ["processor", "172.18.0.5", "that is everybody's", anonymous, null],
    ["shop.example", "172.18.0.1", "that is everybody's", anonymous, 403],
    ["evil.example", "172.18.0.1", "that is everybody's", anonymous, 421],
    ["localhost", "127.0.0.1", "with a password that does not come", locked, 401],
    ["shop.example", ELSEWHERE, "with a password that does not come", locked, 401],
    ["evil.example", ELSEWHERE, "with a password that does not come", locked, 421],
  ])("called %s from %s, %s", (host, peer, _, settings, status) => {
    expect(new ConsoleDoor(() => 0).refusal(visit(host, peer), settings)?.status ?? null).toBe(status);
  });

  test.each(FORWARDED)(
    "without a password refuses what came with %s: a proxy may call it anything",
    (name) => {
      const door = new ConsoleDoor(() => 0);
      const handedOn = visit("localhost", "127.0.0.1", { [name]: "127.0.0.1" });
      expect(door.refusal(handedOn, closed)?.status).toBe(403);
      expect(door.refusal(handedOn, anonymous)?.status).toBe(403);
      expect(isLocal(handedOn)).toBe(false);
      const known = visit("shop.example", "127.0.0.1", { [name]: ELSEWHERE, ...authorized() });
      expect(door.refusal(known, locked)).toBeNull();
    },
  );

  test("with PUBLIC_URL on localhost is this machine's own", () => {
    const settings = { ...SETTINGS, publicHost: "localhost", anonymous: true };
    expect(new ConsoleDoor(() => 0).refusal(visit("localhost", "172.18.0.1"), settings)).toBeNull();
  });
});

describe("the password", () => {
  const settings = { ...SETTINGS, password: PASSWORD };
  const guess = (door: ConsoleDoor, headers: Record<string, string>, peer = ELSEWHERE) =>
    door.refusal(visit("shop.example", peer, headers), settings);

  test("comes by HTTP Basic under any user name, in UTF-8, colons and all", () => {
    const door = new ConsoleDoor(() => 0);
    const of = (user: string) => {
      const bytes = new TextEncoder().encode(`${user}:${PASSWORD}`);
      return { authorization: `bAsIc ${btoa(String.fromCharCode(...bytes))}` };
    };
    for (const user of ["", "ada", "ä"]) expect(guess(door, of(user))).toBeNull();
  });

  test("is asked for where none comes, as browsers understand it", () => {
    const refusal = guess(new ConsoleDoor(() => 0), {});
    expect(refusal).toMatchObject({
      status: 401,
      headers: { "www-authenticate": 'Basic realm="console", charset="UTF-8"' },
    });
  });

  test.each([
    "",
    PASSWORD.slice(0, -1),
    `${PASSWORD} `,
    PASSWORD.repeat(2),
    PASSWORD.toUpperCase(),
    "\0",
  ])("is not %j", (password) => {
    expect(guess(new ConsoleDoor(() => 0), authorized(password))?.status).toBe(401);
  });

  test.each(["Basic", "Basic ", "Basic %%%", "Basic  ====", `Bearer ${PASSWORD}`.replace("ä", "a"), "x"])(
    "is not in %j",
    (authorization) => {
      expect(guess(new ConsoleDoor(() => 0), { authorization })?.status).toBe(401);
    },
  );

  test("is looked at no more after 8 wrong ones from one address within a minute, also when it is right", () => {
    let now = 0;
    const door = new ConsoleDoor(() => now);
    for (let i = 0; i < 8; i++) {
      expect(guess(door, authorized(`wrong ${i}`))?.status).toBe(401);
      now += 1_000;
    }
    expect(guess(door, authorized("wrong"))).toMatchObject({ status: 429, headers: { "retry-after": "52" } });
    expect(guess(door, authorized())?.status).toBe(429);
    expect(guess(door, {})?.status).toBe(401);
    expect(guess(door, authorized(), "203.0.113.8")).toBeNull();
    expect(guess(door, authorized("wrong"), `::ffff:${ELSEWHERE}`)?.status).toBe(429);
    now = 60_000;
    expect(guess(door, authorized("wrong"))?.status).toBe(401);
    expect(guess(door, authorized("wrong"))?.status).toBe(429);
  });

  test("that is right counts for nothing, however often it comes", () => {
    const door = new ConsoleDoor(() => 0);
    for (let i = 0; i < 100; i++) expect(guess(door, authorized())).toBeNull();
  });

  test("gives one IPv6 network as many guesses as one address", () => {
    const door = new ConsoleDoor(() => 0);
    const statuses = Array.from(
      { length: 9 },
      (_, i) => guess(door, authorized("wrong"), `2001:db8::${i}:1`)?.status,
    );
    expect(statuses).toEqual([401, 401, 401, 401, 401, 401, 401, 401, 429]);
    expect(guess(door, authorized("wrong"), "2001:db8:0:1::1")?.status).toBe(401);
  });

  test("of an address is remembered while 9,999 others guess too, and no more addresses are remembered than that", () => {
    const door = new ConsoleDoor(() => 0);
    for (let i = 0; i < 8; i++) guess(door, authorized("wrong"));
    const other = (i: number) =>
      guess(door, authorized("wrong"), `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);
    for (let i = 0; i < 9_999; i++) other(i);
    expect(guess(door, authorized())?.status).toBe(429);
    other(9_999);
    expect(guess(door, authorized())).toBeNull();
  });
});
