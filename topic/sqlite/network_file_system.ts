/**
 * Which file systems the embedded log refuses: SQLite's WAL needs memory shared between processes and locks that the
 * operating system drops with its holder, and neither can be relied on over a network.
 */
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
