import { expect, it } from "vitest";
import { manualClock } from "../tests/support/manual_clock.ts";
import { backOffMs, type Failure, retry } from "./retry.ts";

const BACK_OFF = { msFirst: 100, msMax: 1_000 };

it("backOffMs() doubles up to its bound, and chance decides about half of it", () => {
  const most = [1, 2, 3, 4, 5, 1_000].map((failures) => backOffMs(failures, BACK_OFF, () => 0.999_999));
  expect(most).toEqual([100, 200, 400, 800, 1_000, 1_000]);
  const least = [1, 2, 3, 4, 5, 1_000].map((failures) => backOffMs(failures, BACK_OFF, () => 0));
  expect(least).toEqual([50, 100, 200, 400, 500, 500]);
});

it("retry() attempts until it succeeds and tells each failure with the wait that follows", async () => {
  const clock = manualClock();
  const reported: Failure[] = [];
  let attempts = 0;
  const answer = retry(() => {
    if (++attempts < 4) throw new Error(`${attempts}`);
    return "done";
  }, { ...BACK_OFF, clock, random: () => 0, failed: (failure) => void reported.push(failure) });
  await clock.advance(50 + 100 + 200 - 1);
  expect(attempts).toBe(3);
  await clock.advance(1);
  expect(await answer).toBe("done");
  expect(reported.map(({ failures, waitMs }) => [failures, waitMs])).toEqual([[1, 50], [2, 100], [3, 200]]);
});

it("retry() gives up with what `failed` throws", async () => {
  const failed = ({ error }: Failure) => {
    throw error;
  };
  const no = () => Promise.reject(new Error("for good"));
  await expect(retry(no, { ...BACK_OFF, clock: manualClock(), failed })).rejects.toThrow("for good");
});

it("retry() ends without an answer once its signal aborts, but never before one attempt", async () => {
  const clock = manualClock();
  const stop = new AbortController();
  let attempts = 0;
  const no = () => Promise.reject(new Error(`${++attempts}`));
  const ended = retry(no, { ...BACK_OFF, clock, signal: stop.signal });
  await clock.advance(0);
  stop.abort();
  expect([await ended, attempts]).toEqual([undefined, 1]);
  expect(await retry(no, { ...BACK_OFF, clock, signal: stop.signal })).toBeUndefined();
  expect([attempts, clock.pending]).toEqual([2, 0]);
  expect(await retry(() => "once", { ...BACK_OFF, clock, signal: stop.signal })).toBe("once");
});
