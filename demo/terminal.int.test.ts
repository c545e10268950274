import { delimiter, join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { openTerminal, type Terminal, whyNoTerminal } from "../tests/support/terminal.ts";
import { until } from "../tests/support/until.ts";

/** `deno task demo` as somebody sees it who sits in front of it; `xdg-open` is ours and notes what it is to open. */
const NO_TERMINAL = Deno.build.os === "linux" ? await whyNoTerminal() : "skipped: xdg-open is Linux's";
let folder: string;
let opened: string;
let terminal: Terminal | null = null;
beforeAll(async () => {
  folder = await Deno.makeTempDir({ prefix: "demo-terminal-" });
  opened = join(folder, "opened");
  await Deno.writeTextFile(join(folder, "xdg-open"), `#!/bin/sh\necho "$1" >> '${opened}'\n`, {
    mode: 0o755,
  });
});
afterEach(async () => {
  await terminal?.type("q").catch(() => {});
  await terminal?.end;
  terminal = null;
});
afterAll(() => Deno.remove(folder, { recursive: true }));

const PORTS = { INGEST_PORT: "0", PROCESSOR_PORT: "0", WEB_PORT: "0", POSTHOG_STAND_IN_PORT: "0" };

/** Behind it the shell says whether the terminal shows what is typed, as it did before. */
async function demo(env: Record<string, string> = {}, wait = ""): Promise<Terminal> {
  const shown = openTerminal("demo/main.ts", {
    args: [],
    env: {
      DATA_DIR: join(folder, "data"),
      PATH: [folder, Deno.env.get("PATH")].join(delimiter),
      FRESH: "npm",
      ...PORTS,
      ...env,
    },
    after:
      `${wait} stty -a | grep -q ' icanon' && stty -a | grep -q ' echo ' && echo "as before"; exit $code`,
  });
  terminal = shown;
  await until("the block is there", () => shown.text().includes("Keys:"), { limitMs: 120_000 });
  return shown;
}

const SHOWN = { timeout: 150_000 };

describe.skipIf(NO_TERMINAL !== null)(
  `the demo on a terminal${NO_TERMINAL === null ? "" : ` (${NO_TERMINAL})`}`,
  () => {
    test(
      "shows one block, a line per event, heeds o, b and q, and leaves the terminal as it was",
      SHOWN,
      async () => {
        const { text, type, end } = await demo();
        const page = /Page: {2}(http:\/\/localhost:\d+)/.exec(text())![1]!;
        const block = text().slice(text().indexOf("  Pipeline  ready in"));
        const rows = block.split("\r\n").filter((line) => line.includes("➜"));
        expect(rows.map((row) => /^ {2}➜ {2}(\w+): {2}\S/.exec(row)?.[1])).toEqual([
          "Page",
          "Data",
          "Next",
          "Keys",
        ]);
        // The sample: uses, failures, and what cannot be a line.
        await until(
          "events pass",
          () =>
            /\d\d:\d\d:\d\d debug processor: generation_failed of \S+: line \d+ of event=/.test(text()) &&
            /debug processor: feature_used of \S+: use \d of 5/.test(text()),
          { limitMs: 30_000 },
        );
        expect(text()).not.toMatch(/hunter2|4111/);
        expect(text()).not.toMatch(/info {2}ingest: http/);

        await type("o");
        await until("a browser was asked", () => Deno.readTextFile(opened).catch(() => ""));
        expect(await Deno.readTextFile(opened)).toBe(`${page}\n`);

        await type("b");
        await until("the menu is there", () => text().includes("8  send something broken"));
        await type("1");
        await until("it died", () => /warn {2}demo: processor died \(SIGKILL\)/.test(text()));
        await until("the proof agrees", () => /info {2}demo: .* 0 lost, 0 doubled/.test(text()), {
          limitMs: 60_000,
        });
        await type("b");
        await type("8");
        await until("a dead letter is named", () => /warn {2}processor: .*dead letter: /.test(text()), {
          limitMs: 30_000,
        });
        await type("q");
        const { code, text: all } = await end;
        expect(code).toBe(0);
        expect(all).toMatch(/Stopping[^]*as before\r\n$/);
      },
    );

    test("a demo that is killed leaves a terminal that shows what is typed", SHOWN, async () => {
      const { text, end } = await demo(
        { DATA_DIR: join(folder, "killed") },
        "until stty -a | grep -q ' icanon'; do :; done;",
      );
      expect(text()).not.toContain("as before");
      Deno.kill(await demoPid(join(folder, "killed")), "SIGKILL");
      expect((await end).text).toMatch(/as before\r\n$/);
    });

    test("NO_COLOR has no colours, and without it the block and the levels have", SHOWN, async () => {
      const { text } = await demo({ NO_COLOR: "", DATA_DIR: join(folder, "data") });
      expect(text()).toContain("\x1b[1mPage:\x1b[0m");
    });
  },
);

/** The demo whose services have this DATA_DIR: none of them is the demo itself. */
async function demoPid(dataDir: string): Promise<number> {
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const environment = await Deno.readTextFile(`/proc/${name}/environ`);
      const command = await Deno.readTextFile(`/proc/${name}/cmdline`);
      if (
        environment.includes(`DATA_DIR=${dataDir}`) && command.startsWith(Deno.execPath()) &&
        command.includes("demo/main.ts")
      ) return Number(name);
    } catch {
      // It has ended, or is another user's.
    }
  }
  throw new Error("There is no such demo.");
}
