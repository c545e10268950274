/** The processor's dataset, for pages; and its downloads, handed on piece by piece. */
import { away, type Processor, processorHeaders, REFUSED_WORDS, TURNED_AWAY } from "./upstream.ts";

/** A look is bounded in the processor, which may have others to answer first. */
export const SEARCH_MS_MAX = 10_000;
/** Until a download begins. */
const BEGIN_MS_MAX = 30_000;
const HANDED_BACK = ["content-type", "content-disposition", "content-length", "cache-control"];

/**
 * Hands a download of the processor on as fast as the browser takes it, and lets go of it when that leaves; where it breaks off
 * this does too. Errors are the processor's own, or 502 where it is away.
 */
export async function download(
  path: string,
  { method, ...processor }: Processor & { readonly method: string },
): Promise<Response> {
  const upstream = new AbortController();
  const limit = setTimeout(() => upstream.abort(), BEGIN_MS_MAX);
  let response: Response;
  try {
    response = await fetch(processor.processorUrl + path, {
      // A head that is handed on as a GET would leave a body that nobody takes.
      method: method === "HEAD" ? "HEAD" : "GET",
      headers: processorHeaders(processor),
      redirect: "manual",
      signal: upstream.signal,
    });
  } catch {
    return away("The service does not answer.");
  } finally {
    clearTimeout(limit);
  }
  if (TURNED_AWAY.includes(response.status) || (response.status >= 300 && response.status < 400)) {
    await response.body?.cancel();
    return away(response.status < 400 ? "The service answered with a redirect." : REFUSED_WORDS);
  }
  const headers = new Headers({ "x-content-type-options": "nosniff" });
  for (const name of HANDED_BACK) {
    const value = response.headers.get(name);
    if (value !== null) headers.set(name, value);
  }
  const body = response.body === null ? null : handedOn(response.body, upstream);
  return new Response(body, { status: response.status, headers });
}

function handedOn(body: ReadableStream<Uint8Array>, upstream: AbortController): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  return new ReadableStream({
    async pull(controller) {
      const { value, done } = await reader.read();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    // Nothing waits for it: a body whose request was aborted may never end.
    cancel() {
      upstream.abort();
      reader.cancel().catch(() => {});
    },
  }, { highWaterMark: 0 });
}
