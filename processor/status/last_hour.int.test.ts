import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { manualClock } from "../../tests/support/manual_clock.ts";
import { countLatencies } from "../loop/latency.ts";
import { LastHour, minuteOf, MINUTES_SHOWN } from "./last_hour.ts";

const MINUTE_MS = 60_000;

let directory: string;
let path: string;
beforeEach(async () => {
  directory = await Deno.makeTempDir();
  path = join(directory, "figures.json");
});
afterEach(() => Deno.remove(directory, { recursive: true }));

function begin(clock = manualClock()) {
  const said: string[] = [];
  const hour = new LastHour(path, { clock, say: (level, text) => said.push(`${level}: ${text}`) });
  return { hour, clock, said, now: () => hour.minutes().get(minuteOf(clock.now())) };
}
const lines = (...times: number[]) => countLatencies(times).counts;

test("lag of a minute is its greatest, and latencies add up", () => {
  const { hour, now } = begin();
  for (const seconds of [1, 30, 2]) hour.sawLag("dataset-writer", seconds);
  hour.sawLag("discount-offers", 0);
  hour.sawLines(lines(1));
  hour.sawLines(lines(1, 700));
  expect(now()).toMatchObject({
    lagSeconds: { "dataset-writer": 30, "discount-offers": 0 },
    latencies: lines(1, 1, 700),
  });
});

test("a file that others cannot read keeps it over a restart, and is written only where there is news", async () => {
  const { hour, clock, now } = begin();
  const stopping = new AbortController();
  const keeping = hour.keep(stopping.signal);
  await clock.advance(20_000);
  expect([...Deno.readDirSync(directory)]).toEqual([]);
  hour.sawLag("dataset-writer", 4);
  await clock.advance(5_000);
  hour.sawLines(lines(9));
  stopping.abort();
  await keeping;
  expect(Deno.statSync(path).mode! & 0o777).toBe(0o600);
  expect(begin(clock).now()).toEqual(now());
});

test("what is older than an hour is gone, from memory and file, and so is what a clock that was ahead has left", async () => {
  const clock = manualClock();
  const { hour } = begin(clock);
  hour.sawLag("dataset-writer", 1);
  await clock.advance((MINUTES_SHOWN - 1) * MINUTE_MS);
  expect(hour.minutes().size).toBe(1);
  hour.sawLag("dataset-writer", 2);
  await clock.advance(MINUTE_MS);
  expect([...hour.minutes().values()].map(({ lagSeconds }) => lagSeconds["dataset-writer"])).toEqual([2]);
  await hour.save();
  expect(JSON.parse(Deno.readTextFileSync(path)).minutes).toHaveLength(1);
  expect(begin(manualClock()).hour.minutes().size).toBe(0);
});

test("minutes are bounded, however long it runs", async () => {
  const { hour, clock } = begin();
  for (let n = 0; n < 3 * MINUTES_SHOWN; n++) {
    hour.sawLines(lines(1));
    await clock.advance(MINUTE_MS);
  }
  await hour.save();
  expect(JSON.parse(Deno.readTextFileSync(path)).minutes).toHaveLength(MINUTES_SHOWN - 1);
});

test.each(["{", "[]", '{"minutes":[{"minute":1,"lagSeconds":{},"latencies":[1]}]}'])(
  "a damaged file, %s, is said once and begun anew",
  async (text) => {
    Deno.writeTextFileSync(path, text);
    const { hour, said } = begin();
    expect(said).toEqual([expect.stringMatching(/^warn: Cannot read ".*figures\.json": it is damaged/)]);
    hour.sawLag("dataset-writer", 1);
    await hour.save();
    expect(begin().said).toEqual([]);
  },
);

test("a directory that cannot be written ends nothing", async () => {
  const { hour, said, now } = begin();
  hour.sawLag("dataset-writer", 1);
  await Deno.remove(directory, { recursive: true });
  await hour.save();
  expect([said.length, now()!.lagSeconds]).toEqual([1, { "dataset-writer": 1 }]);
  Deno.mkdirSync(directory);
  await hour.save();
  expect(begin().hour.minutes().size).toBe(1);
});
