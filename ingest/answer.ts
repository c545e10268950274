import { systemClock, within } from "../runtime/clock.ts";
import { textResponse } from "../runtime/http/response.ts";
import { BodyPieces, declaredLength } from "./body.ts";
import type { Refusal } from "./webhook.ts";

/** How answers look, and how a connection is ended whose body nobody wants. */

const JSON_HEADERS = { "content-type": "application/json" };

/** Seconds after which a sender that was turned away may come again; PostHog keeps its own time. */
const RETRY_AFTER_SECONDS = "1";

/** Bytes of an unwanted body that are passed over before the answer, so that a plain client reads it undisturbed. */
const PASS_OVER_BYTES_MAX = 4 * 1024 * 1024;
/** Milliseconds given to that, and to a read under way. */
const PASS_OVER_MS_MAX = 500;
/** Milliseconds between such an answer and the cut: the answer must be read before the connection is reset. */
const LINGER_MS = 1_000;
/** A declared body up to here may follow its answer: Deno reads it off, and the connection stays good. */
const TRAILING_BYTES_MAX = 1024 * 1024;

/** A JSON answer; headers that are given win over those that every answer carries. */
export function json(status: number, body: unknown, headers: Record<string, string> = {}): Response {
  return textResponse(JSON.stringify(body), { status, headers: { ...JSON_HEADERS, ...headers } });
}

/** The refusal as it goes out, where no body is left to be read. */
export function refusalResponse(refusal: Refusal, headers: Record<string, string> = {}): Response {
  return json(refusal.status, errorBody(refusal), { ...headersOf(refusal), ...headers });
}

/** The refusal of a request whose body was not read, or not to its end. `rest` reads on, if somebody began to. */
export async function refuseUnread(
  request: Request,
  refusal: Refusal,
  rest?: BodyPieces | null,
): Promise<Response> {
  return await answerUnread(request, refusalResponse(refusal), rest);
}

/**
 * An answer to a request whose body was not read, or not to its end. `rest` reads on, if somebody began to.
 *
 * Deno 2.9 reads on after an answer for as long as the sender sends, with and without `Connection: close` (measured:
 * 2 GB/s of an endless body). What does end the connection is to cancel the body while the answer is still being
 * written, if no read is under way when it begins. So the answer's stream is held open until then; its declared length
 * lets the sender read it whole at once. A sender that says nothing more at all is left to itself.
 */
export async function answerUnread(
  request: Request,
  answer: Response,
  rest?: BodyPieces | null,
): Promise<Response> {
  if (!rest && !mayBeEndless(request)) return answer;
  const pieces = rest ?? new BodyPieces(request.body!);
  // A sender that expects to be told to go on has not begun, and reading would tell it to.
  const passesOver = answer.status === 413 && !request.headers.has("expect");
  if (passesOver && await passOver(pieces)) return answer;
  const { headers } = answer;
  headers.set("connection", "close");
  if (await within(pieces.settled(), { ms: PASS_OVER_MS_MAX }) === "late") return answer;
  const bytes = await answer.bytes();
  headers.set("content-length", String(bytes.length));
  return new Response(cutAfter(bytes, pieces), { status: answer.status, headers });
}

function mayBeEndless(request: Request): boolean {
  // A body that is locked is in the hands of a handler that failed: nobody else can get at it.
  if (request.body === null || request.body.locked) return false;
  const length = declaredLength(request);
  return length === null || length > TRAILING_BYTES_MAX;
}

/** True where the body came to its end within the bounds. */
async function passOver(pieces: BodyPieces): Promise<boolean> {
  const end = systemClock.monotonic() + PASS_OVER_MS_MAX;
  try {
    for (let passed = 0; passed < PASS_OVER_BYTES_MAX;) {
      const piece = await within(pieces.next(), { ms: end - systemClock.monotonic() });
      if (piece === "late") return false;
      if (piece.done) return true;
      passed += piece.value.length;
    }
    return false;
  } catch {
    return true;
  }
}

function cutAfter(bytes: Uint8Array, pieces: BodyPieces): ReadableStream<Uint8Array> {
  return new ReadableStream({
    async start(controller) {
      controller.enqueue(bytes);
      await systemClock.wait(LINGER_MS);
      await pieces.cancel();
      controller.close();
    },
  });
}

function errorBody({ code, message }: Refusal): unknown {
  return { error: { code, message } };
}

function headersOf(refusal: Refusal): Record<string, string> {
  switch (refusal.status) {
    case 401:
      return { "www-authenticate": "Bearer" };
    case 405:
      return refusal.allow === undefined ? {} : { allow: refusal.allow };
    case 503:
      return { "retry-after": RETRY_AFTER_SECONDS };
    default:
      return {};
  }
}
