/** Offers of several people at once, as the processor has them now. */
import type { OfferView } from "../../contract/processor_api.ts";
import { askProcessor, type Processor } from "./upstream.ts";

/** People asked about at once: the newest on a page. */
export const PEOPLE_MAX = 24;

/** By distinct_id as asked; null: nobody of this id has used anything. `known: false` where the processor has not answered. */
export type OffersOf = { readonly known: boolean; readonly byId: Readonly<Record<string, OfferView | null>> };

/** Those beyond {@link PEOPLE_MAX} are left out. */
export async function offersOf(ids: readonly string[], processor: Processor): Promise<OffersOf> {
  const answers = await Promise.all(
    [...new Set(ids)].slice(0, PEOPLE_MAX).map(async (id) => {
      const answer = await askProcessor<OfferView>(`/api/offers/${encodeURIComponent(id)}`, { processor });
      return { id, offer: answer.ok ? answer.value : null, known: answer.ok || answer.status === 404 };
    }),
  );
  const known = answers.every(({ known }) => known);
  return { known, byId: known ? Object.fromEntries(answers.map(({ id, offer }) => [id, offer])) : {} };
}
