import { basename, dirname, join, resolve, sep } from "node:path";
import { randomBytes } from "node:crypto";
import { statfsSync } from "node:fs";
import {
  type Access,
  GROUP_READS,
  ifThere,
  makePrivateDirectory,
  narrow,
  narrowTree,
  OWNER_ONLY,
  placeOnce,
  PRIVATE,
  readIfThere,
  syncDirectorySync,
  writeDurablySync,
} from "./durable_file.ts";
import { log } from "./log.ts";

/** What a process holds in DATA_DIR: its lock, and the secret that the services share. */

/** Another process of the same kind works in this DATA_DIR. */
export class DataDirInUseError extends Error {
  override name = "DataDirInUseError";
  readonly code = "data_dir_in_use";
}

/** A lock that the operating system lets go of when the process ends, however it ends. */
export type HeldLock = { release(): void };

/** Takes the lock on `path`, making the file where it is missing; null where another holder has it. */
export function tryLockFile(path: string): HeldLock | null {
  const file = Deno.openSync(path, { ...PRIVATE, create: true, read: true, write: true });
  if (!file.tryLockSync(true)) {
    file.close();
    return null;
  }
  return { release: () => file.close() };
}

/** What the services keep in DATA_DIR beside the dataset. Whatever has another name was put there by somebody else. */
const OURS =
  /^(log|spool|mail|kafka-members|posthog-stand-in|run\.json|figures\.json.*|\.?pipeline\.secret.*|offers\.db.*|(ingest|processor|backfill)\.lock)$/;

/** A DATA_DIR that the owner's group may pass through, to a dataset in it: no umask makes it, so it was set on purpose. */
const GROUP_PASSES = 0o710;

/**
 * Makes DATA_DIR for its owner alone (0700; 0710 stays), and takes from everybody else what an earlier version, or a
 * copy, has left open in it. The dataset has rights of its own.
 */
export function closeDataDir(dataDir: string): void {
  makePrivateDirectory(dataDir);
  const isPassage = ((Deno.statSync(dataDir).mode ?? 0) & 0o777) === GROUP_PASSES;
  let foreign = narrow(dataDir, isPassage ? GROUP_PASSES : OWNER_ONLY.directory) ? null : dataDir;
  for (const { name } of ifThere(() => [...Deno.readDirSync(dataDir)]) ?? []) {
    if (OURS.test(name)) foreign ??= narrowTree(join(dataDir, name), OWNER_ONLY);
  }
  if (foreign === null) return;
  log(
    "error",
    `Cannot take "${foreign}" from other users of this machine: it belongs to one of them, and holds or leads to ` +
      "personal data. Its owner can: chmod -R go= on it.",
  );
}

/** Bytes that this user may still write on the disk of DATA_DIR; null where Deno may not look (`--allow-sys=statfs`). */
export function diskFreeBytes(dataDir: string): number | null {
  try {
    const { bavail, bsize } = statfsSync(dataDir);
    return bavail * bsize;
  } catch {
    return null;
  }
}

/** Who may read what a command leaves in a directory of its own: in DATA_DIR its owner alone. */
export function accessOf(directory: string, dataDir: string): Access {
  const [inner, outer] = [directory, dataDir].map(realPathOf);
  return `${inner}${sep}`.startsWith(`${outer}${sep}`) ? OWNER_ONLY : GROUP_READS;
}

function realPathOf(path: string): string {
  const whole = resolve(path);
  return ifThere(() => Deno.realPathSync(whole)) ?? join(realPathOf(dirname(whole)), basename(whole));
}

/** Makes DATA_DIR where it is missing and takes a process's one place in it; null where another has that. */
export function tryEnterDataDir(dataDir: string, processName: "ingest" | "processor"): HeldLock | null {
  closeDataDir(dataDir);
  return tryLockFile(join(dataDir, `${processName}.lock`));
}

/** As {@link tryEnterDataDir}, for the process itself: throws with what to do where its place is taken. */
export function enterDataDir(dataDir: string, processName: "ingest" | "processor"): HeldLock {
  const lock = tryEnterDataDir(dataDir, processName);
  if (lock) return lock;
  throw new DataDirInUseError(
    `Cannot start ${processName} on DATA_DIR "${dataDir}": another ${processName} already works there. ` +
      `Stop it, or give this one a DATA_DIR of its own.`,
  );
}

/**
 * The pipeline's secret: from the environment, else the one kept in DATA_DIR, made at the first start.
 *
 * Two services may start at once: the secret is written whole into a temporary file (0600) and linked into place;
 * `link` refuses an existing name, so the first one stands and both read it.
 */
export function pipelineSecret(dataDir: string, fromEnvironment: string | undefined): string {
  return fromEnvironment ?? keptSecret(dataDir, "pipeline.secret");
}

/** The secret in this file of DATA_DIR, made where it is missing; throws where the file holds none. */
export function keptSecret(dataDir: string, name: string): string {
  makePrivateDirectory(dataDir);
  const path = join(dataDir, name);
  const kept = readSecret(path);
  if (kept !== null) return kept;
  const temporary = join(dataDir, `.${name}.${randomBytes(8).toString("hex")}`);
  const made = new TextEncoder().encode(randomBytes(32).toString("base64url") + "\n");
  writeDurablySync(temporary, made, PRIVATE);
  placeOnce(temporary, path);
  syncDirectorySync(dataDir);
  return readSecret(path)!;
}

function readSecret(path: string): string | null {
  const bytes = readIfThere(path);
  if (bytes === null) return null;
  const text = new TextDecoder().decode(bytes).trim();
  if (text.length >= 16) return text;
  throw new Error(`Cannot use "${path}": it holds less than 16 characters. Restore it from a backup.`);
}
