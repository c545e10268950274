import type { Clock } from "../../../runtime/clock.ts";
import type { OfferStoreReader } from "../store.ts";
import { offerViewPath, openViewToRead } from "./schema.ts";
import { createOfferStoreReader } from "./reader.ts";

/** Between two looks for a view that its writer has not made yet. */
const POLL_MS = 10;

/** Opens the view of a DATA_DIR for a loop that reads it, as soon as its writer has made it; null once `signal` aborts. */
export async function openOfferStoreReaderOf(
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
