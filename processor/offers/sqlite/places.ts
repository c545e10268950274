import { CLOSED_REASONS, FAILED_REASONS, type OfferState } from "../../../contract/processor_api.ts";

/** Where persons stand in the list of offers: how the index `person_state` begins, behind which the facts that touched them are in order. */
export type Place = { readonly state: OfferState; readonly reason: string | null };

/** Every place that a person can stand at. */
export const PLACES: readonly Place[] = [
  ...(["counting", "waiting", "sending", "offered"] as const).map((state) => ({ state, reason: null })),
  ...FAILED_REASONS.map((reason) => ({ state: "failed" as const, reason })),
  ...CLOSED_REASONS.map((reason) => ({ state: "closed" as const, reason })),
];
