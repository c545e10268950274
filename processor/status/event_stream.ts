import type { Clock } from "../../runtime/clock.ts";
import type { TraceHub } from "./trace_hub.ts";

/** A word for a connection on which nothing happens, so that whoever stands between does not take it for dead. */
const KEEP_ALIVE_MS = 15_000;
/** A listener that has taken nothing for so long is ended: it holds a connection and reads no word. */
const STUCK_MS = 60_000;

/**
 * The steps of `hub` as server-sent events, for one listener. A piece is made only when the one before has been taken, so
 * that a listener that stops reading costs one piece and ends itself alone: when it comes back to reading behind what the
 * hub keeps, or after {@link STUCK_MS}. It comes back with `Last-Event-ID`. 503 where too many listen already.
 */
export function eventStream(
  hub: TraceHub,
  { lastEventId, clock }: { readonly lastEventId: string | null; readonly clock: Clock },
): Response {
  const leave = hub.join();
  if (leave === null) {
    const error = { code: "too_many_listeners", message: "Too many listen already: try again later." };
    return Response.json({ error }, { status: 503, headers: { "retry-after": "5" } });
  }
  const over = new AbortController();
  const end = () => {
    over.abort();
    leave();
  };
  const encoder = new TextEncoder();
  let next = hub.startFor(lastEventId);
  /** Every piece that was asked for. */
  let asked = 0;
  let waits = false;

  /** The next steps, or a sign of life; null where the listener has lost its place. */
  async function nextPiece(): Promise<Uint8Array | null> {
    let piece = hub.read(next);
    if (piece.is === "nothing_new") {
      const news = new AbortController();
      const signal = AbortSignal.any([news.signal, over.signal]);
      await Promise.race([hub.changed(signal), clock.wait(KEEP_ALIVE_MS, signal)]);
      news.abort();
      piece = hub.read(next);
    }
    if (piece.is === "nothing_new") return encoder.encode(": still here\n\n");
    if (piece.is === "lost") return null;
    next = piece.next;
    return piece.bytes;
  }

  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(encoder.encode("retry: 1000\n\n"));
      void endWhenStuck(controller);
    },
    async pull(controller) {
      asked++;
      waits = true;
      const piece = await nextPiece();
      waits = false;
      // Nobody may be there any more: then the stream is closed, and says so to whoever writes into it.
      if (over.signal.aborted) return;
      if (piece !== null) return controller.enqueue(piece);
      end();
      controller.close();
    },
    cancel: end,
  });
  return new Response(body, {
    headers: { "content-type": "text/event-stream", "cache-control": "no-store", "x-accel-buffering": "no" },
  });

  async function endWhenStuck(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    for (let before = -1; before !== asked || waits;) {
      before = asked;
      await clock.wait(STUCK_MS, over.signal);
      if (over.signal.aborted) return;
    }
    end();
    // Not closed: what waits in front would have to be taken first.
    controller.error(new Error("This listener took nothing for a minute."));
  }
}
