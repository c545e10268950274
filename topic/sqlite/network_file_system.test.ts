import { describe, expect, test } from "vitest";
import { networkFileSystemAt, networkFileSystemOf, UNNAMED_FUSE } from "./network_file_system.ts";

const MOUNTS = `22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:26 / /mnt/share rw,relatime shared:15 - nfs4 10.0.0.1:/export rw,vers=4.2
31 30 8:2 / /mnt/share/local rw,relatime - xfs /dev/sdb1 rw
32 22 0:27 / /mnt/with\\040blank rw - cifs //server/share rw
33 22 0:28 / /home/me/remote rw - fuse.sshfs me@host:/ rw
34 22 0:29 / /mnt/covered rw - nfs host:/a rw
35 22 8:3 / /mnt/covered rw - ext4 /dev/sdc1 rw
`;

describe("networkFileSystemOf()", () => {
  test.each([
    ["/mnt/share", "nfs4"],
    ["/mnt/share/data/log", "nfs4"],
    ["/mnt/with blank/data", "cifs"],
    ["/home/me/remote/x", "fuse.sshfs"],
  ])("names the type that %s lies on", (path, type) => {
    expect(networkFileSystemOf(MOUNTS, path)).toBe(type);
  });

  test.each([
    ["/data", "the root is local"],
    ["/mnt/share/local/data", "the nearest mount decides"],
    ["/mnt/shared", "a name that only begins like a mount point is not below it"],
    ["/mnt/covered/data", "the later of two mounts on one point decides"],
  ])("finds nothing against %s: %s", (path) => {
    expect(networkFileSystemOf(MOUNTS, path)).toBeNull();
  });

  test("finds nothing where there is nothing to read", () => {
    expect(networkFileSystemOf("", "/data")).toBeNull();
  });
});

/** Lines of /proc/self/mountinfo as the systems that have such mounts write them. */
const FOREIGN = [
  ["virtiofs", "31 22 0:40 / /data rw,relatime - virtiofs myshare rw"],
  ["virtiofs", "31 22 0:40 /Users/me /data rw,nosuid,nodev,relatime - virtiofs virtiofs0 rw"],
  [
    "9p",
    "94 67 0:58 / /data rw,noatime - 9p C:\\134 rw,dirsync,aname=drvfs;path=C:\\;uid=0,access=client,trans=fd",
  ],
  ["9p", "31 22 0:40 / /data rw,relatime - 9p mount0 rw,access=client,msize=131072,trans=virtio"],
  ["drvfs", "20 2 0:15 / /data rw,noatime - drvfs C: rw,uid=1000,gid=1000,case=off"],
  ["vboxsf", "55 22 0:48 / /data rw,nodev,relatime - vboxsf vagrant rw,iocharset=utf8,uid=1000"],
  ["fuse.vmhgfs-fuse", "55 22 0:48 / /data rw,relatime - fuse.vmhgfs-fuse vmhgfs-fuse rw,user_id=0"],
  ["prl_fs", "55 22 0:48 / /data rw,relatime - prl_fs host rw"],
  [
    "fuse.grpcfuse",
    "611 600 0:61 /Users/me /data rw,relatime master:1 - fuse.grpcfuse grpcfuse rw,user_id=0",
  ],
  ["fuse.osxfs", "611 600 0:61 /Users/me /data rw,relatime - fuse.osxfs osxfs rw,user_id=0,allow_other"],
  ["fakeowner", "611 600 0:61 /me /data rw,relatime - fakeowner /run/host_mark/Users rw,fakeowner"],
  ["ceph", "70 22 0:52 / /data rw,relatime - ceph 10.0.0.1:6789:/ rw,name=admin,secret=<hidden>,acl"],
  ["fuse.ceph-fuse", "70 22 0:52 / /data rw,relatime - fuse.ceph-fuse ceph-fuse rw,user_id=0"],
  ["lustre", "70 22 0:52 / /data rw,relatime - lustre 10.0.0.1@tcp:/scratch rw,flock"],
  ["gpfs", "70 22 0:52 / /data rw,relatime - gpfs gpfs0 rw"],
  ["gfs2", "70 22 253:1 / /data rw,relatime - gfs2 /dev/mapper/c-lv rw"],
  ["ocfs2", "70 22 253:1 / /data rw,relatime - ocfs2 /dev/sdb1 rw,_netdev,heartbeat=local"],
  ["beegfs", "70 22 0:52 / /data rw,relatime - beegfs beegfs_nodev rw"],
  ["afs", "70 22 0:52 / /data rw - afs AFS rw"],
  ["smb3", "70 22 0:52 / /data rw - smb3 //server/share rw,vers=3.1.1"],
  ["fuse.glusterfs", "70 22 0:52 / /data rw - fuse.glusterfs host:/vol rw"],
  ["fuse.mount-s3", "70 22 0:52 / /data rw - fuse.mount-s3 mountpoint-s3 rw"],
] as const;

