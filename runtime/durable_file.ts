import { randomBytes } from "node:crypto";
import { dirname, join } from "node:path";

/**
 * Writing so that it is on disk afterwards. Descriptors live for one use: a sync is never tried again on one that failed.
 * What holds personal data or a secret is {@link PRIVATE}, in a directory of {@link makePrivateDirectory}.
 */

/** For the owner alone: others on this machine have no business in it. */
export const PRIVATE = { mode: 0o600 } as const;

/** Who may read a tree: its files' and directories' modes at most. */
export type Access = { readonly file: number; readonly directory: number };

export const OWNER_ONLY: Access = { file: PRIVATE.mode, directory: 0o700 };

/** What is made to be read by others, such as the dataset: by the group, and by nobody else. */
export const GROUP_READS: Access = { file: 0o640, directory: 0o750 };

/** The mode of a file that is not there yet; undefined leaves it to the process's umask. */
type NewFile = { readonly mode?: number };

/** Makes the directories of this path that are missing, for the owner alone. */
export function makePrivateDirectory(path: string): void {
  Deno.mkdirSync(path, { recursive: true, mode: 0o700 });
}

/**
 * Makes an empty file for the owner alone where there is none, before SQLite opens it: its journals take over the mode,
 * and nobody opens the file while it is wider. By a link: to close the file itself would take SQLite's locks off it.
 */
export function makePrivateFile(path: string): void {
  if (isThere(path)) return;
  const temporary = `${path}.${randomBytes(8).toString("hex")}.tmp`;
  Deno.openSync(temporary, { ...PRIVATE, createNew: true, write: true }).close();
  placeOnce(temporary, path);
}

/** Gives a finished file its name, where nobody has it yet; what had it first stands. The temporary name is gone after. */
export function placeOnce(temporary: string, path: string): void {
  try {
    Deno.linkSync(temporary, path);
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  } finally {
    Deno.removeSync(temporary);
  }
}

/**
 * Takes away what `modeMax` does not allow on what lies at this path; a link, and what is missing, stays as it is.
 * False where it belongs to somebody else, who alone may do it.
 */
export function narrow(path: string, modeMax: number): boolean {
  if (Deno.build.os === "windows") return true;
  try {
    const info = ifThere(() => Deno.lstatSync(path));
    const mode = (info?.mode ?? 0) & 0o7777;
    if (info === null || info.isSymlink || (mode & 0o777 & ~modeMax) === 0) return true;
    // What stands above the rights of owner, group and others stays: a group that a directory hands on.
    ifThere(() => Deno.chmodSync(path, mode & (0o7000 | modeMax)));
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.PermissionDenied) return false;
    throw error;
  }
}

/** As {@link narrow}, for a file, or a directory and all that is in it; answers the first path that is somebody else's. */
export function narrowTree(path: string, access: Access): string | null {
  const info = ifThere(() => Deno.lstatSync(path));
  if (info === null || info.isSymlink) return null;
  if (!narrow(path, info.isDirectory ? access.directory : access.file)) return path;
  if (!info.isDirectory) return null;
  let foreign: string | null = null;
  for (const { name } of ifThere(() => [...Deno.readDirSync(path)]) ?? []) {
    foreign = narrowTree(join(path, name), access) ?? foreign;
  }
  return foreign;
}

/** Writes every byte at the file's position. */
export function writeAll(file: Pick<Deno.FsFile, "writeSync">, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length;) written += file.writeSync(bytes.subarray(written));
}

/** Writes a whole file, as {@link writeDurablySync}. */
async function writeDurably(path: string, bytes: Uint8Array, made: NewFile = {}): Promise<void> {
  using file = Deno.openSync(path, { ...made, create: true, write: true, truncate: true });
  try {
    writeAll(file, bytes);
    await file.sync();
  } catch (error) {
    tryRemove(path);
    throw error;
  }
}

/**
 * Writes a file whole and syncs it; its name is durable only after the directory is synced. A full disk keeps nothing of
 * it: there would be one such piece per mail, webhook or start, for as long as it is full.
 */
export function writeDurablySync(path: string, bytes: Uint8Array, made: NewFile = {}): void {
  using file = Deno.openSync(path, { ...made, create: true, write: true, truncate: true });
  try {
    writeAll(file, bytes);
    file.syncSync();
  } catch (error) {
    tryRemove(path);
    throw error;
  }
}

/** As {@link removeIfThere}, where the disk may be in no state to do it. */
export function tryRemove(path: string): void {
  try {
    removeIfThere(path);
  } catch {
    // Whoever makes the file again writes over it.
  }
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
