import { describe, expect, test } from "vitest";
import { alnum, base64, hex, HOSTILE } from "./testdata/samples.ts";
import { escapeLine, sanitise } from "./mod.ts";

/** Input and output; null: unchanged. Keys are made at run time, so that no scanner takes this file for a leak. */
type Row = readonly [input: string, output: string | null];

function check(rows: readonly Row[]): void {
  test.each(rows.map(([input, output]) => [input, output ?? input] as const))("%j", (input, output) => {
    expect(sanitise(input).text).toBe(output);
    expect(sanitise(output).text).toBe(output);
  });
}

const E = "<EMAIL_ADDRESS>";
const P = "<PHONE_NUMBER>";
const K = "<API_KEY>";
const C = "<CREDIT_CARD>";

describe("e-mail addresses", () =>
  check([
    ["mail jane.doe+spam@mail.example.co.uk, thanks", `mail ${E}, thanks`],
    ["Write to bob@acme.io.", `Write to ${E}.`],
    ["[x](mailto:bob@acme.io?subject=hi)", `[x](mailto:${E}?subject=hi)`],
    ["用户@例子.公司 and jürgen@müller.de", `${E} and ${E}`],
    ["a@xn--bcher-kva.example", E],
    ['"john doe"@example.org', E],
    ["john dot smith at gmail dot com", E],
    ["john.smith [at] gmail [dot] com", E],
    ["jane\u200b@\u200bexample\u200b.com", E],
    ["ｊａｎｅ＠ｅｘａｍｐｌｅ．ｃｏｍ", E],
    ["jаne@exаmple.com", E],
    ["\u202ejane@example.com\u202c!", `\u202e${E}\u202c!`],
    ["?u=jane%40example.com&x=1", `?u=${E}&x=1`],
    ["jane&#64;example.com", E],
    ["bob@acme.io,eve@acme.io;4111111111111111", `${E},${E};${C}`],
    [
      '{"email":"a.b@c.dev","phone":"+1-202-555-0143","n":12345678}',
      `{"email":"${E}","phone":"${P}","n":12345678}`,
    ],
    ["我的邮箱是jane@example.com请回复", `我的邮箱是${E}请回复`],
    ["npm:zod@3.21.4", null],
    ["@types/node@20.1.0", null],
    ["@Override", null],
    ["user@host:~$", null],
    ["git@github.com:org/repo.git", null],
    ["logo@2x.png", null],
  ]));

describe("telephone numbers", () =>
  check([
    ["call (415) 555-0132 x204 now", `call ${P} now`],
    ["cell 415.555.0132", `cell ${P}`],
    ["+447911123456", P],
    ["Tel.: 030 901820", `Tel.: ${P}`],
    ["+49 (0)151 23456789", P],
    ["appelez le 06 12 34 56 78 demain", `appelez le ${P} demain`],
    ["mi móvil es 612 345 678", `mi móvil es ${P}`],
    ["meu celular (11) 91234-5678", `meu celular ${P}`],
    ["mobile: 98765 43210", `mobile: ${P}`],
    ["電話 03-1234-5678 です", `電話 ${P} です`],
    ["我的手机号是13812345678。", `我的手机号是${P}。`],
    ["제 전화번호는 010-1234-5678 입니다", `제 전화번호는 ${P} 입니다`],
    ["тел. 8 (912) 345-67-89", `тел. ${P}`],
    ["هاتفي ٠٥٠١٢٣٤٥٦٧", `هاتفي ${P}`],
    ["電話：０９０－１２３４－５６７８", `電話：${P}`],
    ["+1\u00a0415\u00a0555\u00a00132", P],
    ['{"created_at": 1755302400, "product_id": 3074185296}', null],
    ["2024-05-12", null],
    ["12/31/1999 23:59:59", null],
    ["hosted-eu-20260812-09", null],
    ["PO1234567", null],
    ["20241130.0917", null],
    ["3.14159265358979 * 1234567890", null],
    ["2147483647", null],
    ["2147483648", null],
    ["pages 1000-2000", null],
    ["700-1000 calories", null],
    ["1,234,567.89 USD", null],
    ["ISBN 978-3-16-148410-0", null],
    ["[91480041, 9380041, 205-422-1680 ...]", null],
  ]));

