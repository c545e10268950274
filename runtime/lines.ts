/**
 * Lines of a byte stream, without their `\n`, as soon as they are there: each piece yields the lines that it completes.
 * A line of more than `lineBytesMax` bytes is null; what lies beyond the bound is never kept. Bytes that are no UTF-8
 * become U+FFFD. A last line without `\n` counts.
 */
export async function* readLines(
  input: AsyncIterable<Uint8Array>,
  { lineBytesMax }: { lineBytesMax: number },
): AsyncGenerator<(string | null)[]> {
  let kept: Uint8Array[] = [];
  let bytes = 0;
  const take = (piece: Uint8Array) => {
    bytes += piece.length;
    if (bytes > lineBytesMax) kept = [];
    else if (piece.length > 0) kept.push(piece);
  };
  const finish = () => {
    const line = bytes > lineBytesMax ? null : decode(kept);
    kept = [];
    bytes = 0;
    return line;
  };
  for await (const piece of input) {
    const lines: (string | null)[] = [];
    let from = 0;
    for (let end = piece.indexOf(10); end >= 0; end = piece.indexOf(10, from)) {
      take(piece.subarray(from, end));
      lines.push(finish());
      from = end + 1;
    }
    take(piece.slice(from));
    yield lines;
  }
  if (bytes > 0) yield [finish()];
}

/** What may stand before a text to name its encoding (Unicode, 23.8). */
const MARKS = [[0xef, 0xbb, 0xbf], [0xff, 0xfe], [0xfe, 0xff]] as const;

/**
 * A text's bytes as they come, without the byte order mark of UTF-8; throws where the mark is that of UTF-16, whose text
 * would be taken for another. Waits for no more than the mark itself.
 */
export async function* utf8Bytes(input: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let head: Uint8Array | null = new Uint8Array();
  for await (const piece of input) {
    if (head === null) {
      yield piece;
      continue;
    }
    const bytes: Uint8Array = head.length === 0 ? piece : Uint8Array.of(...head, ...piece.subarray(0, 3));
    const begins = (mark: readonly number[]) =>
      mark.slice(0, bytes.length).every((byte, i) => byte === bytes[i]);
    const mark = MARKS.find(begins);
    if (mark !== undefined && bytes.length < mark.length) {
      head = bytes;
      continue;
    }
    if (mark !== undefined && mark.length === 2) {
      throw new Error(
        "Cannot read this text: it is UTF-16. Write it as UTF-8, such as with `iconv -f UTF-16 -t UTF-8`.",
      );
    }
    const passedOver = mark === undefined ? 0 : mark.length;
    if (passedOver === 0 && head.length > 0) yield head;
    yield piece.subarray(Math.max(0, passedOver - head.length));
    head = null;
  }
  if (head !== null && head.length > 0) yield head;
}

const WHOLE = new TextDecoder("utf-8", { ignoreBOM: true });

function decode(pieces: readonly Uint8Array[]): string {
  // Most lines lie in one piece.
  if (pieces.length === 1) return WHOLE.decode(pieces[0]);
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  return pieces.map((piece) => decoder.decode(piece, { stream: true })).join("") + decoder.decode();
}
