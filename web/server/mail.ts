/** A mail as the page shows it, parsed from its source by postal-mime. */
import PostalMime from "postal-mime";
import { fetchWithin, type Processor, processorHeaders } from "./upstream.ts";

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
