import { Readable } from "node:stream";
import { describe, expect, it } from "vitest";
import { ObjectStoreAwayError } from "../object_store.ts";
import { wholeBlocks } from "./body.ts";

const DOING = { doing: 'read "a" in s3://b', idleMsMax: 60_000, signal: undefined };

const bodyOf = (blocks: readonly Uint8Array[]) => Readable.from(blocks, { objectMode: true });
const brokenBy = (message: string) =>
  Readable.from((function* () {
    yield new Uint8Array([1, 2, 3]);
    throw new Error(message);
  })());

describe("The body of an object", () => {
  const blocks = [new Uint8Array([1, 2]), new Uint8Array([3])];

  it("comes as it was announced", async () => {
    expect(await Array.fromAsync(wholeBlocks(bodyOf(blocks), { ...DOING, bytes: 3 }))).toEqual(blocks);
  });

  it.each([[2], [4]])("is an error where 3 bytes come, and %i were announced", async (bytes) => {
    const read = Array.fromAsync(wholeBlocks(bodyOf(blocks), { ...DOING, bytes }));
    await expect(read).rejects.toThrow(ObjectStoreAwayError);
    await expect(read).rejects.toThrow(`Cannot read "a" in s3://b: 3 of ${bytes} bytes came.`);
  });

  it("says what broke it", async () => {
    const read = Array.fromAsync(wholeBlocks(brokenBy("reset by peer"), { ...DOING, bytes: 4 }));
    await expect(read).rejects.toThrow("3 of 4 bytes came (reset by peer)");
  });

  it("ends with its connection where nobody reads on, and where nothing comes", async () => {
    const body = bodyOf(blocks);
    for await (const _ of wholeBlocks(body, { ...DOING, bytes: 3 })) break;
    expect(body.destroyed).toBe(true);
    const still = new Readable({ read() {} });
    still.push(new Uint8Array([1]));
    await expect(Array.fromAsync(wholeBlocks(still, { ...DOING, bytes: 3, idleMsMax: 5 })))
      .rejects.toThrow("1 of 3 bytes came (nothing came for 5 ms)");
    expect(still.destroyed).toBe(true);
  });

  it("ends with the reason for which the reader was stopped", async () => {
    const stop = new AbortController();
    const read = wholeBlocks(brokenBy("aborted"), { ...DOING, bytes: 4, signal: stop.signal });
    await read.next();
    stop.abort(new Error("enough"));
    await expect(Array.fromAsync(read)).rejects.toThrow("enough");
  });
});
