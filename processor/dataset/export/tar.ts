/**
 * The parts of a tar archive: POSIX 1003.1, "ustar" (the description of `pax`), whose files are shorter than 8 GiB and
 * have paths of at most 100 ASCII characters.
 */

const BLOCK_BYTES = 512;

/** What stands before a file; `mtime` in milliseconds since 1970. */
export function tarHead(
  { path, bytes, mtime }: { readonly path: string; readonly bytes: number; readonly mtime: number },
): Uint8Array<ArrayBuffer> {
  const head = new Uint8Array(BLOCK_BYTES);
  const write = (at: number, text: string) => head.set(new TextEncoder().encode(text), at);
  const octal = (value: number, digits: number) => `${Math.floor(value).toString(8).padStart(digits, "0")}\0`;
  write(0, path);
  write(100, octal(0o644, 7));
  write(108, octal(0, 7));
  write(116, octal(0, 7));
  write(124, octal(bytes, 11));
  write(136, octal(mtime / 1000, 11));
  write(148, " ".repeat(8));
  write(156, "0");
  write(257, "ustar\x0000");
  write(148, `${octal(head.reduce((sum, byte) => sum + byte, 0), 6)} `);
  return head;
}

/** What fills a file's last block. */
export function tarPadding(bytes: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array((BLOCK_BYTES - bytes % BLOCK_BYTES) % BLOCK_BYTES);
}

/** What ends an archive. */
export function tarEnd(): Uint8Array<ArrayBuffer> {
  return new Uint8Array(2 * BLOCK_BYTES);
}
