/**
 * Lines of a byte stream, without their `\n`, as soon as they are there: each piece yields the lines that it completes.
 * A line of more than `lineBytesMax` bytes is null; what lies beyond the bound is never kept. Bytes that are no UTF-8
 * become U+FFFD. A last line without `\n` counts.
 */
export async function* readLines(
  input: ReadableStream<Uint8Array>,
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

function decode(pieces: readonly Uint8Array[]): string {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  return pieces.map((piece) => decoder.decode(piece, { stream: true })).join("") + decoder.decode();
}
