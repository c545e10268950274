import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
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

  it("has its name once it is whole, so that who looks meanwhile neither fails nor holds up its making", () => {
    const path = offerViewPath(dataDir);
    const rename = Deno.renameSync;
    const seen: unknown[] = [];
    const spy = vi.spyOn(Deno, "renameSync").mockImplementation((from, to) => {
      expect(openViewToRead(path)).toBeNull();
      const whole = openViewToRead(String(from))!;
      seen.push(
        to,
        whole.prepare("select next_fact from view").get(),
        whole.prepare("pragma journal_mode").get(),
      );
      whole.close();
      rename(from, to);
    });
    try {
      openViewToWrite(path).close();
    } finally {
      spy.mockRestore();
    }
    expect(seen).toEqual([path, { next_fact: 0 }, { journal_mode: "wal" }]);
  });

  it("is looked at again later where somebody holds it, and one that is no view at all is an error", () => {
    const path = offerViewPath(dataDir);
    openViewToWrite(path).close();
    const holder = new DatabaseSync(path);
    holder.exec("pragma journal_mode=DELETE; begin exclusive");
    expect(openViewToRead(path)).toBeNull();
    holder.exec("commit");
    holder.close();
    Deno.writeTextFileSync(path, "no database, and long enough to be none".repeat(20));
    expect(() => openViewToRead(path)).toThrow(/not a database/);
    expect(() => openViewToWrite(path)).toThrow(/not a database/);
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
