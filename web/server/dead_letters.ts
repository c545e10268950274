/** The processor's dead letters, for pages and for web's own API. */
import type {
  DeadLetterDetail,
  DeadLetterListing,
  DismissAnswer,
  DismissOrder,
  LetterAt,
  RedriveAnswer,
  RedriveOrder,
  ResendOrder,
} from "../../contract/processor_api.ts";
import { type Answer, askProcessor, type Processor } from "./upstream.ts";

/** Thousands of letters take a while. Beyond that the processor goes on, and the page says so. */
const REDRIVE_MS_MAX = 60_000;

/** Which part of the list: those redriven too, and only letters older than `before`. */
export type LetterQuery = { readonly all: boolean; readonly before: string | null };

/** What a page's URL asks for; a `before` that is no letter's id is passed over. */
export function letterQuery(url: URL): LetterQuery {
  const before = url.searchParams.get("before");
  return { all: url.searchParams.get("all") === "1", before: before && isLetterId(before) ? before : null };
}

/** Asks the processor for a page of the list; never rejects, what went wrong is in the answer. */
export function listLetters(
  { all, before }: LetterQuery,
  processor: Processor,
): Promise<Answer<DeadLetterListing>> {
  const query = new URLSearchParams({ ...(all ? { all: "1" } : {}), ...(before === null ? {} : { before }) });
  return askProcessor<DeadLetterListing>(`/api/dead-letters?${query}`, { processor });
}

/** `withRaw: false` takes the record out: it is raw, and shown where raw prompts are. */
export async function readLetter(
  id: string,
  { withRaw, ...processor }: Processor & { readonly withRaw: boolean },
): Promise<Answer<DeadLetterDetail>> {
  const path = `/api/dead-letters/${encodeURIComponent(id)}`;
  const answer = await askProcessor<DeadLetterDetail>(path, { processor });
  if (!answer.ok || withRaw || answer.value.record === null) return answer;
  return { ok: true, value: { ...answer.value, record: null, withheld: "raw_not_shown" } };
}

/** Orders a redrive, which may take as long as `REDRIVE_MS_MAX`; never rejects, what went wrong is in the answer. */
export function redriveLetters(
  order: RedriveOrder,
  processor: Processor,
): Promise<Answer<RedriveAnswer>> {
  return askProcessor<RedriveAnswer>("/api/dead-letters/redrive", {
    processor,
    order,
    limitMs: REDRIVE_MS_MAX,
  });
}

/** Sends one letter's edited record; takes and answers as {@link redriveLetters}. */
export function resendLetter(order: ResendOrder, processor: Processor): Promise<Answer<RedriveAnswer>> {
  return askProcessor<RedriveAnswer>("/api/dead-letters/resend", {
    processor,
    order,
    limitMs: REDRIVE_MS_MAX,
  });
}

/** Sets one letter aside for good. */
export function dismissLetter(order: DismissOrder, processor: Processor): Promise<Answer<DismissAnswer>> {
  return askProcessor<DismissAnswer>("/api/dead-letters/dismiss", {
    processor,
    order,
    limitMs: REDRIVE_MS_MAX,
  });
}

/** The letter of what lies at this position of the raw topic. */
export function letterAt(position: string, processor: Processor): Promise<Answer<LetterAt>> {
  return askProcessor<LetterAt>(`/api/dead-letters/at/${encodeURIComponent(position)}`, { processor });
}

/** True for `partition:offset`, as the dead-letter topic names its letters. */
export function isLetterId(text: string): boolean {
  return /^\d{1,9}:\d{1,15}$/.test(text);
}
