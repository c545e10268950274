import PostalMime from "postal-mime";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { MailListing } from "../../../contract/processor_api.ts";
import { renderDiscountEmail } from "../core/discount_email.ts";
import { mailDir, removeMails } from "./files.ts";
import { openMailList } from "./list.ts";
import { createMaildirMailer } from "./maildir.ts";

const MAIL = renderDiscountEmail({
  code: "SAVE-<1>",
  messageId: "<offer.1@shop.example>",
  from: { name: "Shop", address: "offers@shop.example", domain: "shop.example" },
  to: "ada@example.org",
  uses: 5,
  publicUrl: "http://localhost:8000",
  unsubscribeToken: "a.b.c",
});
const now = () => Date.UTC(2026, 0, 1);

let dataDir: string;
beforeEach(async () => {
  dataDir = await Deno.makeTempDir();
});
afterEach(() => Deno.remove(dataDir, { recursive: true }));

const files = () => [...Deno.readDirSync(mailDir(dataDir))].map((entry) => entry.name);
const temporaryFiles = () => [...Deno.readDirSync(join(dataDir, "mail", "tmp"))].map((entry) => entry.name);

describe("a mail written as a file", () => {
  test("is there whole under its Message-ID, and the mailer knows it", async () => {
    const mailer = createMaildirMailer(dataDir, { now });
    expect(await mailer.outcomeOf(MAIL.messageId)).toBe("not_sent");
    expect(await mailer.send(MAIL, () => Promise.resolve(true))).toEqual({
      is: "accepted",
      serverAnswer: "written",
    });
    expect(files()).toEqual(["offer.1@shop.example.eml"]);
    expect(await mailer.outcomeOf(MAIL.messageId)).toBe("accepted");
    const parsed = await PostalMime.parse(Deno.readFileSync(join(mailDir(dataDir), files()[0]!)));
    expect(parsed.subject).toBe("Your discount code: SAVE-<1>");
    expect(parsed.html).toContain("SAVE-&#60;1&#62;");
    expect(parsed.date).toBe("2026-01-01T00:00:00.000Z");
  });

  test("is whole on disk but not in place while the claim is made", async () => {
    const mailer = createMaildirMailer(dataDir, { now });
    await mailer.send(MAIL, () => {
      expect(files()).toEqual([]);
      expect(temporaryFiles()).toEqual(["offer.1@shop.example.eml"]);
      return Promise.resolve(true);
    });
    expect(temporaryFiles()).toEqual([]);
  });

  test.each([
    ["does not hold", () => Promise.resolve(false)],
    ["cannot be published", () => Promise.reject(new Error("away"))],
  ])("leaves nothing where the claim %s", async (_, claim) => {
    const mailer = createMaildirMailer(dataDir, { now });
    expect(await mailer.send(MAIL, claim)).toEqual({ is: "void" });
    expect([...files(), ...temporaryFiles()]).toEqual([]);
  });

  test("a file that a killed run left half-way is gone at the next start and counts as not sent", async () => {
    const killed = createMaildirMailer(dataDir, { now });
    void killed.send(MAIL, () => new Promise(() => {}));
    while (temporaryFiles().length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    const next = createMaildirMailer(dataDir, { now });
    expect(temporaryFiles()).toEqual([]);
    expect(await next.outcomeOf(MAIL.messageId)).toBe("not_sent");
  });

  test("an address with a comma or an angle bracket stays one recipient", async () => {
    const mailer = createMaildirMailer(dataDir, { now });
    await mailer.send({ ...MAIL, to: '"a,b<c>"@example.org' }, () => Promise.resolve(true));
    const parsed = await PostalMime.parse(Deno.readFileSync(join(mailDir(dataDir), files()[0]!)));
    expect(parsed.to?.map((to) => to.address)).toHaveLength(1);
  });
});

describe("the list of mails", () => {
  const write = async (n: number, mail: Partial<typeof MAIL> = {}) => {
    const messageId = `<offer.${n}@shop.example>`;
    await createMaildirMailer(dataDir, { now }).send(
      { ...MAIL, ...mail, messageId },
      () => Promise.resolve(true),
    );
    Deno.utimeSync(join(mailDir(dataDir), `offer.${n}@shop.example.eml`), n, n);
  };
  const numbersIn = ({ mails }: MailListing) =>
    mails.map(({ messageId }) => Number(messageId.split(/[.@]/)[1]));
  const down = (from: number, count: number) => Array.from({ length: count }, (_, i) => from - i);
  const NEWEST = { search: null, before: null, limit: 50 };

  test("has the newest, reads each once, and none that an erasure has taken", async () => {
    for (let n = 1; n <= 55; n++) await write(n);
    const list = openMailList(dataDir, "maildir");
    expect(numbersIn(await list(NEWEST))).toEqual(down(55, 50));
    const read = vi.spyOn(Deno, "readFileSync");
    await write(56);
    expect(numbersIn(await list(NEWEST)).slice(0, 2)).toEqual([56, 55]);
    removeMails(dataDir, ["offer.56@shop.example"]);
    expect(await list(NEWEST)).toMatchObject({ mailer: "maildir", total: 55 });
    // The new one; the 50th, which its going brought back, is still known.
    expect(read.mock.calls.map(([path]) => String(path).slice(-22))).toHaveLength(1);
    read.mockRestore();
  });

  test("goes on by cursor where a page ended, whatever came, went, or has the same time", async () => {
    for (let n = 1; n <= 7; n++) await write(n);
    for (const n of [3, 4, 5]) Deno.utimeSync(join(mailDir(dataDir), `offer.${n}@shop.example.eml`), 4, 4);
    const list = openMailList(dataDir, "maildir");
    const first = await list({ ...NEWEST, limit: 3 });
    expect([numbersIn(first), first.total]).toEqual([[7, 6, 5], 7]);
    removeMails(dataDir, ["offer.5@shop.example"]);
    await write(8);
    const second = await list({ ...NEWEST, limit: 2, before: first.older });
    expect(numbersIn(second)).toEqual([4, 3]);
    const last = await list({ ...NEWEST, limit: 2, before: second.older });
    expect([numbersIn(last), last.older, last.total]).toEqual([[2, 1], null, 7]);
    expect([first, second, last].flatMap(({ mails }) => mails.map(({ rank }) => rank))).toEqual([
      ...[0, 1, 2],
      ...[3, 4],
      ...[5, 6],
    ]);
  });

  test.each([
    ["ada@EXAMPLE", [1]],
    ["carl", [3, 2]],
    ["save-<2>", [2]],
    ["two   words\nin a row", [3]],
    ["offers@shop", []],
    [".*", []],
  ])(
    "finds what recipient, subject and text say, in any case and however lines are broken: %j",
    async (search, found) => {
      await write(1);
      await write(2, { to: "Carl <carl@example.org>", subject: "Your discount code: SAVE-<2>" });
      await write(3, { to: "mia@example.org", text: "Ask Carl, who has two\nwords in a row" });
      const page = await openMailList(dataDir, "maildir")({ ...NEWEST, search });
      expect(numbersIn(page)).toEqual(found);
      expect([page.total, page.lookedAt, page.older]).toEqual([3, 3, null]);
    },
  );

  test("looks at 500 at a time, says so, and goes on behind them", async () => {
    await write(1);
    for (let n = 2; n <= 505; n++) {
      const path = join(mailDir(dataDir), `offer.${n}@shop.example.eml`);
      Deno.writeTextFileSync(
        path,
        `To: ada@example.org\r\nSubject: ${n % 398 === 2 ? "the needle" : n}\r\n\r\nhello`,
      );
      Deno.utimeSync(path, n, n);
    }
    const list = openMailList(dataDir, "maildir");
    const wanted = { ...NEWEST, search: "NEEDLE" };
    const first = await list(wanted);
    expect([numbersIn(first), first.lookedAt, first.total]).toEqual([[400], 500, 505]);
    const rest = await list({ ...wanted, before: first.older });
    expect([numbersIn(rest), rest.lookedAt, rest.older]).toEqual([[2], 5, null]);
  });
});
