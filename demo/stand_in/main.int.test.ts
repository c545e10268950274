import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { until } from "../../tests/support/until.ts";
import { sampleEvents, sendAsPosthogJs } from "../traffic.ts";

const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));
let dataDir: string;
beforeEach(async () => {
  dataDir = await Deno.makeTempDir();
});
afterEach(() => Deno.remove(dataDir, { recursive: true }));

function start(args: readonly string[], env: Record<string, string> = {}) {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", MAIN, ...args],
    env: { DATA_DIR: dataDir, POSTHOG_STAND_IN_PORT: "0", LOG_FORMAT: "text", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const said = { out: "", err: "" };
  const read = (stream: ReadableStream<Uint8Array<ArrayBuffer>>, to: "out" | "err") =>
    stream.pipeThrough(new TextDecoderStream()).pipeTo(
      new WritableStream({ write: (text) => void (said[to] += text) }),
    );
  const ended = Promise.all([child.status, read(child.stdout, "out"), read(child.stderr, "err")]);
  return { child, said, code: ended.then(([status]) => status.code) };
}

describe("deno task posthog-stand-in", () => {
  it("says where it listens; told to stop, it keeps what nobody has taken for the next start", async () => {
    using unheard = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = unheard.addr;
    unheard.close();
    const webhookUrl = `http://127.0.0.1:${port}/api/webhooks`;
    const { child, said, code } = start([], { POSTHOG_STAND_IN_WEBHOOK_URL: webhookUrl });
    const line = await until("it listens", () => /^.*\n/.exec(said.out)?.[0].trim());
    expect(line).toMatch(
      / posthog-stand-in: http:\/\/127\.0\.0\.1:\d+ \(delivers to http:\/\/127\.0\.0\.1:\d+\/api\/webhooks\)$/,
    );
    const posthogUrl = /http\S+/.exec(line)![0];
    const events = sampleEvents({ now: Date.now(), key: "phc_demo" });
    await sendAsPosthogJs(events, { posthogUrl, key: "phc_demo", fetch, now: Date.now() });
    child.kill("SIGINT");
    child.kill("SIGTERM");
    expect(await code).toBe(0);
    expect(said.err).toMatch(new RegExp(`^\\S+ info  .*: ${events.length} webhooks wait on disk.*\n$`));
  });

  it("--help helps, anything else is wrong usage", async () => {
    const help = start(["--help"]);
    expect(await help.code).toBe(0);
    expect(help.said.out).toMatch(/STAND_IN_DUPLICATE/);
    const wrong = start(["--port"]);
    expect(await wrong.code).toBe(2);
    expect(wrong.said.err).toMatch(/"--port"/);
  });

  it("names wrong settings and a taken port", async () => {
    const wrong = start([], { STAND_IN_DROP: "2", STAND_IN_REORDER: "x" });
    expect(await wrong.code).toBe(2);
    expect(wrong.said.err).toMatch(/STAND_IN_REORDER "x"[\s\S]*STAND_IN_DROP "2"/);
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const taken = start([], { POSTHOG_STAND_IN_PORT: String(listener.addr.port) });
    expect(await taken.code).toBe(1);
    expect(taken.said.err).toMatch(/POSTHOG_STAND_IN_PORT/);
  });
});
