import type { KeyedHashes } from "../../../contract/keyed_hash.ts";
import type { OfferView, PipelineStatus } from "../../../contract/processor_api.ts";
import type { OfferLoopDependencies } from "../policy.ts";
import { openOfferStatusReader } from "./open.ts";
import { NO_OFFERS, type OfferStatusReader } from "./status_reader.ts";

/** The offers for the status API: opens the view when it is first asked for and there; until then nobody has an offer. */
export type OfferStatus = {
  status(): Pick<PipelineStatus, "offers" | "mails">;
  offerOf(distinctId: string): Promise<OfferView | null>;
  codeIsValid(code: string): boolean;
  close(): void;
};

/**
 * The offers as the status API shows them. Opens the view at the first question after its writer has made it; until
 * then counts are 0, no offer is found and no code is valid.
 */
export function openOfferStatus(
  config: Pick<OfferLoopDependencies["config"], "dataDir" | "discount">,
  { hashes }: { readonly hashes: KeyedHashes },
): OfferStatus {
  let reader: OfferStatusReader | null = null;
  const open = () => reader ??= openOfferStatusReader(config.dataDir, config.discount);
  return {
    status: () => ({
      offers: open()?.counts() ?? { ...NO_OFFERS },
      mails: open()?.mails() ?? { accepted: 0, deferred: 0, refused: 0, unknown: 0 },
    }),
    offerOf: (distinctId) => Promise.resolve(open()?.offerOf(distinctId, hashes) ?? null),
    codeIsValid: (code) => open()?.codeIsValid(code) ?? false,
    close: () => reader?.close(),
  };
}
