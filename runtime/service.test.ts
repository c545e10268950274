import { describe, expect, it } from "vitest";
import { manualClock, settle } from "../tests/support/manual_clock.ts";
import { ConfigurationError } from "./environment.ts";
import { type Program, type RunningService, runProgram, runService } from "./service.ts";

const PROGRAM: Program = { name: "clerk", usage: "Usage: clerk", flags: ["--fast"] };

const PROGRAM_WITHOUT_FLAGS: Program = { name: "clerk", usage: "Usage: clerk" };

/** A process that a test holds in its hand. */
function surroundings(...args: string[]) {
  const clock = manualClock();
  const said = { out: [] as string[], error: [] as string[] };
  const listeners: [Deno.Signal, () => void][] = [];
  let takeUncaught: (error: unknown) => void = () => {};
  return {
    args,
    environment: { NAME: "value" },
    clock,
    said,
    onSignal: (signal: Deno.Signal, listener: () => void) => void listeners.push([signal, listener]),
    onUncaught: (take: (error: unknown) => void) => void (takeUncaught = take),
    throwUncaught: (error: unknown) => takeUncaught(error),
    print: (line: string) => void said.out.push(line),
    printError: (line: string) => void said.error.push(line),
    logAs: (service: string) => ({
      log: (level: string, message: string) => void said.error.push(`${service}: ${level}: ${message}`),
      announce: (message: string) => void said.out.push(`${service}: ${message}`),
    }),
    async signal(name: Deno.Signal) {
      for (const [signal, listener] of listeners) if (signal === name) listener();
      await settle();
    },
  };
}

const service = (stop: () => Promise<void>): RunningService => ({ line: "here", stop, stopMsMax: 500 });
const never = new Promise<never>(() => {});

describe("runProgram()", () => {
  const run = (around: ReturnType<typeof surroundings>) =>
    runProgram(PROGRAM, ({ flags }) => Promise.resolve(flags.has("--fast") ? 7 : 0), around);

  it("--help prints the usage, whatever stands beside it", async () => {
    const around = surroundings("--what", "--help");
    expect([await run(around), around.said]).toEqual([0, { out: ["Usage: clerk"], error: [] }]);
  });

  it("an argument that it does not know is wrong usage: 2", async () => {
    const around = surroundings("--fast", "--port");
    expect(await run(around)).toBe(2);
    expect(around.said.error).toEqual(['Cannot read "--port": clerk takes --fast only. Try --help.']);
  });

  it("hands on the flags that it knows", async () => {
    expect([await run(surroundings("--fast")), await run(surroundings())]).toEqual([7, 0]);
  });

  it("every problem of the configuration is a line, and the exit code 2", async () => {
    const around = surroundings();
    const fails = () => Promise.reject(new ConfigurationError(["Cannot read A.", "Cannot read B."]));
    expect(await runProgram(PROGRAM, fails, around)).toBe(2);
    expect(around.said).toEqual({ out: [], error: ["Cannot read A.", "Cannot read B."] });
  });

  it("what fails is said behind the name, and the exit code is 1", async () => {
    const around = surroundings();
    expect(await runProgram(PROGRAM, () => Promise.reject(new Error("No more ink.")), around)).toBe(1);
    expect(around.said.error).toEqual(["clerk: No more ink."]);
  });
});

describe("runService()", () => {
  it.each(["SIGINT", "SIGTERM"] as const)(
    "%s drains; the copies that follow change nothing",
    async (name) => {
      const around = surroundings();
      const drained = Promise.withResolvers<void>();
      let stops = 0;
      const code = runService(
        PROGRAM,
        () => Promise.resolve(service(() => (stops++, drained.promise))),
        around,
      );
      await settle();
      expect(around.said.out).toEqual(["clerk: here"]);
      await around.signal(name);
      await around.signal("SIGINT");
      await around.signal("SIGTERM");
      drained.resolve();
      expect([await code, stops, around.said.error, around.clock.pending]).toEqual([0, 1, [], 0]);
    },
  );

  it("draining has a bound: then the process ends all the same, with 1", async () => {
    const around = surroundings();
    const code = runService(PROGRAM, () => Promise.resolve(service(() => never)), around);
    await settle();
    await around.signal("SIGTERM");
    await around.clock.advance(500);
    expect(await code).toBe(1);
    expect(around.said.error).toEqual([
      "clerk: error: could not stop within 500 ms: the process ends all the same",
    ]);
  });

  it("asked to stop while it starts, it ends at once", async () => {
    const around = surroundings();
    const code = runService(PROGRAM, () => never, around);
    await around.signal("SIGINT");
    expect([await code, around.said]).toEqual([0, { out: [], error: [] }]);
  });

  it("one that has to stop by itself says why and ends with 1", async () => {
    const around = surroundings();
    const ended = Promise.reject(new Error("The dataset is another one."));
    const start = () => Promise.resolve({ ...service(() => Promise.resolve()), ended });
    expect(await runService(PROGRAM, start, around)).toBe(1);
    expect(around.said.error).toEqual(["clerk: error: The dataset is another one."]);
  });
});

describe("runService(), where something throws that nobody catches", () => {
  it("goes on, and says what it was", async () => {
    const around = surroundings();
    const code = runService(
      PROGRAM_WITHOUT_FLAGS,
      () => Promise.resolve(service(() => Promise.resolve())),
      around,
    );
    await settle();
    around.throwUncaught(new Error("A timer's."));
    await around.signal("SIGTERM");
    expect(await code).toBe(0);
    expect(around.said.error[0]).toMatch(/^clerk: error: nobody caught: Error: A timer's\./);
  });

  it("drains and ends with 1 where there is no end to it", async () => {
    const around = surroundings();
    let drained = false;
    const stop = () => {
      drained = true;
      return Promise.resolve();
    };
    const code = runService(PROGRAM_WITHOUT_FLAGS, () => Promise.resolve(service(stop)), around);
    await settle();
    for (let i = 0; i < 11; i++) around.throwUncaught(new Error("again"));
    expect([await code, drained]).toEqual([1, true]);
    expect(around.said.error.at(-1)).toContain("more than 10 errors that nobody caught within 60 s");
  });
});
