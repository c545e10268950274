/** The processor's server-sent events, handed on to the browser: live, and what it still keeps for a page's first paint. */
import type { TraceStep } from "../../contract/trace_step.ts";
import { problem, type Processor, processorHeaders } from "./upstream.ts";

/** Reconnect after this long; EventSource sends the last id by itself. */
const RETRY_MS = 1_000;
const CONNECT_MS_MAX = 2_000;
const QUIET_MS = 40;
const RECENT_MS_MAX = 300;
/** Pages that listen at once: each holds a connection here and one to the processor, which takes twice as many. */
const LISTENERS_MAX = 100;
/** A page that has taken nothing for so long is let go, as the processor does: its end would wait behind what it did not take. */
const STUCK_MS = 60_000;

let listeners = 0;

/**
 * Streams `GET /api/events` of the processor. Ends when it does, or when the browser leaves. While the processor is away
 * the answer is a 200 that says so and ends: the browser's EventSource then comes back by itself, with its last id, where
 * an error status would make it give up for good. `withRaw: false` takes prompts as typed out of the stream. 503 where
 * {@link LISTENERS_MAX} pages listen.
 */
export async function events(
  { processor, lastEventId, withRaw }: {
    processor: Processor;
    lastEventId: string | null;
    withRaw: boolean;
  },
): Promise<Response> {
  if (listeners >= LISTENERS_MAX) {
    return problem(503, "too_many_listeners", "Too many pages listen already: try again later.");
  }
  listeners++;
  const upstream = new AbortController();
  const limit = setTimeout(() => upstream.abort(), CONNECT_MS_MAX);
  let body: ReadableStream<Uint8Array> | null = null;
  try {
    const response = await fetch(`${processor.processorUrl}/api/events`, {
      headers: {
        ...processorHeaders(processor),
        accept: "text/event-stream",
        ...(lastEventId === null ? {} : { "last-event-id": lastEventId }),
      },
      redirect: "manual",
      signal: upstream.signal,
    });
    if (response.ok) body = response.body;
    else await response.body?.cancel();
  } catch {
    // Away: said below, in the stream.
  } finally {
    clearTimeout(limit);
  }
  if (body === null) listeners--;
  return new Response(
    body ? opened(body, { withRaw, upstream }) : `retry: ${RETRY_MS}\nevent: away\ndata:\n\n`,
    {
      headers: {
        "content-type": "text/event-stream",
        // Neither kept nor compressed on the way, which would hold steps back.
        "cache-control": "no-store, no-transform",
        "x-accel-buffering": "no",
      },
    },
  );
}

/** The processor's stream behind one line of ours, which tells the browser that it is connected before any step comes. */
function opened(
  body: ReadableStream<Uint8Array>,
  { withRaw, upstream }: { withRaw: boolean; upstream: AbortController },
): ReadableStream<Uint8Array> {
  const reader = (withRaw ? body : body.pipeThrough(withoutRaw())).getReader();
  const hello = new TextEncoder().encode(`retry: ${RETRY_MS}\nevent: here\ndata:\n\n`);
  let stuck: ReturnType<typeof setTimeout> | undefined;
  let over = false;
  const end = () => {
    if (over) return;
    over = true;
    listeners--;
    clearTimeout(stuck);
    upstream.abort();
    reader.cancel().catch(() => {});
  };
  /** A piece lies ready: it has to be taken before the next one is asked for. */
  const offer = (controller: ReadableStreamDefaultController<Uint8Array>, piece: Uint8Array) => {
    controller.enqueue(piece);
    stuck = setTimeout(() => {
      end();
      controller.error(new Error("This page took nothing for a minute."));
    }, STUCK_MS);
  };
  return new ReadableStream({
    start: (controller) => offer(controller, hello),
    async pull(controller) {
      clearTimeout(stuck);
      // The processor's end, clean or not, is the stream's end: the browser comes back with its last id.
      const { value, done } = await reader.read().catch(() => ({ value: undefined, done: true }));
      if (over) return;
      if (!done && value !== undefined) return offer(controller, value);
      end();
      controller.close();
    },
    // Called when the browser leaves.
    cancel: end,
  });
}

function withoutRaw(): TransformStream<Uint8Array, Uint8Array> {
  const decoder = new TextDecoder();
  const encoder = new TextEncoder();
  let rest = "";
  return new TransformStream({
    transform(chunk, controller) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
      rest = lines.pop()!;
      if (lines.length === 0) return;
      controller.enqueue(encoder.encode(lines.map((line) => lineWithoutRaw(line) + "\n").join("")));
    },
  });
}

function lineWithoutRaw(line: string): string {
  if (!line.startsWith("data:") || !line.includes("rawPrompt")) return line;
  const { rawPrompt: _, ...step } = JSON.parse(line.slice(5));
  return `data: ${JSON.stringify(step)}`;
}

/**
 * The steps that the processor still keeps, oldest first, for a page that is complete without script: read until the
 * stream has been quiet for {@link QUIET_MS}, {@link RECENT_MS_MAX} in all. Empty while it is away; the live stream
 * brings everything again.
 */
export async function recentSteps(
  { processor, withRaw }: { processor: Processor; withRaw: boolean },
): Promise<TraceStep[]> {
  const connecting = new AbortController();
  let leave = () => connecting.abort();
  const limit = setTimeout(() => leave(), RECENT_MS_MAX);
  let text = "";
  try {
    const response = await fetch(`${processor.processorUrl}/api/events`, {
      headers: { ...processorHeaders(processor), accept: "text/event-stream", "last-event-id": "0" },
      redirect: "manual",
      signal: connecting.signal,
    });
    if (response.body === null) return [];
    const reader = response.body.getReader();
    // From here on the body is cancelled and the request not aborted: see fetchWithin.
    leave = () => void reader.cancel().catch(() => {});
    const decoder = new TextDecoder();
    while (response.ok) {
      const quiet = setTimeout(leave, QUIET_MS);
      const { value, done } = await reader.read().finally(() => clearTimeout(quiet));
      if (done) break;
      text += decoder.decode(value, { stream: true });
    }
    leave();
  } catch {
    // Away, or broken off: what has come is what there is.
  } finally {
    clearTimeout(limit);
  }
  return parseSteps(text, { withRaw });
}

/** The steps in a text of server-sent events; a message that is cut off at the end is left out. */
export function parseSteps(text: string, { withRaw }: { withRaw: boolean }): TraceStep[] {
  const messages = text.replaceAll("\r\n", "\n").split("\n\n").slice(0, -1);
  return messages.flatMap((message) => {
    const data = message.split("\n").filter((line) => line.startsWith("data:"))
      .map((line) => line.slice(5).trimStart());
    if (data.length === 0 || data[0] === "") return [];
    const step = JSON.parse(data.join("\n"));
    if (!withRaw) delete step.rawPrompt;
    return [step as TraceStep];
  });
}
