import { describe, expect, it, test } from "vitest";
import { parseHead } from "./head.ts";

const head = (...lines: string[]) => parseHead(lines.join("\r\n"));
const get = (...lines: string[]) => head("GET / HTTP/1.1", "Host: a.example", ...lines);

it("parseHead() reads method, address, headers and where the body ends", () => {
  expect(head("POST /a/b?c=%20d HTTP/1.1", "Host: a.example:81", "X-A:  one two\t", "content-length: 12"))
    .toEqual({
      method: "POST",
      url: "http://a.example:81/a/b?c=%20d",
      headers: [["Host", "a.example:81"], ["X-A", "one two"], ["content-length", "12"]],
      framing: { is: "length", bytes: 12 },
      keepAlive: true,
      old: false,
      expectsContinue: false,
    });
  expect(get("transfer-encoding: Chunked", "expect: 100-Continue")).toMatchObject({
    framing: { is: "chunked" },
    expectsContinue: true,
  });
  expect(get("content-length: 0", "connection: x, Close")).toMatchObject({
    framing: { is: "none" },
    keepAlive: false,
  });
  expect(head("GET / HTTP/1.0", "host: a")).toMatchObject({ keepAlive: false, old: true });
  expect(head("GET http://b.example/x HTTP/1.1", "host: B.example")).toMatchObject({
    url: "http://b.example/x",
  });
  expect(head("GET http://b.example?x HTTP/1.1", "host: b.example")).toMatchObject({
    url: "http://b.example/?x",
  });
  expect(get("x-bytes: caf\xe9")).toMatchObject({ headers: [["Host", "a.example"], ["x-bytes", "caf\xe9"]] });
});

describe("parseHead() refuses what two readers could take for two requests", () => {
  test.each<[string, number, string[]]>([
    ["both lengths", 400, ["content-length: 1", "transfer-encoding: chunked"]],
    ["a length twice", 400, ["content-length: 1", "content-length: 1"]],
    ["a list of lengths", 400, ["content-length: 1, 1"]],
    ["a signed length", 400, ["content-length: +1"]],
    ["a length in hex", 400, ["content-length: 0x1"]],
    ["an empty length", 400, ["content-length:"]],
    ["a coding twice", 400, ["transfer-encoding: chunked", "transfer-encoding: chunked"]],
    ["a coding that is not read", 501, ["transfer-encoding: gzip, chunked"]],
    ["a space before the colon", 400, ["content-length : 1"]],
    ["a folded line", 400, ["x-a: b", " content-length: 1"]],
    ["a line without a colon", 400, ["content-length 1"]],
    ["a line end in a value", 400, ["x-a: b\ncontent-length: 1"]],
    ["a return in a value", 400, ["x-a: b\rcontent-length: 1"]],
    ["a zero byte", 400, ["x-a: \0"]],
    ["a second Host", 400, ["host: b.example"]],
    ["another expectation", 417, ["expect: miracles"]],
    ["a length with a byte behind it that only some take for a blank", 400, ["content-length: 1\xa0"]],
    ["a coding with one", 501, ["transfer-encoding: chunked\xa0"]],
  ])("%s", (_, refused, lines) => {
    expect(get(...lines)).toMatchObject({ refused });
  });

  test.each<[string, number]>([
    ["GET  / HTTP/1.1", 400],
    ["GET /a b HTTP/1.1", 400],
    ["GET / HTTP/1.1 ", 400],
    [" GET / HTTP/1.1", 400],
    ["GET /\x00 HTTP/1.1", 400],
    ["GET /\xe9 HTTP/1.1", 400],
    ["GET /a\\..\\b HTTP/1.1", 400],
    ["GET /#a HTTP/1.1", 400],
    ["GET a HTTP/1.1", 400],
    ["OPTIONS * HTTP/1.1", 400],
    ["G@T / HTTP/1.1", 400],
    ["GET /", 400],
    ["GET https://a.example/ HTTP/1.1", 400],
    ["TRACE / HTTP/1.1", 405],
    ["CONNECT a.example:443 HTTP/1.1", 405],
    ["GET http://b.example/ HTTP/1.1", 400],
    ["PRI * HTTP/2.0", 505],
    ["GET / HTTP/1.2", 505],
    ["", 400],
  ])("the line %j", (line, refused) => {
    expect(head(line, "host: a")).toMatchObject({ refused });
  });

  test.each([
    "",
    "a b",
    "a@b",
    "a/b",
    "a:b",
    "a:99999",
    "[::1",
    "[::g]",
    "a..",
    "1.2.3.4.5",
    "a,b",
    "ä",
    ".a",
    "a\tb",
  ])(
    "the Host %j",
    (host) => {
      expect(head("GET / HTTP/1.1", `host: ${host}`)).toMatchObject({ refused: 400 });
    },
  );

  test.each([
    "a",
    "A.Example.",
    "a_b.example",
    "127.0.0.1:3000",
    "[::1]",
    "[::1]:80",
    "xn--bcher-kva.example",
  ])(
    "but not the Host %j",
    (host) => {
      expect(head("GET / HTTP/1.1", `host: ${host}`)).not.toHaveProperty("refused");
    },
  );

  it("no Host, also in HTTP/1.0", () => {
    expect([head("GET / HTTP/1.1"), head("GET / HTTP/1.0")]).toMatchObject([{ refused: 400 }, {
      refused: 400,
    }]);
  });

  it("more than a hundred headers", () => {
    expect(get(...Array<string>(99).fill("a: b"))).not.toHaveProperty("refused");
    expect(get(...Array<string>(100).fill("a: b"))).toMatchObject({ refused: 431 });
  });
});

it("a value keeps its last letter, also where that ends in the byte of a no-break space", () => {
  // "à" is C3 A0, and trimEnd() takes A0 for a blank.
  expect(get("x-bytes: voil\xc3\xa0 \t")).toMatchObject({
    headers: [["Host", "a.example"], ["x-bytes", "voil\xc3\xa0"]],
  });
});

it("a header of blanks costs as much as its length", () => {
  // The pattern gave back one blank after the other and looked at all the rest each time: a head of 32 KiB took half a
  // second, in which nobody else was served. A thousand of them: longer than this test may take.
  for (let i = 0; i < 1_000; i++) expect(get(`x:${" ".repeat(32_000)}\x01`)).toMatchObject({ refused: 400 });
});
