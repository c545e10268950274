import { describe, expect, test } from "vitest";
import { networkFileSystemOf } from "./network_file_system.ts";

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
