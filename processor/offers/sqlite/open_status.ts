import type { KeyedHashes } from "../../../contract/keyed_hash.ts";
import type { OfferQuery, PipelineStatus } from "../../../contract/processor_api.ts";
import type { OfferLoopDependencies } from "../policy.ts";
import { offerViewPath, openViewToRead } from "./schema.ts";
import { createOfferStatusReader, NO_OFFERS, type OfferStatusReader } from "./status_reader.ts";

/** Opens the offer view of a DATA_DIR for whoever shows it: no loop loads what that takes. */

/** For whoever shows what there is; null where the view's writer has not made it yet. */
export function openOfferStatusReader(
  dataDir: string,
  { threshold, provenOnly }: { readonly threshold: number; readonly provenOnly: boolean },
): OfferStatusReader | null {
  const db = openViewToRead(offerViewPath(dataDir));
  return db === null ? null : createOfferStatusReader(db, { threshold, provenOnly });
}

/**
 * The offers as the status API shows them. Opens the view at the first question after its writer has made it; until
 * then counts are 0, no offer is found and no code is valid.
 */
export function openOfferStatus(
  config: Pick<OfferLoopDependencies["config"], "dataDir" | "discount">,
  { hashes }: { readonly hashes: KeyedHashes },
) {
  let reader: OfferStatusReader | null = null;
  const open = () => reader ??= openOfferStatusReader(config.dataDir, config.discount);
  return {
    status: (): Pick<PipelineStatus, "offers" | "mails"> => ({
      offers: open()?.counts() ?? { ...NO_OFFERS },
      mails: open()?.mails() ?? { accepted: 0, deferred: 0, refused: 0, unknown: 0 },
    }),
    offerOf: (distinctId: string) => Promise.resolve(open()?.offerOf(distinctId, hashes) ?? null),
    /** Null where the view's writer has not made it yet. */
    page: (query: OfferQuery) => open()?.page(query, hashes) ?? null,
    offerById: (id: number) => open()?.offerById(id, hashes) ?? null,
    codeIsValid: (code: string) => open()?.codeIsValid(code) ?? false,
    close: () => reader?.close(),
  };
}
