import { expect, test } from "vitest";
import { spawnProgram, type TextStream } from "../tests/support/run_command.ts";
import { until } from "../tests/support/until.ts";

// An error in a keep-alive's timer ended the processor, and the demo with it, because one page had stopped reading.
test.skipIf(Deno.build.os === "windows").each([["process", "SIGUSR1"], ["Worker", "SIGUSR2"]] as const)(
  "what a timer throws and what no promise's owner catches in a %s is logged with its stack, and it goes on",
  async (place, signal) => {
    const child = spawnProgram("runtime/fixtures/throwing_service.ts");
    let [out, errors] = ["", ""];
    const collect = async (from: ReadableStream<Uint8Array<ArrayBuffer>>, add: (text: string) => void) => {
      for await (const text of from.pipeThrough(new TextDecoderStream() as TextStream)) add(text);
    };
    const collected = Promise.all([
      collect(child.stdout, (text) => out += text),
      collect(child.stderr, (text) => errors += text),
    ]);
    let ended = false;
    void child.status.then(() => ended = true);
    try {
      await until("it is up", () => out.includes("fixture: up"));
      for (let times = 1; times <= 3; times++) {
        child.kill(signal);
        for (const what of ["timer", "promise"]) {
          const said = new RegExp(
            `nobody caught: Error: a ${what} of the ${place} at .*throwing_service`,
            "g",
          );
          await until(
            `its ${what}'s error is logged ${times} times`,
            () => ended || errors.match(said)?.length === times,
          );
          expect({ ended, errors }).toEqual({ ended: false, errors: expect.stringMatching(said.source) });
        }
      }
      child.kill("SIGTERM");
      expect((await child.status).code).toBe(0);
    } finally {
      if (!ended) child.kill("SIGKILL");
      await collected;
    }
  },
);
