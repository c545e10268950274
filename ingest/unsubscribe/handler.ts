import type { Clock } from "../../runtime/clock.ts";
import type { KeyedHashes } from "../../contract/keyed_hash.ts";
import {
  checkUnsubscribeToken,
  type UnsubscribeClaims,
  unsubscribeRecord,
} from "../../contract/unsubscribe_token.ts";
import type { Room } from "../../runtime/room.ts";
import { refusalResponse } from "../answer.ts";
import type { BodyReader } from "../body.ts";
import type { Publisher } from "../publisher.ts";
import type { AlreadyOut } from "./already.ts";
import type { SecretConfirmation } from "./secret_confirmation.ts";
import { pageHeaders, type UnsubscribePage, unsubscribePage } from "./page.ts";

export type UnsubscribeOptions = {
  readonly hashes: KeyedHashes;
  readonly confirmation: SecretConfirmation;
  readonly publisher: Publisher;
  readonly already: AlreadyOut;
  readonly publicUrl: string;
  readonly clock: Clock;
  readonly inFlight: Room;
  readonly bodies: BodyReader;
};

/** Bytes of the form; what a mail program sends is a tenth of it. */
const FORM_BYTES_MAX = 8 * 1024;

/**
 * The door through which a mail's reader says no: GET asks, POST acts at once (RFC 8058). What it publishes is durable
 * before the answer, and holds keyed hashes only.
 */
export function createUnsubscribe(
  options: UnsubscribeOptions,
): (request: Request, from: string | null) => Promise<Response> {
  const headers = pageHeaders();
  const answer = (status: number, page: UnsubscribePage) =>
    new Response(unsubscribePage(page, options), {
      status,
      headers: status === 503 ? { ...headers, "retry-after": "2" } : headers,
    });

  const check = async (token: string): Promise<UnsubscribeClaims | Response> => {
    // Before this a wrong secret of this ingest would call every honest link forged.
    if (!await options.confirmation.confirmed()) return answer(503, "not_yet");
    return checkUnsubscribeToken(options.hashes, token) ?? answer(400, "forged");
  };

  return async (request, from) => {
    const token = new URL(request.url).searchParams.get("token") ?? "";
    if (request.method !== "POST") {
      const claims = await check(token);
      if (claims instanceof Response) return claims;
      return answer(200, await options.already.hasNow(claims.mailbox) ? "already" : "ask");
    }
    // A good token is a reader's, who may come in like anybody else: the room of those who proved more is not theirs.
    const place = options.inFlight.enter({ from, proven: false });
    if (place === null) return answer(503, "not_now");
    try {
      const claims = await check(token);
      if (claims instanceof Response) return claims;
      // The token stands in the address; the body says nothing that POST does not say already, but must be read.
      const body = await options.bodies.read(request, place, { bytesMax: FORM_BYTES_MAX });
      if (body.refusal) return refusalResponse(body.refusal);
      if (!place.prove()) return answer(503, "not_now");
      // Published again all the same: a repeat changes nothing, and nobody is turned away by what is only remembered.
      const page = options.already.has(claims.mailbox) ? "already" : "done";
      const { is } = await options.publisher.publish(unsubscribeRecord(claims, options.clock.now()));
      if (is !== "published" && is !== "spooled") return answer(503, "not_now");
      options.already.remember(claims.mailbox);
      return answer(200, page);
    } finally {
      place.leave();
    }
  };
}
