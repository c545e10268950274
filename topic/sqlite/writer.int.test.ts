import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { SqliteWriter } from "./writer.ts";

let directory: string;
let writer: SqliteWriter;

beforeEach(async () => {
  directory = await Deno.makeTempDir({ prefix: "sqlite-writer-" });
  const path = join(directory, "log", "processor.db");
  writer = new SqliteWriter(path, { synchronous: "FULL", busyTimeoutMs: 1, busyMsMax: 100 });
});

afterEach(async () => {
  writer.close();
  await Deno.remove(directory, { recursive: true });
});

function topics(): Promise<string[]> {
  return writer.transaction((connection) =>
    connection.all<[string]>("select name from topic order by name").map(([name]) => name)
  );
}

const insert = (name: string) =>
  writer.transaction((connection) => {
    connection.run("insert into topic (name, record_bytes_max) values (?, 1)", name);
    if (name === "refused") throw new RangeError("the work says no");
  });

describe("SqliteWriter", () => {
  test("keeps nothing of a transaction whose work throws, passes its error on, and works again", async () => {
    await insert("kept");
    await expect(insert("refused")).rejects.toThrow(new RangeError("the work says no"));
    expect(await topics()).toEqual(["kept"]);
    await insert("later");
    expect(await topics()).toEqual(["kept", "later"]);
  });

  test("runs transactions that are asked for at the same time one after the other", async () => {
    await Promise.all(["a", "b", "c"].map(insert));
    expect(await topics()).toEqual(["a", "b", "c"]);
  });

  test("says which file could not be written, and opens it anew afterwards", async () => {
    await insert("kept");
    await expect(insert("kept")).rejects.toThrow(/Cannot write the log file ".*processor.db": .*UNIQUE/);
    await insert("later");
    expect(await topics()).toEqual(["kept", "later"]);
  });

  test("refuses a file of a newer format", async () => {
    await writer.transaction((connection) => connection.exec("pragma user_version = 99"));
    writer.close();
    await expect(topics()).rejects.toThrow(/its format is 99/);
  });
});