describe("cards, bank accounts and numbers of the state", () =>
  check([
    ["4111 1111 1111 1111", C],
    ["5555-5555-5555-4444", C],
    ["3782 822463 10005", C],
    ["card:4111111111111111", `card:${C}`],
    ["4111\u200b 1111\u200b 1111\u200b 1111", C],
    ["GB82 WEST 1234 5698 7654 32 please", "<IBAN_CODE> please"],
    ["DE89370400440532013000", "<IBAN_CODE>"],
    ["my SSN is 536-90-4399.", "my SSN is <US_SSN>."],
    ["ssn: 536904399", "ssn: <US_SSN>"],
    ["ITIN 912-78-1234", "ITIN <US_ITIN>"],
    ["passport number: C01234567", "passport number: <US_PASSPORT>"],
    ["driver's license D1234567", "driver's license <US_DRIVER_LICENSE>"],
    ["bank account number 000123456789", "bank account number <US_BANK_NUMBER>"],
    ["4123456789012", null],
    ["4111111111111112", null],
    ["123e4567-e89b-12d3-a456-426614174000", null],
    ["C28.8702 65 31.1557 62.6385 31", null],
    ["GB82 WEST 1234 5698 7654 33", null],
    ["000-12-3456", null],
    ["666-12-3456", null],
    ["IMEI 490154203237518", null],
    ["IMEI: 356938035643809", null],
  ]));

describe("addresses of machines", () =>
  check([
    ["from 203.0.113.42:8080 hit", "from <IP_ADDRESS>:8080 hit"],
    ["2001:db8:85a3::8a2e:370:7334", "<IP_ADDRESS>"],
    ["2001:0db8:85a3:0000:0000:8a2e:0370:7334", "<IP_ADDRESS>"],
    ["::ffff:192.0.2.128", "<IP_ADDRESS>"],
    ["00:1A:2B:3C:4D:5E", "<MAC_ADDRESS>"],
    ["001a.2b3c.4d5e", "<MAC_ADDRESS>"],
    ["std::vector", null],
    ["Foo::Bar", null],
    ["version 1.2.3.4", null],
    ["Section 4.1.2.4", null],
    ["1.3.6.1.2.1.1.5", null],
    ["12:30:45", null],
    ["127.0.0.1", null],
    ["0.0.0.0", null],
    ["10.1.2.3 172.16.5.4 192.168.0.17", null],
    ["8.8.8.8", null],
  ]));

const jwt = `eyJ${base64(30)}.eyJ${base64(60)}.${base64(43)}`;
const pem = (end: string) =>
  `-----BEGIN RSA PRIVATE KEY-----\n${base64(64)}\n${base64(64)}\n${base64(22)}==${end}`;

describe("secrets", () => {
  check([
    [`AKIA${alnum(16).toUpperCase()}`, K],
    [`aws_secret_access_key = ${base64(40)}`, `aws_secret_access_key = ${K}`],
    [`AIza${base64(35)}`, K],
    [`ghp_${alnum(36)}`, K],
    [`github_pat_${alnum(22)}_${alnum(59)}`, K],
    [`xoxb-${"123456789012"}-${"210987654321"}-${alnum(24)}`, K],
    [
      `https://hooks.slack.com/services/T${alnum(8).toUpperCase()}/B${alnum(8).toUpperCase()}/${alnum(24)}`,
      `https://hooks.slack.com/services/${K}`,
    ],
    [`sk_live_${alnum(24)}`, K],
    [`sk-proj-${alnum(20)}T3BlbkFJ${alnum(20)}`, K],
    [`ANTHROPIC_API_KEY=sk-ant-api03-${base64(93)}AA`, `ANTHROPIC_API_KEY=${K}`],
    [`hf_${alnum(34)}`, K],
    [`Bearer ${jwt}`, "Bearer <JWT>"],
    [pem("\n-----END RSA PRIVATE KEY-----"), "<PRIVATE_KEY>"],
    [pem(""), "<PRIVATE_KEY>"],
    [`${pem("")}\nWhat is wrong with it?`, "<PRIVATE_KEY>\nWhat is wrong with it?"],
    [`postgres://app:${alnum(12)}@db.internal:5432/x`, "postgres://app:<PASSWORD>@db.internal:5432/x"],
    [`GET /cb?access_token=${alnum(32)}&state=ok`, `GET /cb?access_token=${K}&state=ok`],
    ["password: hunter2!xyz then", "password: <PASSWORD> then"],
    ["密码:ab12cd密码:ef34gh", "密码:<PASSWORD>密码:<PASSWORD>"],
    ["process.env.OPENAI_API_KEY", null],
    ["api_key = YOUR_API_KEY_HERE", null],
    ["password: ********", null],
    [`commit ${hex(40)}`, null],
    [`integrity="sha256-${base64(43)}="`, null],
    [`data:image/png;base64,iVBORw0KGgo${base64(120)}`, null],
    ["np.array(tokens, dtype=np.uint16)", null],
    ["const secret = parseSignedCookie(req.cookies.sid2, keys1)", null],
    [`"key": "${hex(40)}"`, null],
  ]);

  test("a key at the start, in the middle and at the end of 1 MB: all are replaced", () => {
    const key = `ghp_${alnum(36)}`;
    const filler = "lorem ipsum dolor sit amet ".repeat(18_500);
    const { text, spans } = sanitise(`${key} ${filler}${key} ${filler}${key}`);
    expect(text).not.toContain(key.slice(4, 12));
    expect(spans).toHaveLength(3);
  });
});

