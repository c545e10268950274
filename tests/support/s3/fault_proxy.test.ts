import { expect, test } from "vitest";
import { seededRandom } from "../../simulation/terms.ts";
import { type ProxiedRequest, seededFaults } from "./fault_proxy.ts";

test("seeded faults are the same for the same seed, about as many as asked for, and 412 meets creations alone", () => {
  const requests: readonly ProxiedRequest[] = Array.from({ length: 3_000 }, (_, n) => ({
    number: n,
    method: "PUT",
    path: `/b/${n}`,
    creates: n % 2 === 0,
  }));
  const faultsOf = (seed: number) => requests.map(seededFaults(seededRandom(seed), { share: 0.2 }));
  const faults = faultsOf(7);
  expect(faultsOf(7)).toEqual(faults);
  expect(faultsOf(8)).not.toEqual(faults);
  const share = faults.filter((fault) => fault !== null).length / requests.length;
  expect(share).toBeGreaterThan(0.15);
  expect(share).toBeLessThan(0.25);
  const kinds = new Set(faults.map((fault) => fault?.kind));
  expect([...kinds].filter((kind) => kind !== undefined).sort())
    .toEqual(["cut answer", "late 412", "lose answer", "lose request", "overtaken", "slow down"]);
  expect(requests.filter(({ creates }, n) => !creates && faults[n]?.kind === "late 412")).toEqual([]);
});
