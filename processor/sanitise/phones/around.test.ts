import { describe, expect, test } from "vitest";
import { sanitise } from "../mod.ts";
import { phoneSentences } from "../testdata/phone_sentences.ts";

/** What is in brackets is the number. */
function finds(texts: readonly string[]): void {
  test.each(texts)("%s", (text) => {
    const [input, output] = [text.replace(/[⟦⟧]/g, ""), text.replace(/⟦[^⟧]*⟧/g, "<PHONE_NUMBER>")];
    expect(sanitise(input).text).toBe(output);
  });
}

function leaves(texts: readonly string[]): void {
  test.each(texts)("stays: %s", (text) => expect(sanitise(text).text).toBe(text));
}

describe("a word behind the number", () => {
  finds([
    "⟦620 443 918⟧ -Office",
    "⟦98204 45512⟧ (mobile), ask for Ravi",
    "Reed, ⟦020 7946 0112⟧ Fax",
    "⟦91 604 22 17⟧ [work]",
    "⟦882-7962⟧, my direct line",
    "⟦612 774 905⟧ is the best number for me",
    "⟦44 71 90⟧ (home)",
    "⟦6443 2852⟧ | Phone",
    "⟦22 310 70 69⟧ (biuro)",
    "⟦0711 88 21-40⟧ (privat)",
    "⟦4155550132⟧ is my new number",
    "⟦555-0188⟧ (toll-free)",
  ]);
  leaves([
    "620 443 918 people live there",
    "12 34 56 - work in progress",
    "1200 3400 (main result)",
    "8675309 is the number of users",
    "2024-2025 office hours",
    "page 44 71 90 of the log",
    "10 000 000 (home owners)",
    "1234567 is my favourite number plate",
    "size 112-4480 - direct from the factory",
    "id 5550188 (home)",
  ]);
});

describe("verbs of calling and reaching", () => {
  finds([
    "nobody was answering at ⟦620 443 918⟧",
    "reach me under ⟦089 448812⟧ tomorrow",
    "text ⟦98204 45512⟧ when you land",
    "I tried to get hold of him on ⟦0646 82-34.90⟧",
    "We rang ⟦882-7962⟧ twice",
    "Sie erreichen mich unter ⟦0711 882140⟧",
    "Rückruf bitte an ⟦0221 998 41 20⟧",
    "puede localizarme en el ⟦91 604 22 17⟧",
    "mi trovi al ⟦340 7781120⟧",
    "falar com Ana no ⟦11 3344-7788⟧",
    "dzwonić na ⟦22 310 70 69⟧",
    "Связаться можно по ⟦8-921-448-37-54⟧",
    "请拨打⟦010-66778899⟧",
    "お問い合わせ: ⟦03-5555-0199⟧",
  ]);
  leaves([
    "text of 1200 words and 98204 characters",
    "reach 620 443 918 users",
    "the answer is 4155550",
    "rang 12 times in 2024",
    "dial 1 for sales, 2 for support",
    "contact 20 people by 2025-01-02",
    "answering 10 of 1200 questions",
  ]);
});

describe("labels of fields", () => {
  finds([
    "Main line: ⟦06 63 86 06 97⟧",
    "Toll-free: ⟦0800 448812⟧",
    "Contact: ⟦91 604 22 17⟧",
    "Office: ⟦98298 45041⟧",
    "Office ⟦478-23-20⟧",
    "Home: ⟦44 71 90⟧",
    "Büro: ⟦089/028881⟧",
    "Bureau : ⟦01.44.71.90.22⟧",
    "Oficina: ⟦91 684 49 70⟧",
    "Biuro: ⟦22 230 25 89⟧",
    "Kantoor: ⟦020-8626639⟧",
    "Contact Number: ⟦4420 8891⟧",
    "Reception is on ⟦020 7946 0112⟧",
    "Emergency contact - ⟦620 443 918⟧",
    "support line ⟦882-7962⟧ (24/7)",
    '{"office":"⟦478-23-20⟧"}',
  ]);
  leaves([
    "Office 2016 2019 2021",
    "Main results: 12.5 33.1 44.8",
    "home 1920x1080",
    "Support for 1200 3400 clients",
    "office_id=47823201",
    "#define O_DIRECT\t00040000",
    "work from 2019 to 2023",
    "Line 1200-3400",
    "direct costs 1200 3400 EUR",
    "Reception room 112",
    "office 1600-1800 daily",
    "Free 30 45 60 day plans",
    "number: 123456",
    "numbers: 12 34 56",
    "contact=123456",
    "cliente: 44889012",
    "hold: 448812",
  ]);
});

