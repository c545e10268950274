import { dirname } from "node:path";

/** Writing so that it is on disk afterwards. Descriptors live for one use: a sync is never tried again on one that failed. */

/** Writes every byte at the file's position. */
export function writeAll(file: Deno.FsFile, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length;) written += file.writeSync(bytes.subarray(written));
}

/** Puts a file in the place of the one of this name, or makes it; a crash leaves the old or the new one, whole. */
export async function replaceFile(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}.tmp`;
  const file = Deno.openSync(temporary, { create: true, write: true, truncate: true });
  try {
    writeAll(file, bytes);
    await file.syncData();
  } finally {
    file.close();
  }
  Deno.renameSync(temporary, path);
  await syncDirectory(dirname(path));
}

/** Makes the names in a directory durable. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = Deno.openSync(path, { read: true });
  try {
    await directory.sync();
  } finally {
    directory.close();
  }
}

/** The file's bytes, or null where it is missing. */
export function readIfThere(path: string): Uint8Array | null {
  try {
    return Deno.readFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}
