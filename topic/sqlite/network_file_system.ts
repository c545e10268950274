import { statfsSync } from "node:fs";

/**
 * Which file systems the embedded log refuses: SQLite's WAL needs memory shared between processes and locks that the
 * operating system drops with its holder, and neither can be relied on over a network.
 *
 * `statfs` answers with a number, and Deno allows it by `--allow-sys=statfs`. Every FUSE has the same number, of sshfs as
 * of an encrypted disk: which one it is stands in /proc/self/mountinfo only, which Deno allows with `-A` alone.
 */
const NETWORK_NUMBERS: ReadonlyMap<number, string> = new Map([
  [0x6969, "nfs"],
  [0x517b, "smb"],
  [0xfe534d42, "smb2"],
  [0xff534d42, "cifs"],
  [0x564c, "ncpfs"],
  [0x5346414f, "afs"],
]);
const FUSE_NUMBER = 0x65735546;

/** The same by the names of mountinfo. */
const NETWORK_TYPES: ReadonlySet<string> = new Set([
  "nfs",
  "nfs4",
  "cifs",
  "smb",
  "smb3",
  "smbfs",
  "ncpfs",
  "afs",
  "davfs",
  "glusterfs",
  "fuse.sshfs",
  "fuse.davfs2",
  "fuse.glusterfs",
  "fuse.rclone",
  "fuse.s3fs",
  "fuse.gcsfuse",
]);

/** What can be known of the file system that a path lies on; each may throw where Deno does not allow the look. */
export type FileSystemLooks = {
  /** `f_type` of statfs(2). */
  readonly number: (path: string) => number;
  /** The text of `/proc/self/mountinfo`. */
  readonly mountInfo: () => string;
};

export const systemLooks: FileSystemLooks = {
  number: (path) => statfsSync(path).type,
  mountInfo: () => Deno.readTextFileSync("/proc/self/mountinfo"),
};

/**
 * What is known against the file system that `path` lies on: the type of a network file system; `unnamed fuse` where it is
 * a FUSE that Deno may not name, and so may be one; `unknown` where Deno may not look at all; null where it is a local one.
 *
 * @param path absolute, links resolved.
 */
export function networkFileSystemAt(path: string, looks: FileSystemLooks = systemLooks): string | null {
  const number = ifAllowed(() => looks.number(path));
  if (number === null) return UNKNOWN;
  // Deno gives the field as it comes from the kernel, which is signed on some machines.
  const type = NETWORK_NUMBERS.get(number >>> 0);
  if (type !== undefined || (number >>> 0) !== FUSE_NUMBER) return type ?? null;
  const mountInfo = ifAllowed(looks.mountInfo);
  return mountInfo === null ? UNNAMED_FUSE : networkFileSystemOf(mountInfo, path);
}

export const UNKNOWN = "unknown";
export const UNNAMED_FUSE = "unnamed fuse";

function ifAllowed<T>(look: () => T): T | null {
  try {
    return look();
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) return null;
    throw error;
  }
}

/**
 * The type of the network file system that `path` lies on, or null where it is a local one.
 *
 * @param mountInfo the text of `/proc/self/mountinfo` (format: proc_pid_mountinfo(5)).
 * @param path absolute, links resolved.
 */
export function networkFileSystemOf(mountInfo: string, path: string): string | null {
  let found = { point: "", type: "" };
  for (const line of mountInfo.split("\n")) {
    const mount = parseMount(line);
    // Of two mounts on one point the later one covers the earlier.
    if (mount && liesBelow(path, mount.point) && mount.point.length >= found.point.length) found = mount;
  }
  return NETWORK_TYPES.has(found.type) ? found.type : null;
}

function parseMount(line: string): { point: string; type: string } | null {
  const [before, after] = line.split(" - ");
  const point = before?.split(" ")[4];
  const type = after?.split(" ")[0];
  if (point === undefined || type === undefined) return null;
  // Blanks, tabs, line feeds and backslashes are written as three octal digits.
  return {
    point: point.replace(/\\([0-7]{3})/g, (_, digits) => String.fromCharCode(parseInt(digits, 8))),
    type,
  };
}

function liesBelow(path: string, point: string): boolean {
  return point === "/" || path === point || path.startsWith(`${point}/`);
}
