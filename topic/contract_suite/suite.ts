import { afterAll, afterEach, beforeAll, beforeEach, describe, test } from "vitest";
import { Context, type ContractAdapter, type ContractTests, NotHere } from "./context.ts";
import { GROUP_CONTRACT } from "./groups.ts";
import { RECORD_CONTRACT } from "./records.ts";
import { RECORDS_OF_OTHERS_CONTRACT } from "./records_of_others.ts";

export type { ContractAdapter };

/** Names of the contract's tests. */
export type ContractTest =
  | keyof typeof RECORD_CONTRACT
  | keyof typeof GROUP_CONTRACT
  | keyof typeof RECORDS_OF_OTHERS_CONTRACT;

/**
 * Declares the suite that every adapter of the port runs.
 *
 * It knows no adapter: topics and groups get names that nobody else uses, offsets may have gaps, and every wait is for
 * a condition.
 *
 * @param skips Where an adapter differs on purpose: the test's name and the reason, which the report prints.
 */
export function describeTopicContract(
  name: string,
  makeAdapter: () => Promise<ContractAdapter>,
  { skips = {} }: { readonly skips?: Partial<Record<ContractTest, string>> } = {},
): void {
  const contract: ContractTests = { ...RECORD_CONTRACT, ...GROUP_CONTRACT, ...RECORDS_OF_OTHERS_CONTRACT };
  const reasons: Readonly<Record<string, string>> = skips;
  describe(`${name} keeps the contract of the log`, () => {
    let adapter: ContractAdapter;
    let context: Context;
    beforeAll(async () => {
      adapter = await makeAdapter();
    });
    beforeEach(async () => {
      context = await Context.begin(adapter);
    });
    afterEach(() => context.end());
    afterAll(() => adapter.remove());
    for (const [title, run] of Object.entries(contract)) {
      test(title, async (running) => {
        const reason = reasons[title];
        if (reason !== undefined) running.skip(reason);
        await run(context).catch((error) => {
          if (error instanceof NotHere) running.skip(error.message);
          throw error;
        });
      });
    }
  });
}
