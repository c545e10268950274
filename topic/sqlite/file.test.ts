import { basename } from "node:path";
import { describe, expect, test } from "vitest";
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
  test("refuses a DATA_DIR on NFS, also one that is yet to be made, and takes a local one", () => {
    const nfs = "22 1 0:1 / / rw - nfs4 host:/export rw\n";
    expect(() => refuseNetworkFileSystem("/not/made/yet", nfs)).toThrow(/network file system \(nfs4\)/);
    expect(() => refuseNetworkFileSystem("/not/made/yet", nfs.replace("nfs4", "ext4"))).not.toThrow();
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
