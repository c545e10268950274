import { statfsSync } from "node:fs";

/**
 * Which file systems the embedded log refuses: SQLite's WAL needs memory shared between processes and locks that the
 * operating system drops with its holder, and neither can be relied on over a network, between several machines that
 * share a disk, or between a virtual machine and the host that lends it a directory.
 *
 * `statfs` answers with a number, and Deno allows it by `--allow-sys=statfs`. Every FUSE has the same number, of sshfs as
 * of an encrypted disk, and so has virtiofs: which one it is stands in /proc/self/mountinfo only, which Deno allows with
 * `-A` alone. Numbers: linux/magic.h, and for drivers outside of the kernel coreutils' src/stat.c.
 */
const NETWORK_NUMBERS: ReadonlyMap<number, string> = new Map([
  [0x6969, "nfs"],
  [0x517b, "smb"],
  [0xfe534d42, "smb2"],
  [0xff534d42, "cifs"],
  [0x564c, "ncpfs"],
  [0x5346414f, "afs"],
  [0x6b414653, "afs"],
  [0x73757245, "coda"],
  [0x01021997, "9p"],
  [0x786f4256, "vboxsf"],
  [0xbacbacbc, "vmhgfs"],
  [0x7c7c6673, "prl_fs"],
  [0x00c36400, "ceph"],
  [0x0bd00bd0, "lustre"],
  [0x47504653, "gpfs"],
  [0x01161970, "gfs2"],
  [0x7461636f, "ocfs2"],
  [0x19830326, "beegfs"],
  [0x20030528, "orangefs"],
  [0xaad7aaea, "panfs"],
  [0xbeefdead, "snfs"],
]);
const FUSE_NUMBER = 0x65735546;

/** The same by the names of mountinfo; of FUSE without the `fuse.` before it, which some drivers leave out. */
const NETWORK_TYPES: ReadonlySet<string> = new Set([
  ...NETWORK_NUMBERS.values(),
  // Over a network.
  ...[
    "nfs4",
    "smb3",
    "smbfs",
    "davfs",
    "davfs2",
    "sshfs",
    "curlftpfs",
    "rclone",
    "s3fs",
    "gcsfuse",
    "goofys",
  ],
  ...["mount-s3", "blobfuse", "blobfuse2", "juicefs", "JuiceFS", "seaweedfs", "cvmfs2"],
  // Clusters.
  ...[
    "glusterfs",
    "ceph-fuse",
    "lustre_lite",
    "beegfs_nodev",
    "pvfs2",
    "moosefs",
    "mfs",
    "wekafs",
    "quobyte",
    "ocfs2_dlmfs",
  ],
  // A virtual machine's host: Docker Desktop, WSL, VirtualBox, VMware, Parallels, Lima, Kata.
  ...["virtiofs", "drvfs", "wslfs", "grpcfuse", "osxfs", "fakeowner", "vmhgfs-fuse"],
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
  if (type !== undefined) return type;
  const mountInfo = ifAllowed(looks.mountInfo);
  if (mountInfo !== null) return networkFileSystemOf(mountInfo, path);
  return (number >>> 0) === FUSE_NUMBER ? UNNAMED_FUSE : null;
}

export const UNKNOWN = "unknown";
export const UNNAMED_FUSE = "unnamed fuse";

function ifAllowed<T>(look: () => T): T | null {
  try {
    return look();
  } catch (error) {
    // Without /proc, as on other systems than Linux, there is nothing to read either.
    if (error instanceof Deno.errors.NotCapable || error instanceof Deno.errors.NotFound) return null;
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
  return NETWORK_TYPES.has(found.type.replace(/^fuse\./, "")) ? found.type : null;
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
