import { describe, expect, it } from "vitest";
import { manualClock } from "../tests/support/manual_clock.ts";
import { systemClock, within } from "./clock.ts";

/** A signal that counts who listens to it. */
function watchedSignal() {
  const controller = new AbortController();
  const { signal } = controller;
  let listeners = 0;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
    listeners++;
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
    listeners--;
    removeEventListener.apply(signal, args);
  };
  return { controller, signal, listeners: () => listeners };
}

describe.each([
  ["the machine's clock", () => ({ clock: systemClock, advance: () => Promise.resolve() })],
  ["the tests' clock", () => {
    const clock = manualClock();
    return { clock, advance: () => clock.advance(1) };
  }],
])("waiting by %s", (_, make) => {
  it("leaves no listener on a signal that outlives it, whether the time passed or the signal aborted", async () => {
    const { clock, advance } = make();
    const { controller, signal, listeners } = watchedSignal();
    const waits = [clock.wait(1, signal), clock.wait(1, signal)];
    expect(listeners()).toBe(2);
    await advance();
    await Promise.all(waits);
    expect(listeners()).toBe(0);
    const long = clock.wait(3_600_000, signal);
    controller.abort();
    await long;
    expect(listeners()).toBe(0);
  });

  it("waits for nothing where the signal has aborted already", async () => {
    await make().clock.wait(3_600_000, AbortSignal.abort());
  });
});

describe("within()", () => {
  it("answers what the work brings, and leaves no timer behind", async () => {
    const clock = manualClock();
    expect(await within(Promise.resolve(7), { ms: 100, clock })).toBe(7);
    await expect(within(Promise.reject(new Error("no")), { ms: 100, clock })).rejects.toThrow("no");
    expect(clock.pending).toBe(0);
  });

  it('says "late" once the time has passed', async () => {
    const clock = manualClock();
    const late = within(new Promise(() => {}), { ms: 100, clock });
    await clock.advance(100);
    expect(await late).toBe("late");
  });
});
