import { ObjectStoreAwayError } from "../object_store.ts";

/** The blocks of a body, whole or with an error: what came is counted, whatever the connection makes of a cut. */
export async function* wholeBlocks(
  body: AsyncIterable<Uint8Array> & { destroy(): void },
  { bytes, doing, idleMsMax, signal }: {
    readonly bytes: number;
    /** Such as `read "a" in s3://bucket`. */
    readonly doing: string;
    /** Milliseconds that a block is waited for; how long the reader takes with one does not count. */
    readonly idleMsMax: number;
    readonly signal: AbortSignal | undefined;
  },
): AsyncGenerator<Uint8Array> {
  const blocks = body[Symbol.asyncIterator]();
  let come = 0;
  let isWhole = false;
  try {
    for (;;) {
      const next = await within(idleMsMax, blocks.next()).catch((error) => {
        signal?.throwIfAborted();
        throw cutBody(doing, { come, bytes, cause: error });
      });
      if (next.done === true) break;
      come += next.value.length;
      if (come > bytes) throw cutBody(doing, { come, bytes });
      yield next.value;
    }
    signal?.throwIfAborted();
    if (come < bytes) throw cutBody(doing, { come, bytes });
    isWhole = true;
  } finally {
    // With its connection; the iterator's own return would wait for a block that may never come.
    if (!isWhole) body.destroy();
  }
}

function cutBody(
  doing: string,
  { come, bytes, cause }: { readonly come: number; readonly bytes: number; readonly cause?: unknown },
): ObjectStoreAwayError {
  const why = cause instanceof Error ? ` (${cause.message})` : "";
  return new ObjectStoreAwayError(
    `Cannot ${doing}: ${come} of ${bytes} bytes came${why}. It is tried again; where it stays so, look at the server.`,
    { cause },
  );
}

async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`nothing came for ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