const LOCAL = [
  "ext4",
  "xfs",
  "btrfs",
  "zfs",
  "tmpfs",
  "overlay",
  "fuseblk",
  "fuse.gocryptfs",
  "f2fs",
  "bcachefs",
];

describe("networkFileSystemAt(), where mountinfo may be read", () => {
  const at = (line: string, number: number) =>
    networkFileSystemAt("/data/log", {
      number: () => number,
      mountInfo: () => `22 1 8:1 / / rw - ext4 /dev/sda1 rw\n${line}\n`,
    });
  const [FUSE, UNKNOWN_NUMBER] = [0x65735546, 0x12345678];

  test.each(FOREIGN)("refuses %s: %s", (type, line) => {
    expect([at(line, FUSE), at(line, UNKNOWN_NUMBER)]).toEqual([type, type]);
  });

  test.each(LOCAL)("takes %s", (type) => {
    const line = `31 22 8:2 / /data rw,relatime shared:1 - ${type} /dev/sdb1 rw`;
    expect([at(line, FUSE), at(line, UNKNOWN_NUMBER)]).toEqual([null, null]);
  });
});

describe("networkFileSystemAt(), where it may not", () => {
  const at = (number: number) =>
    networkFileSystemAt("/data", {
      number: () => number,
      mountInfo: () => {
        throw new Deno.errors.NotCapable("no");
      },
    });

  // linux/magic.h, and coreutils' src/stat.c for what lies outside of the kernel.
  test.each([
    ["9p", 0x01021997],
    ["ceph", 0x00c36400],
    ["lustre", 0x0bd00bd0],
    ["vboxsf", 0x786f4256],
    ["prl_fs", 0x7c7c6673],
    ["vmhgfs", 0xbacbacbc],
    ["gpfs", 0x47504653],
    ["gfs2", 0x01161970],
    ["ocfs2", 0x7461636f],
    ["beegfs", 0x19830326],
    ["afs", 0x6b414653],
    ["coda", 0x73757245],
    ["nfs", 0x6969],
    ["cifs", 0xff534d42],
  ])("refuses %s by its number, also where the kernel's came signed", (type, number) => {
    expect([at(number), at(number | 0)]).toEqual([type, type]);
  });

  test("refuses every FUSE, which virtiofs and grpcfuse are", () => {
    expect(at(0x65735546)).toBe(UNNAMED_FUSE);
  });

  test.each([
    ["ext4", 0xef53],
    ["xfs", 0x58465342],
    ["btrfs", 0x9123683e],
    ["tmpfs", 0x01021994],
    ["overlay", 0x794c7630],
    ["zfs", 0x2fc12fc1],
    ["f2fs", 0xf2f52010],
    ["apfs of macOS", 0x1a],
  ])("takes %s", (_, number) => expect(at(number)).toBeNull());
});