describe("numbers written in many ways", () => {
  finds([
    "⟦+6-48 793-1842⟧",
    "fax ⟦063.917 2844⟧",
    "mobile: ⟦(0614)-20733 981⟧",
    "tel ⟦0091-742 518.6603⟧",
    "Tél : ⟦0033 6 54 52 23 15⟧",
    "⟦+45 36 77 06 42⟧",
    "⟦8-921-448-37-54⟧",
    "⟦11 91131-2979⟧ or the other door",
    "⟦138 0593 4428⟧",
    "⟦020-8990843⟧",
    "⟦089/933678⟧",
    "⟦93-280-43-59⟧",
    "Cell # ⟦59 20 08⟧",
    "voicemail at ⟦59 20 08⟧",
  ]);
  leaves([
    "policy no. 412-249-3828",
    "Policy number 4412-8890-12",
    "Group number: 448812",
    "NPI 1234567893",
    "MRN: 44-71-902",
    "Order 114-4488120-9981200",
    "Invoice 2024-448812",
    "invoice no: 620 443 918",
    "reservation 436 737 9606",
    "confirmation code 448812",
    "student id 44881290",
    "docket 24-4488-12",
    "prescription no. 4488129",
    "2024-05-12 10:30:12.448 pid 4488 tid 12990",
    "v10.2.448.1290",
    "1920 x 1080 x 2400",
    "const OFFSET_2 = 4155550132;",
    "between 200000 and 448812",
    "scores 12-34, 44-71, 90-22",
    "0.4488129 0.9981200 0.1200340",
    "zip 94105-4488",
    "+10 20 30 40",
    "+3.14 -2.5",
    "loan 4488129000",
    "Case Number 4488-12990",
    "VIN 448 129 900",
    "batch 44-71-90-22",
    "timestamp 1755302400",
    "transaction 4155550132",
  ]);
});

describe("sentences that were not looked at when the rules were made", () => {
  const isNational = (phone: string) => !/^(?:\+|00)/.test(phone);
  const scoreOf = (
    seed: number,
    of: readonly string[],
    isWanted: (phone: string) => boolean = () => true,
  ) => {
    let found = 0, right = 0, wanted = 0;
    for (const { text, phones, kind } of phoneSentences({ seed, count: 4_000, half: "held out" })) {
      if (!of.includes(kind) || !phones.every(isWanted)) continue;
      const digits = (written: string) => written.replace(/\D/g, "");
      const spans = sanitise(text).spans.filter(({ entity }) => entity === "PHONE_NUMBER");
      found += spans.length;
      wanted += phones.length;
      const expected = phones.map(digits);
      right += spans.filter(({ start, end }) => expected.includes(digits(text.slice(start, end)))).length;
    }
    return { precision: right / found, recall: right / wanted, f1: 2 * right / (found + wanted) };
  };

  test("are read with an F1 of at least .93", () => {
    expect(scoreOf(20251130, ["cued", "bare", "none"]).f1).toBeGreaterThan(0.93);
  });

  test("of national numbers without any word at least .6 are found", () => {
    expect(scoreOf(20251201, ["bare"], isNational).recall).toBeGreaterThan(0.6);
  });
});

describe("callers, and area codes with a slash", () => {
  finds([
    "Caller: ⟦2245627206⟧",
    "missed call from ⟦9704646251⟧",
    "Caller ID: ⟦415 555 0132⟧",
    "⟦748/660-2310⟧",
    "Cel: ⟦11 2326-0595⟧",
  ]);
  leaves([
    "caller 12 of 30",
    "missed calls from 3 people",
    "numer zamówienia 1234567890",
    "nr umowy 22 310 70 69",
    "score 120/80-90",
    "cel: 3",
  ]);
});
