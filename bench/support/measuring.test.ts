import { describe, expect, test } from "vitest";
import { medians, Stretch } from "./measuring.ts";

describe("what is counted", () => {
  test("the records of the warm-up are not, nor their CPU time", () => {
    let cpu = 5_000_000;
    const stretch = new Stretch(100, () => cpu);
    stretch.passed(99);
    cpu += 1_000_000;
    stretch.passed(120);
    cpu += 880;
    stretch.passed(500);
    expect(stretch.end(1000, 7)).toMatchObject({ records: 880, cpuSecondsPerMillion: 1, rssMbMax: 7 });
    expect(stretch.end(1000, 7).cpuSecondsPerMillionInAll).toBe(6000.9);
  });

  test("nothing is, before everything is open", () => {
    const stretch = new Stretch(100, () => 0);
    stretch.passed(100, () => false);
    stretch.passed(300, () => true);
    stretch.passed(400, () => {
      throw new Error("asked again");
    });
    expect(stretch.end(1000, null).records).toBe(700);
  });

  test("all of it, without a warm-up", () => {
    expect(new Stretch(0, () => 0).end(1000, null).records).toBe(1000);
  });

  test("a warm-up that took all of the records is said", () => {
    const stretch = new Stretch(100, () => 0);
    stretch.passed(500, () => false);
    expect(() => stretch.end(1000, null)).toThrow("the warm-up took all of them");
  });
});

test("each figure has a median of its own, and none where no round has it", () => {
  const round = (perSecond: number, cpuSecondsPerMillion: number) => ({
    records: 10,
    perSecond,
    cpuSecondsPerMillion,
    cpuSecondsPerMillionInAll: null,
    rssMbMax: null,
  });
  const three = [round(30, 1), round(10, 3), round(20, 9)];
  expect(medians(three)).toEqual({ ...round(20, 3) });
  expect(medians(three.slice(0, 2))).toEqual({ ...round(20, 2) });
});
