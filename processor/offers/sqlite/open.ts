import type { Clock } from "../../../runtime/clock.ts";
import type { KeyedHashes } from "../../../contract/keyed_hash.ts";
import type { OfferQuery, PipelineStatus } from "../../../contract/processor_api.ts";
import type { OfferLoopDependencies } from "../policy.ts";
import type { OfferStoreReader, OfferStoreWriter } from "../store.ts";
import { createOfferStoreReader } from "./reader.ts";
import { offerViewPath, openViewToRead, openViewToWrite } from "./schema.ts";
import { createOfferStatusReader, NO_OFFERS, type OfferStatusReader } from "./status_reader.ts";
import { createOfferStoreWriter } from "./writer.ts";

/** Opens the offer view of a DATA_DIR: for its one writer, for the loops beside it, and for whoever shows it. */

/** Between two looks for a view that its writer has not made yet. */
const POLL_MS = 10;

/** Opens the view of this DATA_DIR for its one writer, and makes it where it is missing or of an older form. */
export function openOfferStoreWriter(
  dataDir: string,
  options: Parameters<typeof createOfferStoreWriter>[1],
): OfferStoreWriter {
  return createOfferStoreWriter(openViewToWrite(offerViewPath(dataDir)), options);
}

/** For whoever waits until the view's writer has made it; null once `signal` aborts. */
export async function openOfferStoreReader(
  dataDir: string,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<OfferStoreReader | null> {
  while (!signal.aborted) {
    const db = openViewToRead(offerViewPath(dataDir));
    if (db !== null) return createOfferStoreReader(db);
    await clock.wait(POLL_MS, signal);
  }
  return null;
}

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
    codeIsValid: (code: string) => open()?.codeIsValid(code) ?? false,
    close: () => reader?.close(),
  };
}
