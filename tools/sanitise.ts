import {
  escapeLine,
  type KnownValues,
  sanitise,
  SanitiseError,
  TEXT_BYTES_MAX,
} from "../processor/sanitise/mod.ts";
import {
  type Command,
  CommandFailedError,
  grouped,
  ofFile,
  printableJson,
  printableLines,
  runCommand,
  UsageError,
  writeOut,
} from "./command.ts";
import { isObject } from "../contract/envelope.ts";
import { readLines, utf8Bytes } from "../runtime/lines.ts";

/** A line that was refused, in the place of its text. */
const REFUSED = "<REFUSED>";
/** A character takes at most six bytes in JSON; known values and keys come on top. */
const JSON_LINE_BYTES_MAX = 8 * TEXT_BYTES_MAX;

/** `deno task sanitise [FILE]`: the sanitiser as a filter that answers each line as it comes. */
export const sanitiseCommand: Command = {
  help: `Replaces personal data and secrets by typed placeholders, line by line, as they come.

Usage: deno task sanitise [--json] [FILE]

  FILE     read this instead of standard input, which is also -
  --json   one object per line, in {"text":"…","known":{"email":"…","name":"…","phone":"…","ip":"…"}} (known and each
           of its values optional), out {"text":"…","spans":[{"start":0,"end":5,"entity":"EMAIL_ADDRESS"}]} (UTF-16
           units of the text that came in) or {"error":{"code":"…","message":"…"}}
  --help   this text

A line that cannot be sanitised (too_large: over ${TEXT_BYTES_MAX} bytes; too_complex: made to keep the rules busy) comes
out as ${REFUSED}; the exit code is then 1.
`,
  async run({ positionals, json, ifStopped }) {
    if (positionals.length > 1) {
      throw new UsageError("Cannot read two files: give one, or none for standard input.");
    }
    const input = await open(positionals[0]);
    let [answered, refused] = [0, 0];
    ifStopped(() =>
      `${grouped(answered)} ${answered === 1 ? "line" : "lines"} came out until then, each whole.`
    );
    for await (
      const lines of readLines(utf8Bytes(input), {
        lineBytesMax: json ? JSON_LINE_BYTES_MAX : TEXT_BYTES_MAX,
      })
    ) {
      const answers = lines.map((line) => json ? answerJson(line) : answerText(line));
      refused += answers.filter((answer) => answer.refused).length;
      answered += answers.length;
      // To the byte as the sanitiser made them where no terminal shows them: what comes out of a filter goes into the next one.
      const text = answers.map((answer) => `${answer.line}\n`).join("");
      const isShown = Deno.stdout.isTerminal();
      writeOut(new TextEncoder().encode(json ? printableJson(text) : isShown ? printableLines(text) : text));
    }
    if (refused > 0) {
      throw new CommandFailedError(`Cannot sanitise ${refused} of the lines: see where they stood.`);
    }
  },
};

type Answer = { readonly line: string; readonly refused: boolean };

async function open(path: string | undefined): Promise<ReadableStream<Uint8Array>> {
  return path === undefined || path === "-"
    ? Deno.stdin.readable
    : (await ofFile(path, (path) => Deno.open(path))).readable;
}

/** `line` is null where it was longer than the bound. */
function answerText(line: string | null): Answer {
  if (line === null) return { line: REFUSED, refused: true };
  try {
    return { line: sanitise(line).text, refused: false };
  } catch {
    return { line: REFUSED, refused: true };
  }
}

function answerJson(line: string | null): Answer {
  if (line === null) {
    return refusal("too_large", `Cannot sanitise a line of over ${JSON_LINE_BYTES_MAX} bytes: shorten it.`);
  }
  const request = parseRequest(line);
  if (request === null) {
    return refusal(
      "bad_input",
      'Cannot read this line: expected {"text":"…"} and, if wanted, "known" with texts.',
    );
  }
  try {
    return { line: escapeLine(JSON.stringify(sanitise(request.text, request.known))), refused: false };
  } catch (error) {
    return error instanceof SanitiseError
      ? refusal(error.code, error.message)
      : refusal("failed", "Cannot sanitise this line.");
  }
}

function refusal(code: string, message: string): Answer {
  return { line: JSON.stringify({ error: { code, message } }), refused: true };
}

function parseRequest(line: string): { text: string; known: KnownValues } | null {
  let request: unknown;
  try {
    request = JSON.parse(line);
  } catch {
    return null;
  }
  if (!isObject(request) || typeof request.text !== "string") return null;
  const known = request.known ?? {};
  if (!isObject(known)) return null;
  const values = ["email", "name", "phone", "ip"].map((key) => known[key] ?? "");
  if (!values.every((value) => typeof value === "string")) return null;
  const [emails = [], names = [], phones = [], ips = []] = values.map((value) => value === "" ? [] : [value]);
  return { text: request.text, known: { emails, names, phones, ips } };
}

if (import.meta.main) Deno.exit(await runCommand(sanitiseCommand, Deno.args));
