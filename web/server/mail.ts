/** A mail as the page shows it, parsed from its source by postal-mime. */
import PostalMime from "postal-mime";
import type { MailListing } from "../../contract/processor_api.ts";
import { type MailQuery, mailQuestion } from "../core/mails.ts";
import {
  type Answer,
  askProcessor,
  fetchWithin,
  passThrough,
  type Processor,
  processorHeaders,
} from "./upstream.ts";

const SEARCH_CHARS_MAX = 200;
/** Hundreds of mails may have to be read for it. */
export const SEARCH_MS_MAX = 4_000;
const MAIL_BYTES_MAX = 5 * 1024 * 1024;
const ANSWER_MS_MAX = 2_000;

/** A mail of the demo's mailbox, read for the page; null parts are missing from it. */
export type Mail = {
  readonly messageId: string;
  readonly subject: string;
  readonly from: string;
  readonly to: string;
  /** ISO 8601, or null where the mail has no readable date. */
  readonly date: string | null;
  readonly html: string | null;
  readonly text: string | null;
  /** In the order of the source. */
  readonly headers: readonly { name: string; value: string }[];
  readonly source: string;
};

/** What a form or an address asks for; what is no cursor, or longer than a search may be, is passed over. */
export function mailQuery(form: URLSearchParams): MailQuery {
  const before = form.get("before") ?? "";
  return {
    search: (form.get("search") ?? "").slice(0, SEARCH_CHARS_MAX),
    before: /^\d{1,16}\/[A-Za-z0-9@._-]{1,1000}$/.test(before) ? before : null,
  };
}

/** Asks the processor for a page of mails; never rejects, what went wrong is in the answer. */
export function listMails(query: MailQuery, processor: Processor): Promise<Answer<MailListing>> {
  const { path, order } = mailQuestion(query);
  return askProcessor<MailListing>(path, { processor, limitMs: SEARCH_MS_MAX, ...(order && { order }) });
}

/** A mail as its `.eml` file, byte for byte, for a browser to save; what went wrong as it is said of other answers. */
export async function mailFile(messageId: string, processor: Processor): Promise<Response> {
  const answer = await passThrough(`/api/mails/${encodeURIComponent(messageId)}`, processor);
  if (!answer.ok) return answer;
  // The name needs no quoting: the rest of what an id may hold is replaced.
  answer.headers.set("content-disposition", `attachment; filename="${mailName(messageId)}.eml"`);
  return answer;
}

/** A mail's id as the list has it: without brackets, and of signs that a file's name may have. */
export function mailName(messageId: string): string {
  return messageId.replace(/^<|>$/g, "").replace(/[^A-Za-z0-9@._-]/g, "_");
}

/** Fetches and parses one mail. `missing`: the processor has none of this id. */
export async function readMail(
  messageId: string,
  processor: Processor,
): Promise<{ mail: Mail } | { mail: null; why: "missing" | "away" }> {
  let source: Uint8Array<ArrayBuffer>;
  try {
    const url = `${processor.processorUrl}/api/mails/${encodeURIComponent(messageId)}`;
    const response = await fetchWithin(url, {
      limitMs: ANSWER_MS_MAX,
      headers: processorHeaders(processor),
    });
    if (response.status === 404) {
      await response.body?.cancel();
      return { mail: null, why: "missing" };
    }
    if (!response.ok) throw new Error(`status ${response.status}`);
    source = new Uint8Array(await response.arrayBuffer());
  } catch {
    return { mail: null, why: "away" };
  }
  return { mail: await parseMail(source.subarray(0, MAIL_BYTES_MAX), { messageId }) };
}

async function parseMail(
  source: Uint8Array<ArrayBuffer>,
  { messageId }: { messageId: string },
): Promise<Mail> {
  const parsed = await PostalMime.parse(source);
  return {
    messageId,
    subject: parsed.subject ?? "(no subject)",
    from: addresses(parsed.from ? [parsed.from] : []),
    to: addresses(parsed.to ?? []),
    date: parsed.date ?? null,
    html: parsed.html ?? null,
    text: parsed.text ?? null,
    headers: parsed.headers.map(({ originalKey, key, value }) => ({ name: originalKey ?? key, value })),
    source: new TextDecoder().decode(source),
  };
}

function addresses(list: readonly { name?: string; address?: string }[]): string {
  return list.map(({ name, address }) => name ? `${name} <${address ?? ""}>` : address ?? "").join(", ");
}