describe("wallets and people", () =>
  check([
    [`send to bc1q${"ar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"}`, "send to <CRYPTO>"],
    [`0x${hex(40)}`, "<CRYPTO>"],
    [
      "Hi, my name is María-José O'Neill and I need help",
      "Hi, my name is <PERSON> and I need help",
    ],
    ["Alice and Bob walk; Newton's laws; a song by Bob Dylan", null],
  ]));

describe("everything around", () => {
  check([
    ["<script>var e='a@b.co'</script><b>x</b>", `<script>var e='${E}'</script><b>x</b>`],
    ["👩‍👩‍👧 bob@acme.io👍🏽", `👩‍👩‍👧 ${E}👍🏽`],
    [`${E} and ${P}`, null],
  ]);

  test("terminal escape sequences and control characters go, tabs and line ends stay", () => {
    expect(sanitise("\u001b[31mbob@acme.io\u001b[0m").text).toBe(E);
    expect(sanitise("\u001b]8;;http://x\u0007link\u001b]8;;\u0007 a\0b\u0007c\td\r\ne\u007ff\u009fg").text)
      .toBe("link abc\td\r\nefg");
  });

  test("a control character inside an address does not hide it", () => {
    expect(sanitise("bob\0@ac\u001b[1mme.io").text).toBe(E);
  });

  test("lone surrogates become U+FFFD", () => {
    expect(sanitise("a\ud800b bob@acme.io \udc00").text).toBe(`a\ufffdb ${E} \ufffd`);
  });

  test("one record is one line for readers that split at U+0085, U+2028 and U+2029 too", () => {
    const text = "a\u2028b\u2029c\u0085d";
    const line = escapeLine(JSON.stringify(sanitise(text)));
    for (const end of "\u0085\u2028\u2029\v\f\u001c\u001d\u001e\n\r") expect(line).not.toContain(end);
    expect(JSON.parse(line).text).toBe(text);
  });

  test("spans are units of the input text", () => {
    const text = "👍 ｊane@example.com, ٠٥٠";
    const [span] = sanitise(text).spans;
    expect(text.slice(span!.start, span!.end)).toBe("ｊane@example.com");
    expect(span!.entity).toBe("EMAIL_ADDRESS");
  });

  test("what stands in a text that grows when folded is replaced where it stands", () => {
    const grows = "… ".repeat(200);
    expect(sanitise(`${grows}4111 1111 1111 1111, bob@acme.io`).text).toBe(`${grows}<CREDIT_CARD>, ${E}`);
  });

  test("a text of over 1 MiB is refused, one of exactly 1 MiB is not", () => {
    expect(() => sanitise("x".repeat(1024 * 1024 + 1))).toThrow(
      expect.objectContaining({ code: "too_large" }),
    );
    expect(() => sanitise("é".repeat(512 * 1024 + 1))).toThrow(
      expect.objectContaining({ code: "too_large" }),
    );
    expect(sanitise("é".repeat(512 * 1024)).spans).toEqual([]);
  });
});

describe("hostile texts of 1 MB are answered, and what is planted in them is found", () => {
  test.each(HOSTILE.map((unit) => [JSON.stringify(unit).slice(0, 40), unit] as const))("%s", (_, unit) => {
    const text = unit.repeat(Math.ceil(1_000_000 / new TextEncoder().encode(unit).length));
    const { text: out } = sanitise(`${text} \n\nWrite to bob@acme.io now`.slice(-1_040_000));
    expect(out).toContain("Write to <EMAIL_ADDRESS> now");
  });
});
