import { describe, expect, it } from "vitest";
import type { FactOf } from "../../facts/facts.ts";
import { askedAt, judge, type OtherId, rowOf, update } from "./merge.ts";

const [ada, anon] = ["a".repeat(32), "b".repeat(32)];
const [hers, another] = [`p-${"c".repeat(32)}`, `p-${"d".repeat(32)}`];
const T = 1_000_000;

function asked(more: Partial<FactOf<"merge_asked">> = {}) {
  const position = { partition: 1, offset: 5 };
  return rowOf({
    ...{ fact: "merge_asked", subject: ada, other: anon, at: T + 500, position, how: "identify", askedAt: T },
    ...more,
  });
}

const verdict = (row: ReturnType<typeof asked>, other: Partial<OtherId> = {}) =>
  judge(row, () => ({ isNamedBefore: false, personsSince: [], ...other }));

describe.each(["identify", "alias"] as const)("two ids, asked for by %s,", (how) => {
  it("are one person as far as is known, where nothing else names the other id", () => {
    expect(verdict(asked({ how }))).toBe("open");
  });

  it("are two where an earlier request names the other id", () => {
    expect(verdict(asked({ how }), { isNamedBefore: true })).toBe("refused");
    expect(verdict(asked({ how, person: hers }), { isNamedBefore: true })).toBe("refused");
  });

  it("are what PostHog's person.ids say, whatever names them", () => {
    for (const isNamedBefore of [false, true]) {
      const since = (...personsSince: string[]) =>
        verdict(asked({ how, person: hers }), { isNamedBefore, personsSince });
      expect(since(hers)).toBe("sure");
      expect(since(another)).toBe("refused");
      // A merge that is never refused has moved both on.
      expect(since(hers, another)).toBe("sure");
    }
    expect(verdict(asked({ how }), { personsSince: [another] })).toBe("open");
  });
});

it("two ids are one person for good by $merge_dangerously, and by a fact of before requests were judged", () => {
  const all = { isNamedBefore: true, personsSince: [another] };
  expect(verdict(asked({ how: "dangerous", person: hers }), all)).toBe("sure");
  const position = { partition: 1, offset: 5 };
  expect(verdict(rowOf({ fact: "joined", subject: ada, other: anon, at: T, position }), all)).toBe("sure");
});

it("a request was made at its event's own time, as far as a delivery may have taken so long", () => {
  const at = (eventAt: number, isBackfill = false) => askedAt({ eventAt, receivedAt: T, isBackfill });
  expect([at(T - 20_000), at(T)]).toEqual([T - 20_000, T]);
  // Anybody may set it back, and be the first to have asked.
  expect(at(T - 3_600_000)).toBe(T - 60_000);
  expect(at(T + 3_600_000)).toBe(T);
  expect(at(T - 3_600_000, true)).toBe(T - 3_600_000);
});

describe("what counts as shown later", () => {
  const shown = (at: number, eventAt?: number) =>
    rowOf({
      ...{ fact: "joined", subject: anon, other: another, at, position: { partition: 0, offset: 1 } },
      ...(eventAt === undefined ? {} : { eventAt }),
    }).time > asked().arrived;

  it("happened after the request had arrived, by its own time and by the received one", () => {
    expect(shown(T + 900, T + 501)).toBe(true);
    // It may have been decided before the request: deliveries overtake each other.
    expect(shown(T + 900, T + 499)).toBe(false);
    // Its clock is ahead.
    expect(shown(T + 400, T + 900)).toBe(false);
    // A fact of before does not say.
    expect(shown(T + 900)).toBe(false);
  });
});

describe("a second request for the same two ids", () => {
  const held = asked();
  const after = (more: Parameters<typeof asked>[0], isHolding = true) =>
    update(held, { row: asked(more), isHolding });

  it("changes nothing where it is a repeat or later", () => {
    expect(after({})).toBe(held);
    expect(after({ askedAt: T + 1, at: T + 501, person: hers })).toBe(held);
  });

  it("counts where it is the earlier one, since when the first of them was received", () => {
    const earlier = { askedAt: T - 1, at: T + 700, person: hers, position: { partition: 2, offset: 3 } };
    expect(after(earlier)).toEqual({ ...asked(earlier), at: T + 500 });
    expect(after(earlier, false)).toEqual(asked(earlier));
  });

  it("counts where it cannot be refused, and keeps what the first one named", () => {
    const forced = { how: "dangerous", askedAt: T + 9, at: T + 900 } as const;
    expect(after(forced, false)).toMatchObject({ how: "dangerous", time: T, at: T + 900 });
    expect(after(forced)).toMatchObject({ how: "dangerous", at: T + 500 });
  });

  it("keeps a proof that either brought", () => {
    expect(after({ askedAt: T + 1, proven: true })).toEqual({ ...held, isProven: true });
  });
});
