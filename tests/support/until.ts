/**
 * Waits for a condition, looking every 10 ms; the time limit is for the test's patience, never part of what it shows. A
 * look whose `fetch` finds nobody, or a connection of a process that has ended, has not seen it yet.
 */
export async function until<T>(
  what: string,
  look: () => T | undefined | null | false | Promise<T | undefined | null | false>,
  { limitMs = 30_000 }: { limitMs?: number } = {},
): Promise<T> {
  const end = performance.now() + limitMs;
  for (;;) {
    let cause: unknown;
    try {
      const seen = await look();
      if (seen) return seen;
    } catch (error) {
      if (!isNetworkError(error)) throw error;
      cause = error;
    }
    if (performance.now() > end) throw new Error(`Waited ${limitMs} ms in vain until ${what}`, { cause });
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** `fetch` rejects with a TypeError that names what the network said as its cause. */
function isNetworkError(error: unknown): boolean {
  return error instanceof TypeError && error.cause instanceof Error;
}
