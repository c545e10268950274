import { describe, expect, test } from "vitest";
import { NO_KNOWN_VALUES, sanitise } from "./mod.ts";

const jane = {
  emails: ["Jane.Roe@example.com"],
  names: ["Jane", "Roe", "Jané Roe-Müller"],
  phones: ["+44 7911 123456"],
  ips: ["192.168.7.13"],
};

describe("what the event says about its person", () =>
  test.each([
    ["JANE asked", "<PERSON> asked"],
    ["jane's plan, by ＪＡＮＥ", "<PERSON>'s plan, by <PERSON>"],
    [
      "Janet and Roe stay: one is another word, one is too short",
      "Janet and Roe stay: one is another word, one is too short",
    ],
    ["jane  roe-muller", "<PERSON>"],
    ["JANE ROE-MU\u0308LLER!", "<PERSON>!"],
    ["Ja\u200bne said", "<PERSON> said"],
    ["ring 07911 123456 or (07911) 123-456", "ring <PHONE_NUMBER> or <PHONE_NUMBER>"],
    ["7911123456", "<PHONE_NUMBER>"],
    ["447911123456", "<PHONE_NUMBER>"],
    ["from 192.168.7.13.", "from <IP_ADDRESS>."],
    ["from 192.168.7.130", "from 192.168.7.130"],
    ["jane.roe@EXAMPLE.com", "<EMAIL_ADDRESS>"],
  ])("%s", (input, output) => expect(sanitise(input, jane).text).toBe(output)));

describe("known values", () => {
  test("are not looked for where there are none", () => {
    expect(sanitise("Jane asked", NO_KNOWN_VALUES).text).toBe("Jane asked");
  });

  test("that are words of an empty form are no names", () => {
    const known = { ...NO_KNOWN_VALUES, names: ["null", "test", "Anonymous", "    ", ""] };
    expect(sanitise("a null test by anonymous", known).text).toBe("a null test by anonymous");
  });

  test("with signs of patterns in them are taken as they are", () => {
    const known = { ...NO_KNOWN_VALUES, names: ["A(.*)+ B[", "\\d+\\d+"] };
    expect(sanitise("ask a(.*)+ b[ about x", known).text).toBe("ask <PERSON> about x");
  });
});

describe("ids of people that say nothing about them stay, others don't", () => {
  test.each([
    "019ad56c-5168-7457-bac6-82981da45fb3",
    "12345678",
    "4155550132",
    "user-1",
    "cus_9s6XKzkNRiz8i3",
    "507f1f77bcf86cd799439011",
    "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "0ujtsYcgvSTl8PAuAdqWYSMnLOv",
    "1790436518436298752",
    "auth0|507f1f77bcf86cd799439011",
    "$device:abc-123",
    "anonymous",
    "org_2fTnq9:member_81",
  ])("%s stays", (id) => expect(sanitise(id).text).toBe(id));

  test.each(["jane@example.com", "JANE%40example.com", "+447911123456", "mailto:a@b.co"])(
    "%s does not",
    (id) => expect(sanitise(id).text).not.toBe(id),
  );
});
