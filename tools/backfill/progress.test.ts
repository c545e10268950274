import { expect, test } from "vitest";
import { manualClock } from "../../tests/support/manual_clock.ts";
import { createProgress, progressText } from "./progress.ts";

function progress(columns: number | null) {
  const clock = manualClock();
  const written: string[] = [];
  return {
    clock,
    written,
    progress: createProgress({ what: "publishing", write: (text) => written.push(text), columns, clock }),
  };
}

test("says how much is read, how fast, and when it will be done", () => {
  expect(progressText({ read: 6_100, share: 0.25, elapsedMs: 60_000 })).toBe(
    "25 %  6,100 read  102/s  ETA 3:00",
  );
  expect(progressText({ read: 0, share: 0, elapsedMs: 0 })).toBe("0 %  0 read  0/s  ETA unknown");
});

test("promises nothing where nobody knows how much there is", () => {
  expect(progressText({ read: 6_100, share: null, elapsedMs: 60_000 })).toBe("6,100 read  102/s");
});

test("without a terminal a line every five seconds, however many events there are", async () => {
  const { clock, written, progress: shown } = progress(null);
  for (let read = 1; read <= 120; read++) {
    await clock.advance(100);
    shown.at(read, read / 240);
  }
  shown.clear();
  expect(written).toEqual([
    "backfill: publishing 20 %  50 read  10/s  ETA 0:19\n",
    "backfill: publishing 41 %  100 read  10/s  ETA 0:14\n",
  ]);
});

test("on a terminal one line, never wider than it, that makes room for others", async () => {
  const { clock, written, progress: shown } = progress(21);
  await clock.advance(1_000);
  shown.at(10, 0.5);
  shown.clear();
  shown.clear();
  expect(written).toEqual(["\r\x1b[2Kbackfill: publishing", "\r\x1b[2K"]);
});
