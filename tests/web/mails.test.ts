import { afterEach, describe, expect, test } from "vitest";
import type { MailListing } from "../../contract/processor_api.ts";
import { foundText, isUnread, keptRead, mailQuestion, READ_MAX, readIdsIn } from "../../web/core/mails.ts";
import { mailFile, mailName, mailQuery } from "../../web/server/mail.ts";

const ids = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `mail-${from + i}`);

describe("which mails were read", () => {
  test("is kept with those read last at the end, each once, and the first go beyond a thousand", () => {
    expect(keptRead(["a", "b", "c"], ["b", "d"])).toEqual(["a", "c", "b", "d"]);
    const kept = keptRead(ids(0, READ_MAX), ids(READ_MAX, READ_MAX + 3));
    expect([kept.length, kept[0], kept.at(-1)]).toEqual([READ_MAX, "mail-3", `mail-${READ_MAX + 2}`]);
    expect(keptRead([], ids(0, READ_MAX + 5))[0]).toBe("mail-5");
  });

  test.each([
    [null, []],
    ["", []],
    ["{", []],
    ['{"a":1}', []],
    ["7", []],
    ['["a",7,null,"b"]', ["a", "b"]],
  ])("is nothing where something else is written there: %j", (json, read) => {
    expect(readIdsIn(json)).toEqual(read);
  });

  test("is told of no mail that is too old to be remembered, and of none before the browser was asked", () => {
    const read = new Set(["a"]);
    expect(isUnread({ messageId: "a", rank: 5_000 }, read)).toBe(false);
    expect(isUnread({ messageId: "b", rank: 0 }, read)).toBe(true);
    expect(isUnread({ messageId: "b", rank: READ_MAX - 1 }, read)).toBe(true);
    expect(isUnread({ messageId: "b", rank: READ_MAX }, read)).toBeNull();
    expect(isUnread({ messageId: "b", rank: 0 }, null)).toBeNull();
  });
});

describe("a page of mails", () => {
  test("is asked for by its address, and a search by a body alone", () => {
    expect(mailQuestion({ search: " ", before: null })).toEqual({ path: "/api/mails?limit=50" });
    expect(mailQuestion({ search: "", before: "17/a@b" })).toEqual({
      path: "/api/mails?limit=50&before=17%2Fa%40b",
    });
    expect(mailQuestion({ search: "ada@example.org", before: "17/a@b" })).toEqual({
      path: "/api/mails/search",
      order: { search: "ada@example.org", before: "17/a@b", limit: 50 },
    });
  });

  test("passes over what is no cursor, and cuts what is longer than a search may be", () => {
    const query = (text: string) => mailQuery(new URLSearchParams(text));
    expect(query("")).toEqual({ search: "", before: null });
    expect(query("before=17/offer.1@shop.example&search=a+b")).toEqual({
      search: "a b",
      before: "17/offer.1@shop.example",
    });
    for (const before of ["x", "17", "17/", "17/../../x", "17/a b"]) {
      expect(query(`${new URLSearchParams({ before })}`).before).toBeNull();
    }
    expect(query(`search=${"x".repeat(500)}`).search).toHaveLength(200);
  });

  const listing = (found: number, more: Partial<MailListing> = {}): MailListing => ({
    mailer: "maildir",
    mails: Array.from({ length: found }, (_, rank) => ({
      messageId: `${rank}`,
      to: "",
      subject: "",
      sentAt: "",
      rank,
    })),
    total: 1204,
    lookedAt: found,
    older: null,
    ...more,
  });
  test.each([
    [listing(1, { total: 1 }), "", null, "1 mail, newest first"],
    [listing(50, { older: "1/x" }), "", null, "50 of 1,204 mails, newest first"],
    [listing(4), "", "1/x", "4 of 1,204 mails, newest first"],
    [listing(0, { lookedAt: 1204 }), "ada", null, "0 found in 1,204 mails"],
    [
      listing(0, { lookedAt: 500, older: "1/x" }),
      "ada",
      null,
      "0 found in the 500 of 1,204 mails that were looked at; older ones are still to be looked at",
    ],
  ])("says what it has: %#", (listing, search, before, words) => {
    expect(foundText(listing, { search, before })).toBe(words);
  });
});

describe("a mail's file", () => {
  const servers: Deno.HttpServer<Deno.NetAddr>[] = [];
  afterEach(async () => {
    for (const server of servers.splice(0)) await server.shutdown();
  });
  const asked: string[] = [];
  const processor = (answer: () => Response) => {
    const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, ({ url }) => {
      asked.push(new URL(url).pathname);
      return answer();
    });
    servers.push(server);
    const console = { publicHost: "localhost", allowedHosts: [], password: null, anonymous: false };
    return { processorUrl: `http://127.0.0.1:${server.addr.port}`, console };
  };

  test("is the bytes that were sent, also those that are no text, under a name that is the mail's", async () => {
    const bytes = new Uint8Array(256 * 3).map((_, i) => i % 256);
    const type = { "content-type": "message/rfc822" };
    const from = processor(() => new Response(bytes, { headers: type }));
    const file = await mailFile("<offer.1@shop.example>", from);
    expect(new Uint8Array(await file.arrayBuffer())).toEqual(bytes);
    expect([...file.headers].filter(([name]) => name.startsWith("content-"))).toEqual([
      ["content-disposition", 'attachment; filename="offer.1@shop.example.eml"'],
      ["content-type", "message/rfc822"],
    ]);
    expect(file.headers.get("x-content-type-options")).toBe("nosniff");
    expect(asked.at(-1)).toBe("/api/mails/%3Coffer.1%40shop.example%3E");
  });

  test("has no name that could end the header or lead elsewhere", () => {
    expect(mailName('a"; filename="../../x\r\ny.exe')).toBe("a___filename__.._.._x__y.exe");
  });

  test("is none where there is no such mail, and where nobody answers", async () => {
    const none = await mailFile(
      "x",
      processor(() => Response.json({ error: { code: "not_found" } }, { status: 404 })),
    );
    expect([none.status, none.headers.get("content-disposition")]).toEqual([404, null]);
    const away = { ...processor(() => new Response()), processorUrl: "http://127.0.0.1:1" };
    expect((await mailFile("x", away)).status).toBe(502);
  });
});
