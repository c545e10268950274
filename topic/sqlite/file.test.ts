import { basename } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { DEAD_LETTER_TOPIC, FACTS_TOPIC, WEBHOOKS_TOPIC, writerOf } from "../../contract/names.ts";
import { logFileOf, refuseNetworkFileSystem, refuseOldSqlite } from "./file.ts";
import { LogSetupError } from "../topic.ts";

describe("refuseOldSqlite()", () => {
  test.each(["3.51.2", "3.50.9", "3.7.0", "2.99.99"])(
    "refuses %s, which may lose acknowledged commits",
    (version) => {
      expect(() => refuseOldSqlite(version)).toThrow(LogSetupError);
    },
  );

  test.each(["3.51.3", "3.52.0", "4.0.0"])("takes %s", (version) => {
    expect(() => refuseOldSqlite(version)).not.toThrow();
  });
});

describe("refuseNetworkFileSystem()", () => {
  const EXT4 = 0xef53;
  const FUSE = 0x65735546;
  const notAllowed = () => {
    throw new Deno.errors.NotCapable("run again with the --allow-all flag");
  };
  const looks = (number: number, mountInfo: () => string = notAllowed) => ({
    number: () => number,
    mountInfo,
  });
  const refusal = (given: ReturnType<typeof looks>) => () => refuseNetworkFileSystem("/not/made/yet", given);

  test("refuses a DATA_DIR on NFS, also one that is yet to be made, and takes a local one", () => {
    expect(refusal(looks(0x6969))).toThrow(/network file system \(nfs\)/);
    expect(refusal(looks(EXT4))).not.toThrow();
  });

  test("refuses SMB also where the kernel's number came signed", () => {
    expect(refusal(looks(0xfe534d42 | 0))).toThrow(/network file system \(smb2\)/);
  });

  test("takes a FUSE by its name, and refuses one that Deno may not name", () => {
    const mount = (type: string) => () => `22 1 0:1 / / rw - ${type} me@host:/ rw\n`;
    expect(refusal(looks(FUSE, mount("fuse.sshfs")))).toThrow(/network file system \(fuse\.sshfs\)/);
    expect(refusal(looks(FUSE, mount("fuse.gocryptfs")))).not.toThrow();
    expect(refusal(looks(FUSE))).toThrow(/start with -A/);
  });

  test("warns, and goes on, where Deno may not look at all", () => {
    const said = vi.spyOn(console, "error").mockImplementation(() => {});
    expect(refusal({ number: notAllowed, mountInfo: notAllowed })).not.toThrow();
    expect(said.mock.calls).toEqual([[expect.stringContaining("--allow-sys=statfs")]]);
    said.mockRestore();
  });

  test("the system's own number of a local directory is no network's", () => {
    expect(() => refuseNetworkFileSystem(import.meta.dirname!)).not.toThrow();
  });
});

describe("logFileOf()", () => {
  test("puts webhooks into ingest's file and everything else into the processor's", () => {
    expect(basename(logFileOf(writerOf(WEBHOOKS_TOPIC)))).toBe("ingest.db");
    for (const topic of [DEAD_LETTER_TOPIC, FACTS_TOPIC, "any"]) {
      expect(basename(logFileOf(writerOf(topic)))).toBe("processor.db");
    }
  });
});
