import { once } from "../../runtime/remember.ts";

/** As `createLineIds`, whose sanitiser is loaded with the first distinct_id: no start waits for it. */
export function createLineIdsLater(
  subject: (distinctId: string) => string,
): (distinctId: string) => Promise<string> {
  const lineIds = once(async () => (await import("./line_id.ts")).createLineIds(subject));
  return async (distinctId) => (await lineIds())(distinctId);
}
