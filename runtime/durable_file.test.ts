import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import {
  isThere,
  makePrivateDirectory,
  PRIVATE,
  readIfThere,
  removeIfThere,
  replaceFile,
  replaceFileSync,
} from "./durable_file.ts";

let directory: string;
beforeEach(async () => {
  directory = await Deno.makeTempDir();
});
afterEach(() => Deno.remove(directory, { recursive: true }));

const bytes = (text: string) => new TextEncoder().encode(text);
const names = () => [...Deno.readDirSync(directory)].map(({ name }) => name);
const modeOf = (path: string) => Deno.statSync(path).mode! & 0o777;

describe.each([
  ["replaceFile()", replaceFile],
  ["replaceFileSync()", async (...args: Parameters<typeof replaceFile>) => await replaceFileSync(...args)],
])("%s", (_, replace) => {
  it("makes the file or takes its place, and leaves nothing beside it", async () => {
    const path = join(directory, "file");
    await replace(path, bytes("a longer text"));
    await replace(path, bytes("short"));
    expect([Deno.readTextFileSync(path), names()]).toEqual(["short", ["file"]]);
  });

  it("a disk that takes nothing leaves the old one whole, and nothing beside it", async () => {
    const path = join(directory, "file");
    await replace(path, bytes("old"));
    const full = () => {
      throw new Error("No space left on device");
    };
    const { prototype } = Deno.FsFile;
    const spies = [vi.spyOn(prototype, "sync"), vi.spyOn(prototype, "syncSync")];
    for (const spy of spies) spy.mockImplementation(full);
    await expect(replace(path, bytes("new"))).rejects.toThrow("No space left");
    for (const spy of spies) spy.mockRestore();
    expect([Deno.readTextFileSync(path), names()]).toEqual(["old", ["file"]]);
  });

  it("a crash before the rename leaves the old one whole, and what it left is written over", async () => {
    const path = join(directory, "file");
    await replace(path, bytes("old"));
    Deno.writeTextFileSync(`${path}.tmp`, "half of something that was longer");
    expect(Deno.readTextFileSync(path)).toBe("old");
    await replace(path, bytes("new"));
    expect([Deno.readTextFileSync(path), names()]).toEqual(["new", ["file"]]);
  });

  it("a private one is the owner's alone", async () => {
    const path = join(directory, "file");
    await replace(path, bytes("secret"), PRIVATE);
    expect(modeOf(path)).toBe(0o600);
  });
});

it("makePrivateDirectory() makes what is missing for the owner alone, and leaves what is there", () => {
  Deno.mkdirSync(join(directory, "there"));
  Deno.chmodSync(join(directory, "there"), 0o755);
  makePrivateDirectory(join(directory, "there", "a", "b"));
  makePrivateDirectory(join(directory, "there"));
  expect(["there", "there/a", "there/a/b"].map((name) => modeOf(join(directory, name)))).toEqual(
    [0o755, 0o700, 0o700],
  );
});

it("what is missing reads as null, is not there, and need not be removed", () => {
  const path = join(directory, "file");
  expect([readIfThere(path), isThere(path)]).toEqual([null, false]);
  removeIfThere(path);
  Deno.writeTextFileSync(path, "x");
  expect([readIfThere(path), isThere(path)]).toEqual([bytes("x"), true]);
  removeIfThere(path);
  expect(isThere(path)).toBe(false);
});
