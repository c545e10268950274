import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { beginSenderRun } from "../sender_run.ts";
import { offerViewPath, openViewToRead, openViewToWrite } from "./schema.ts";

let dataDir: string;
beforeEach(async () => void (dataDir = await Deno.makeTempDir()));
afterEach(() => Deno.remove(dataDir, { recursive: true }));

describe("the view's file", () => {
  it("is there for readers once its writer has made it", () => {
    const path = offerViewPath(dataDir);
    expect(openViewToRead(path)).toBeNull();
    const writer = openViewToWrite(path);
    const reader = openViewToRead(path)!;
    expect(reader.prepare("select next_fact from view").get()).toEqual({ next_fact: 0 });
    for (const db of [reader, writer]) db.close();
  });

  it("keeps what it holds, unless another version made it: then it is built again", () => {
    const path = offerViewPath(dataDir);
    const set = (sql: string) => {
      const db = openViewToWrite(path);
      db.exec(sql);
      const row = db.prepare("select next_fact from view").get();
      db.close();
      return row;
    };
    set("update view set next_fact = 7");
    expect(set("pragma user_version = 999")).toEqual({ next_fact: 7 });
    expect(openViewToRead(path)).toBeNull();
    expect(set("")).toEqual({ next_fact: 0 });
  });
});

describe("beginSenderRun()", () => {
  it("numbers the starts of a DATA_DIR, which keeps its random id", () => {
    const [first, second] = [beginSenderRun(dataDir), beginSenderRun(dataDir)];
    expect(first.dataDir).toMatch(/^[0-9a-f]{16}$/);
    expect(second).toEqual({ dataDir: first.dataDir, start: first.start + 1 });
  });

  it("refuses a run file that it cannot read, rather than forget earlier runs", () => {
    Deno.writeTextFileSync(`${dataDir}/run.json`, "{}");
    expect(() => beginSenderRun(dataDir)).toThrow(/it is no run file/);
  });
});
