import { describe, expect, test } from "vitest";
import { barText, createProgress, progressText } from "./progress.ts";

const half = {
  what: "building",
  total: { records: 1_000_000 },
  done: { records: 500_000, bytes: 400_000_000 },
  elapsedMs: 20_000,
};

describe("progressText()", () => {
  test("says how much is done, how fast, and how long it will take", () => {
    expect(progressText(half)).toBe(
      "building 50 %  500,000 of 1,000,000 records  20.0 MB/s  25,000 records/s  ETA 0:20",
    );
  });

  test("says at the end how long it took", () => {
    const done = { ...half, done: { records: 1_000_000, bytes: 1 }, elapsedMs: 3_725_000 };
    expect(progressText(done)).toContain("building 100 %  1,000,000 of 1,000,000 records");
    expect(progressText(done)).toContain("took 1:02:05");
  });

  test("promises nothing where nobody knows how much there is, or nothing has moved yet", () => {
    expect(progressText({ ...half, total: { records: 0 } })).toBe(
      "building  500,000 records  20.0 MB/s  25,000 records/s",
    );
    expect(progressText({ ...half, done: { records: 0, bytes: 0 } })).toContain("ETA unknown");
  });
});

describe("barText()", () => {
  test("fills the bar by what is done, within the terminal's width", () => {
    const bar = barText(half, "half", 30);
    expect(bar).toBe("[###########...........] half");
    expect(barText(half, "half", 8)).toBe("half");
    for (let columns = 1; columns < 140; columns++) {
      expect(barText(half, progressText(half), columns).length).toBeLessThan(Math.max(columns, 1));
    }
  });
});

describe("createProgress()", () => {
  const run = (columns: number | null) => {
    let now = 0;
    let text = "";
    const clock = { now: () => now, monotonic: () => now, wait: () => Promise.resolve() };
    const progress = createProgress({ write: (more) => text += more, columns, clock });
    progress.begin("building", { records: 100 });
    for (let n = 0; n < 100; n++) {
      now += 130;
      progress.add({ records: 1, bytes: 10 });
    }
    progress.end();
    return text;
  };

  test("writes a plain line now and then where there is no terminal", () => {
    const lines = run(null).trimEnd().split("\n");
    expect(lines).toHaveLength(3);
    for (const line of lines) expect(line).toMatch(/^replay: building \d+ % /);
    expect(lines.at(-1)).toContain("100 of 100 records");
    expect(run(null)).not.toContain("\x1b");
  });

  test("draws one line over and over on a terminal, and ends it", () => {
    const text = run(80);
    expect(text.split("\r").length).toBeGreaterThan(50);
    expect(text.match(/\n/g)).toHaveLength(1);
    expect(text.endsWith("\n")).toBe(true);
  });

  test("is silent about a stretch in which there was nothing to do", () => {
    let text = "";
    const clock = { now: () => 0, monotonic: () => 0, wait: () => Promise.resolve() };
    const progress = createProgress({ write: (more) => text += more, columns: null, clock });
    progress.begin("catching up", { records: 0 });
    progress.end();
    expect(text).toBe("");
  });
});

test("a progress says where it stands, for who stops it, also between two stretches", () => {
  const clock = { now: () => 0, monotonic: () => 0, wait: () => Promise.resolve() };
  const progress = createProgress({ write: () => {}, columns: null, clock });
  expect(progress.state()).toBeNull();
  progress.begin("building", { records: 5_000 });
  progress.add({ records: 1_200, bytes: 1 });
  expect(progress.state()).toBe("building, 1,200 of 5,000 records");
  progress.end();
  expect(progress.state()).toBe("building, 1,200 of 5,000 records");
});
