import { dirname } from "node:path";

/**
 * Writing so that it is on disk afterwards. Descriptors live for one use: a sync is never tried again on one that failed.
 * What holds personal data or a secret is {@link PRIVATE}, in a directory of {@link makePrivateDirectory}.
 */

/** For the owner alone: others on this machine have no business in it. */
export const PRIVATE = { mode: 0o600 } as const;

/** The mode of a file that is not there yet; undefined leaves it to the process's umask. */
type NewFile = { readonly mode?: number };

/** Makes the directories of this path that are missing, for the owner alone. */
export function makePrivateDirectory(path: string): void {
  Deno.mkdirSync(path, { recursive: true, mode: 0o700 });
}

/** For a file that something else has just made. By its name: closing a descriptor would take SQLite's locks off. */
export function makePrivate(path: string): void {
  if (Deno.build.os !== "windows") Deno.chmodSync(path, PRIVATE.mode);
}

/** Writes every byte at the file's position. */
export function writeAll(file: Pick<Deno.FsFile, "writeSync">, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length;) written += file.writeSync(bytes.subarray(written));
}

/** Writes a whole file; its name is durable only with {@link syncDirectory}. */
async function writeDurably(path: string, bytes: Uint8Array, made: NewFile = {}): Promise<void> {
  using file = Deno.openSync(path, { ...made, create: true, write: true, truncate: true });
  writeAll(file, bytes);
  await file.sync();
}

/** Writes a file whole and syncs it; its name is durable only after the directory is synced. */
export function writeDurablySync(path: string, bytes: Uint8Array, made: NewFile = {}): void {
  using file = Deno.openSync(path, { ...made, create: true, write: true, truncate: true });
  writeAll(file, bytes);
  file.syncSync();
}

/** Puts a file in the place of the one of this name, or makes it; a crash leaves the old or the new one, whole. */
export async function replaceFile(path: string, bytes: Uint8Array, made: NewFile = {}): Promise<void> {
  await writeDurably(`${path}.tmp`, bytes, made);
  Deno.renameSync(`${path}.tmp`, path);
  await syncDirectory(dirname(path));
}

/** As {@link replaceFile}, for who may not wait for a turn of the event loop. */
export function replaceFileSync(path: string, bytes: Uint8Array, made: NewFile = {}): void {
  writeDurablySync(`${path}.tmp`, bytes, made);
  Deno.renameSync(`${path}.tmp`, path);
  syncDirectorySync(dirname(path));
}

/** Makes the names in a directory durable: a rename or a new file is on disk only after this. */
export async function syncDirectory(path: string): Promise<void> {
  using directory = Deno.openSync(path, { read: true });
  await directory.sync();
}

export function syncDirectorySync(path: string): void {
  using directory = Deno.openSync(path, { read: true });
  directory.syncSync();
}

/** The file's bytes, or null where it is missing. */
export function readIfThere(path: string): Uint8Array | null {
  return ifThere(() => Deno.readFileSync(path));
}

/** Removes a file or an empty directory, or all that is in it as well; nothing where it is missing. */
export function removeIfThere(path: string, options: Deno.RemoveOptions = {}): void {
  ifThere(() => Deno.removeSync(path, options));
}

/** Whether something is at this path; a link is followed. */
export function isThere(path: string): boolean {
  return ifThere(() => Deno.statSync(path)) !== null;
}

/** What a look at the disk gives; null where what it looks at is missing. */
export function ifThere<T>(look: () => T): T | null {
  try {
    return look();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}
