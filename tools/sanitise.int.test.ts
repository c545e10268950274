import { Buffer } from "node:buffer";
import { describe, expect, test } from "vitest";
import { until } from "../tests/support/until.ts";

const encoder = new TextEncoder();

const COMMAND = ["run", "-A", new URL("./sanitise.ts", import.meta.url).pathname];

function start(args: readonly string[] = [], command: readonly string[] = COMMAND): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: [...command, ...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

async function run(
  args: string[],
  input: string | Uint8Array,
  command = COMMAND,
): Promise<{ code: number; out: string; err: string }> {
  const child = start(args, command);
  const writer = child.stdin.getWriter();
  await writer.write(typeof input === "string" ? encoder.encode(input) : input);
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  return { code, out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
}

describe("deno task sanitise", () => {
  test("plain lines in, sanitised lines out, also a last one without its end", async () => {
    const { code, out } = await run([], "mail bob@acme.io\n\nplain\r\nlast +447911123456");
    expect(out).toBe("mail <EMAIL_ADDRESS>\n\nplain\r\nlast <PHONE_NUMBER>\n");
    expect(code).toBe(0);
  });

  test("a byte order mark is no part of the first line, with and without --json", async () => {
    const plain = await run([], "\ufeffmail bob@acme.io\nnext\n");
    expect([plain.code, plain.out]).toEqual([0, "mail <EMAIL_ADDRESS>\nnext\n"]);
    const json = await run(["--json"], '\ufeff{"text":"Hi bob@acme.io"}\n');
    expect([json.code, JSON.parse(json.out).text]).toEqual([0, "Hi <EMAIL_ADDRESS>"]);
  });

  test("UTF-16, in which no rule would find anything, is refused whole", async () => {
    const { code, out, err } = await run([], Buffer.from("\ufeffmail bob@acme.io\n", "utf16le"));
    expect([code, out, err.trim()]).toEqual([
      1,
      "",
      expect.stringMatching(/^Cannot read this text: it is UTF-16\./),
    ]);
  });

  test("a line over the bound is refused, the ones around it are not", async () => {
    const { code, out, err } = await run([], `a@b.co\n${"x".repeat(1024 * 1024 + 1)}\nc@d.co\n`);
    expect(out).toBe("<EMAIL_ADDRESS>\n<REFUSED>\n<EMAIL_ADDRESS>\n");
    expect(code).toBe(1);
    expect(err).toContain("1 of the lines");
  });

  test("with --json: spans of the text, known values, and an error in the place of what is no request", async () => {
    const { code, out } = await run(
      ["--json"],
      [
        '{"text":"Hi bob@acme.io"}',
        '{"text":"ask Jane Roe\\u2028now","known":{"name":"Jane Roe"}}',
        '{"txt":1}',
        "{",
      ].join("\n"),
    );
    const lines = out.trimEnd().split("\n");
    expect(lines.slice(0, 2)).toEqual([
      '{"text":"Hi <EMAIL_ADDRESS>","spans":[{"start":3,"end":14,"entity":"EMAIL_ADDRESS"}]}',
      '{"text":"ask <PERSON>\\u2028now","spans":[{"start":4,"end":12,"entity":"PERSON"}]}',
    ]);
    expect(lines.slice(2).map((line) => JSON.parse(line).error.code)).toEqual(["bad_input", "bad_input"]);
    expect(code).toBe(1);
  });

  test("a text that takes the rules too many looks is refused with its code, and the next line is answered", async () => {
    const at = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);
    const script = `
      import { RULES } from ${at("../processor/sanitise/rules.ts")};
      import { runCommand } from ${at("./command.ts")};
      import { sanitiseCommand } from ${at("./sanitise.ts")};
      const find = (text) => { while (text.indexOf("fine") < 0); };
      RULES.push({ name: "defective", when: () => true, find });
      Deno.exit(await runCommand(sanitiseCommand, ["--json"]));
    `;
    const input = '{"text":"this one never ends 12345"}\n{"text":"fine"}\n';
    const { code, out } = await run([], input, ["eval", script]);
    const [refused, answered] = out.trimEnd().split("\n").map((line) => JSON.parse(line));
    expect(refused.error.code).toBe("too_complex");
    expect(refused.error.message).toMatch(/^Cannot sanitise this text: /);
    expect(answered.text).toBe("fine");
    expect(code).toBe(1);
  });

  test("answers a line while the next one has not come yet", async () => {
    const child = start();
    const writer = child.stdin.getWriter();
    const reader = child.stdout.getReader();
    await writer.write(encoder.encode("a@b.co\nhalf"));
    const { value } = await reader.read();
    expect(new TextDecoder().decode(value)).toBe("<EMAIL_ADDRESS>\n");
    await writer.close();
    let rest = "";
    await until("the rest is there", async () => {
      const { value, done } = await reader.read();
      rest += new TextDecoder().decode(value);
      return done;
    });
    expect(rest).toBe("half\n");
    await child.stderr.cancel();
    expect((await child.status).code).toBe(0);
  });

  test("a file that is not there and a wrong option are told apart", async () => {
    expect((await run(["/no/such/file"], "")).code).toBe(1);
    expect((await run(["--frobnicate"], "")).code).toBe(2);
    const help = await run(["--help"], "");
    expect(help.code).toBe(0);
    expect(help.out).toContain("Usage: deno task sanitise");
  });
});
