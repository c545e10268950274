import { describe, expect, it } from "vitest";
import {
  CHECKPOINT_EVERY,
  checkpointKey,
  type Commit,
  commitKey,
  encodeJson,
  parseCommit,
} from "./commit.ts";
import { CommitState, LEAVING_MS } from "./commit_state.ts";

const AT = Date.UTC(2026, 0, 1);
const BUILD = { build: "b", partition: 3 };
const path = (commit: number, firstOffset = 0) =>
  `event=a/date=2025-11-30/p00003-${`${firstOffset}`.padStart(20, "0")}-${
    `${commit}`.padStart(20, "0")
  }-0123456789abcdef.jsonl`;
const object = (commit: number, firstOffset = 0) => ({
  path: path(commit, firstOffset),
  bytes: 1,
  records: 1,
  sha256: "0a",
  placeholders: {},
  sanitiserVersion: "s1",
});

function commit(number: number, some: Partial<Commit> = {}): Commit {
  const value = {
    number,
    kind: "lines",
    writer: "w",
    nonce: `${number}`,
    at: new Date(AT).toISOString(),
    firstOffset: 5,
    nextOffset: 5 + number,
    ...some,
  };
  return parseCommit(commitKey(BUILD, number), encodeJson(value));
}

function folded(...commits: readonly Commit[]): CommitState {
  const state = new CommitState(0);
  for (const one of commits) state.apply(one, commitKey(BUILD, one.number));
  return state;
}

describe("what commits come to", () => {
  it("is the objects that were added and not removed, and the last next offset", () => {
    const state = folded(
      commit(1, { kind: "fence", nextOffset: 5 }),
      commit(2, { added: [object(2)] }),
      commit(3, { added: [object(3, 7)] }),
      commit(4, { kind: "compact", nextOffset: 8, added: [object(4)], removed: [path(2), path(3, 7)] }),
    );
    expect([...state.objects.keys()]).toEqual([path(4)]);
    expect([state.number, state.firstOffset, state.nextOffset]).toEqual([4, 5, 8]);
    expect([...state.leaving]).toEqual([[path(2), AT], [path(3, 7), AT]]);
  });

  it("keeps the letters of every commit above lettersPublished, and erasures, over any number of fences", () => {
    const letter = (offset: number) => ({ offset, step: "parse" as const, reason: "no prompt" });
    const state = folded(
      commit(1, {
        letters: [letter(5)],
        erased: [{ subject: "s", at: new Date(AT).toISOString(), offset: 3 }],
      }),
      commit(2, { letters: [letter(6)] }),
      commit(3, { kind: "fence", nextOffset: 7 }),
      commit(4, { kind: "fence", nextOffset: 7, lettersPublished: 1 }),
      commit(5, { kind: "fence", nextOffset: 7, lettersPublished: 0 }),
    );
    expect(state.letters.flatMap(({ letters }) => letters)).toEqual([letter(6)]);
    expect(state.lettersPublished).toBe(1);
    expect([...state.erased]).toEqual([["s", { offset: 3, at: AT }]]);
  });

  it("counts outcomes and minutes on, and what an erasure takes off again", () => {
    const none = { lines: 0, duplicates: 0, deadLetters: 0, others: 0 };
    const state = folded(
      commit(1, { outcomes: { ...none, lines: 1 }, minutes: [[1, 1]] }),
      commit(2, { kind: "compact", nextOffset: 6 }),
      commit(3, {
        kind: "erase",
        nextOffset: 7,
        outcomes: { ...none, lines: -1, others: 2, taken: 1 },
        minutes: [[2, 1]],
      }),
    );
    expect(state.outcomes).toEqual({ from: 0, to: 7, ...none, others: 2, taken: 1 });
    expect(state.received).toEqual({ from: 0, to: 7, minutes: [[1, 1], [2, 1]] });
  });

  it("is sealed until a writer goes past; what a compaction removed goes with an erasure, or is forgotten in time", () => {
    const sealed = [
      commit(1, { added: [object(1)] }),
      commit(2, { kind: "seal", nextOffset: 6, builds: 4 }),
      commit(3, { kind: "compact", nextOffset: 6, added: [object(3)], removed: [path(1)] }),
    ];
    expect(folded(...sealed).seal).toEqual({ number: 2, builds: 4, nextOffset: 6 });
    expect(folded(...sealed, commit(4, { kind: "fence", nextOffset: 6 })).seal).toBeNull();
    const later = new Date(AT + 2 * LEAVING_MS + 1).toISOString();
    expect(folded(...sealed).leaving.size).toBe(1);
    expect(folded(...sealed, commit(4, { nextOffset: 6, at: later })).leaving.size).toBe(0);
    expect(folded(...sealed, commit(4, { kind: "erase", nextOffset: 6 })).leaving.size).toBe(0);
  });

  it("is the same from a checkpoint at any of them", () => {
    const commits = [
      commit(1, { letters: [{ offset: 5, step: "sanitise", reason: "r" }], counts: [{ count: 8, from: 5 }] }),
      commit(2, { added: [object(2)], last: { offset: 6, timestamp: 1, sha256: "0b" } }),
      commit(3, { kind: "compact", nextOffset: 7, added: [object(3)], removed: [path(2)] }),
      commit(4, {
        kind: "seal",
        nextOffset: 7,
        builds: 1,
        erased: [{ subject: "s", at: new Date(AT).toISOString(), offset: 3 }],
      }),
      commit(5, {
        nextOffset: 9,
        outcomes: { lines: 1, duplicates: 0, deadLetters: 1, others: 0 },
        minutes: [[3, 2]],
      }),
    ];
    const whole = folded(...commits).toCheckpoint();
    for (let at = 1; at < commits.length; at++) {
      const state = new CommitState(0);
      state.restore(checkpointKey(BUILD, at), encodeJson(folded(...commits.slice(0, at)).toCheckpoint()));
      for (const one of commits.slice(at)) state.apply(one, commitKey(BUILD, one.number));
      expect(encodeJson(state.toCheckpoint())).toEqual(encodeJson(whole));
    }
  });
});

describe("a commit is damaged where", () => {
  const before = () => folded(commit(1, { added: [object(1)] }));
  it.each<[string, () => Commit]>([
    ["a number is missing before it", () => commit(3)],
    ["its next offset lies below", () => commit(2, { nextOffset: 3 })],
    ["it names an object of another number", () => commit(2, { added: [object(1, 6)] })],
    ["it removes what is not there", () => commit(2, { removed: [path(9)] })],
    ["it seals against nothing", () => commit(2, { kind: "seal" })],
    ["it names no object", () => commit(2, { added: [{ ...object(2), path: "../x.jsonl" }] })],
    ["it is no JSON", () => parseCommit("k", new TextEncoder().encode("{"))],
  ])("%s", (_, make) => {
    expect(() => before().apply(make(), "the key")).toThrow(
      expect.objectContaining({ code: "dataset_damaged" }),
    );
  });
});

it("keys sort as their numbers do", () => {
  expect(commitKey(BUILD, 17)).toBe("b/_log/p00003/00000000000000000017.json");
  expect(checkpointKey(BUILD, CHECKPOINT_EVERY)).toBe("b/_log/p00003/00000000000000000100.checkpoint.json");
});
