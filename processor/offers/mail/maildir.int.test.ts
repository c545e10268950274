import PostalMime from "postal-mime";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
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
  const write = async (n: number) => {
    const messageId = `<offer.${n}@shop.example>`;
    await createMaildirMailer(dataDir, { now }).send({ ...MAIL, messageId }, () => Promise.resolve(true));
    Deno.utimeSync(join(mailDir(dataDir), `offer.${n}@shop.example.eml`), n, n);
  };

  test("has the last 200, reads each once, and none that an erasure has taken", async () => {
    for (let n = 1; n <= 205; n++) await write(n);
    const list = openMailList(dataDir, "maildir");
    const messageIds = async () => (await list()).mails.map(({ messageId }) => messageId);
    expect(await messageIds()).toEqual(
      Array.from({ length: 200 }, (_, n) => `offer.${205 - n}@shop.example`),
    );
    const read = vi.spyOn(Deno, "readFileSync");
    await write(206);
    expect((await messageIds()).slice(0, 2)).toEqual(["offer.206@shop.example", "offer.205@shop.example"]);
    removeMails(dataDir, ["offer.206@shop.example"]);
    expect((await messageIds())[0]).toBe("offer.205@shop.example");
    // The new one, and the 200th that its going brought back.
    expect(read.mock.calls.map(([path]) => String(path).slice(-22))).toHaveLength(2);
    read.mockRestore();
  });
});
