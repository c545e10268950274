import type { Clock } from "../../runtime/clock.ts";
import type { KeyedHashes } from "../../contract/keyed_hash.ts";
import { checkUnsubscribeToken, unsubscribeRecord } from "../../contract/unsubscribe_token.ts";
import { type BodyOptions, readBody } from "../body.ts";
import { refuseUnread } from "../answer.ts";
import type { Publisher } from "../publisher.ts";
import type { SecretConfirmation } from "./secret_confirmation.ts";
import { pageHeaders, type UnsubscribePage, unsubscribePage } from "./page.ts";

export type UnsubscribeOptions = {
  readonly hashes: KeyedHashes;
  readonly confirmation: SecretConfirmation;
  readonly publisher: Publisher;
  readonly publicUrl: string;
  readonly clock: Clock;
  readonly body: Omit<BodyOptions, "bytesMax">;
};

/** Bytes of the form; what a mail program sends is a tenth of it. */
const FORM_BYTES_MAX = 8 * 1024;

/**
 * The door through which a mail's reader says no: GET asks, POST acts at once (RFC 8058). What it publishes is durable
 * before the answer, and holds keyed hashes only.
 */
export function createUnsubscribe(options: UnsubscribeOptions): (request: Request) => Promise<Response> {
  const headers = pageHeaders();
  const answer = (status: number, page: UnsubscribePage) =>
    new Response(unsubscribePage(page, options), {
      status,
      headers: status === 503 ? { ...headers, "retry-after": "2" } : headers,
    });

  const decide = async (request: Request, token: string): Promise<Response> => {
    // Before this a wrong secret of this ingest would call every honest link forged.
    if (!await options.confirmation.confirmed()) return answer(503, "not_yet");
    const claims = checkUnsubscribeToken(options.hashes, token);
    if (claims === null) return answer(400, "forged");
    if (request.method !== "POST") return answer(200, "ask");
    const { is } = await options.publisher.publish(unsubscribeRecord(claims, options.clock.now()));
    return is === "published" || is === "spooled" ? answer(200, "done") : answer(503, "not_now");
  };

  return async (request) => {
    const { inFlight } = options.body;
    const token = new URL(request.url).searchParams.get("token") ?? "";
    if (request.method !== "POST") return await decide(request, token);
    if (!inFlight.enter()) return answer(503, "not_now");
    // The token stands in the address; the body says nothing that POST does not say already, but must be read.
    const body = await readBody(request, { ...options.body, bytesMax: FORM_BYTES_MAX });
    try {
      return body.refusal
        ? await refuseUnread(request, body.refusal, body.rest)
        : await decide(request, token);
    } finally {
      inFlight.leave(body.taken);
    }
  };
}
