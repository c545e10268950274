import { describe, expect, test } from "vitest";
import { NO_KNOWN_VALUES, sanitise } from "../mod.ts";

/** By a known name: texts in which it is in brackets where it is found. */
function named(name: string, texts: readonly string[]): void {
  test.each(texts)(`${name}: %s`, (text) => {
    const [input, output] = [text.replace(/[⟦⟧]/g, ""), text.replace(/⟦[^⟧]*⟧/g, "<PERSON>")];
    expect(sanitise(input, { ...NO_KNOWN_VALUES, names: [name] }).text).toBe(output);
  });
}

describe("a known name that is a word too", () => {
  named("Will", [
    "Dear ⟦Will⟧, the plan will change",
    "ask ⟦Will⟧ whether it will rain",
    "Will it work? I will see",
    "He will. Will you?",
    "WILL YOU HELP",
    "- Will they come",
    "free will and good will",
    '"Will" she asked, and ⟦Will⟧ nodded',
  ]);
  named("Mark", [
    "mark the cell, then tell ⟦Mark⟧",
    "question mark",
    "Mark all as read",
    "from ⟦Mark⟧'s laptop",
    "benchmark",
  ]);
  named("Grace", ["a grace period", "for ⟦Grace⟧ and her team", "\nGrace period: 3 days"]);
  named("Summer", ["this summer, with ⟦Summer⟧", "Summer is hot", "summertime"]);
  named("Hope", ["I hope so", "we wrote to ⟦Hope⟧ today", "Hope this helps"]);
  named("Young", ["young people", "Ms ⟦Young⟧ said"]);
  named("Will Smith", ["⟦will smith⟧ will come", "⟦Will Smith⟧", "WILL, SMITH"]);
  named("Jane", ["⟦jane⟧ and ⟦JANE⟧", "⟦Jane⟧ asked"]);
});

describe("a known name in Chinese, Japanese or Korean characters", () => {
  named("王伟", ["我是⟦王伟⟧，请回复", "⟦王伟⟧的订单", "王先生"]);
  named("欧阳娜", ["请联系⟦欧阳娜⟧。"]);
  named("田中", ["⟦田中⟧さんへ"]);
  named("김철수", ["⟦김철수⟧는 회의에 왔다", "저는 ⟦김철수⟧입니다"]);
  named("지우", ["⟦지우⟧가 말했다", "지우개를 샀다", "⟦지우⟧ 씨"]);
  named("アン", ["⟦アン⟧さん", "アンケートを作る", "プランアン"]);
  named("李", ["李的书"]);
});

describe("a known address of a machine", () => {
  const known = { ...NO_KNOWN_VALUES, ips: ["192.168.7.13", "fe80::1"] };
  test.each([
    ["http://192.168.7.13:8080/x", "http://<IP_ADDRESS>:8080/x"],
    ["ip:192.168.7.13", "ip:<IP_ADDRESS>"],
    ["192.168.7.13:22 refused", "<IP_ADDRESS>:22 refused"],
    ["192.168.7.130:22", "192.168.7.130:22"],
    ["192.168.7.13.5", "192.168.7.13.5"],
    ["at fe80::1 now", "at <IP_ADDRESS> now"],
    ["fe80::1:2", "fe80::1:2"],
  ])("%s", (input, output) => expect(sanitise(input, known).text).toBe(output));
});

describe("a known name as lists of people have it", () =>
  named("Jane Doe", [
    "1. ⟦Doe, Jane⟧ (12)",
    "⟦DOE, JANE⟧",
    "⟦Jane Doe⟧, Jane",
    "Doe and Jane",
    "Does, Janet",
  ]));
