import { isObject } from "../../contract/envelope.ts";
import { readLines, utf8Bytes } from "../../runtime/lines.ts";
import { CommandFailedError, ofFile } from "../command.ts";
import { type BackfillEvent, type BackfillSource, eventOf } from "./sources.ts";
import { Bytes, CutOffError, DamagedError, gunzip, UNPACKED_AT_ONCE, unzstd } from "./unpack.ts";

/** Longest line of a file, in bytes: an event of 1 MiB with room for what the export adds. */
const LINE_BYTES_MAX = 8 * 1024 * 1024;

/** What a file begins with, whatever its name is. */
const FORMATS = [
  { name: "gzip", magic: [0x1f, 0x8b], unpack: gunzip },
  { name: "Zstandard", magic: [0x28, 0xb5, 0x2f, 0xfd], unpack: unzstd },
  // A skippable frame before the others, as `pzstd` writes it.
  ...Array.from({ length: 16 }, (_, i) => ({
    name: "Zstandard",
    magic: [0x50 + i, 0x2a, 0x4d, 0x18],
    unpack: unzstd,
  })),
  { name: "Parquet", magic: [0x50, 0x41, 0x52, 0x31] },
  { name: "ZIP", magic: [0x50, 0x4b, 0x03, 0x04] },
  { name: "bzip2", magic: [0x42, 0x5a, 0x68] },
  { name: "xz", magic: [0xfd, 0x37, 0x7a, 0x58, 0x5a] },
  { name: "LZ4", magic: [0x04, 0x22, 0x4d, 0x18] },
  { name: "Snappy", magic: [0xff, 0x06, 0x00, 0x00, 0x73] },
] as const;

/**
 * The events of a batch export's file: JSON Lines, as they are or in gzip or Zstandard, or Parquet; `-` is standard input.
 * Throws {@link CommandFailedError} where it is anything else.
 */
export async function fileSource(path: string): Promise<BackfillSource> {
  const size = await sizeOf(path);
  const input = path === "-" ? Deno.stdin.readable : (await ofFile(path, (path) => Deno.open(path))).readable;
  let read = 0;
  const bytes = new Bytes(counted(input, (count) => read += count));
  const head = await ofFile(path, () => bytes.peek(5));
  const format = FORMATS.find(({ magic }) => magic.every((byte, i) => byte === head[i]));
  if (format?.name === "Parquet") {
    await bytes.leave();
    if (size === null) throw cannotRead(path, "Parquet is read from its end. Give a file, no pipe.");
    return await (await import("./parquet.ts")).parquetSource(path);
  }
  if (format !== undefined && !("unpack" in format)) {
    throw cannotRead(path, `it is packed by ${format.name}. Unpack it, or pack it by gzip or zstd.`);
  }
  if (format === undefined && path.endsWith(".br")) {
    throw cannotRead(path, "Brotli is not read. Unpack it with `brotli -d`, or export with gzip.");
  }
  const text = format === undefined ? bytes.rest() : format.unpack(bytes);
  return {
    events: lineEvents(text, { path, packedBy: format?.name ?? null }),
    share: () => size === null ? null : size === 0 ? 1 : read / size,
  };
}

function cannotRead(path: string, why: string): CommandFailedError {
  return new CommandFailedError(`Cannot read "${path}": ${why}`);
}

/** Bytes of a file; null of what has no end that is known before. */
async function sizeOf(path: string): Promise<number | null> {
  if (path === "-") return null;
  const { isDirectory, isFile, size } = await ofFile(path, (path) => Deno.stat(path));
  if (isDirectory) throw cannotRead(path, "it is a directory. Give its files one by one, in any order.");
  return isFile ? size : null;
}

async function* counted(
  input: AsyncIterable<Uint8Array>,
  count: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  for await (const piece of input) {
    count(piece.length);
    yield piece;
  }
}

/** Every line, in its order; empty ones are passed over. Where the text ends too early is said last, behind all that came. */
async function* lineEvents(
  text: AsyncIterable<Uint8Array>,
  { path, packedBy }: { readonly path: string; readonly packedBy: string | null },
): AsyncGenerator<BackfillEvent> {
  const end: TextEnd = { isWhole: true, trouble: null };
  let number = 0;
  let isFirst = true;
  for await (const lines of readLines(utf8Bytes(untilTrouble(text, end)), { lineBytesMax: LINE_BYTES_MAX })) {
    for (const line of lines) {
      const where = `line ${++number}`;
      if (line === null) {
        yield { ok: false, where, reason: `longer than ${LINE_BYTES_MAX} bytes` };
        continue;
      }
      const trimmed = line.trim();
      if (trimmed === "") continue;
      if (isFirst) refuseOtherText(path, trimmed);
      isFirst = false;
      const event = lineEvent(trimmed, where);
      // A last line without its end is an event if it is whole; else the trouble below is the better word.
      if (event !== null) yield event;
      else if (end.isWhole) yield { ok: false, where, reason: "no JSON" };
      else if (end.trouble === null) {
        yield {
          ok: false,
          where,
          reason: "the file ends in the middle of this line; all before it was read",
        };
      }
    }
  }
  if (end.trouble === null) return;
  const where = `behind line ${number}`;
  if (end.trouble instanceof CutOffError) {
    yield {
      ok: false,
      where,
      reason: `the file ends in the middle of its ${packedBy}; all before it was read`,
    };
  } else {
    // What a codec has made when it meets the damage goes with it, at most one of its pieces.
    const lost =
      `what lies behind it, and up to ${UNPACKED_AT_ONCE} bytes before it, is not read; get it anew`;
    yield { ok: false, where, reason: `the file's ${packedBy} is damaged (${end.trouble.message}): ${lost}` };
  }
}

/** How a text ended: `isWhole` is false once it did so without a line break; `trouble` is what ended it too early. */
type TextEnd = { isWhole: boolean; trouble: CutOffError | DamagedError | null };

async function* untilTrouble(text: AsyncIterable<Uint8Array>, end: TextEnd): AsyncGenerator<Uint8Array> {
  let last = 10;
  try {
    for await (const piece of text) {
      last = piece.at(-1) ?? last;
      yield piece;
    }
  } catch (error) {
    if (!(error instanceof CutOffError || error instanceof DamagedError)) throw error;
    end.trouble = error;
  }
  end.isWhole = last === 10;
}

/** Whole files of another kind, by their first line: else each of their lines would be refused alone. */
function refuseOtherText(path: string, line: string): void {
  if (line.startsWith("[") || line === "{") {
    const events = line === "{" ? "." : ".[]";
    throw cannotRead(
      path,
      `it is JSON, but no event a line. Write it so: \`jq -c '${events}' FILE > FILE.jsonl\`.`,
    );
  }
  // A list in an event may hold a text like a column's name.
  if (line.startsWith("{")) return;
  const names = line.split(/[,;\t]/).map((name) => name.trim().replace(/^"(.*)"$/, "$1"));
  if (names.includes("event") || names.includes("distinct_id") || names.includes("uuid")) {
    throw cannotRead(path, "it is CSV. Export it as JSON Lines or Parquet.");
  }
}

/** Null: no JSON. */
function lineEvent(line: string, where: string): BackfillEvent | null {
  let row: unknown;
  try {
    row = JSON.parse(line);
  } catch {
    return null;
  }
  return isObject(row) ? eventOf(row, where) : { ok: false, where, reason: "no JSON object" };
}
