import type { Clock } from "../../../runtime/clock.ts";
import type { OfferStoreReader, OfferStoreWriter } from "../store.ts";
import { createOfferStoreReader } from "./reader.ts";
import { offerViewPath, openViewToRead, openViewToWrite } from "./schema.ts";
import { createOfferStoreWriter } from "./writer.ts";

/** Opens the offer view of a DATA_DIR for its one writer and for the loops beside it. */

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
