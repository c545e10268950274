/**
 * Keeps a function's answers by their text, so that it is asked once per text while it is among the newest. What it
 * answers must depend on the text alone. At `entriesMax` all are forgotten: no list of the newest to keep in order.
 */
export function remembering<T extends string | boolean | object | null>(
  answer: (text: string) => T,
  { entriesMax }: { readonly entriesMax: number },
): (text: string) => T {
  const known = new Map<string, T>();
  return (text) => {
    const remembered = known.get(text);
    if (remembered !== undefined) return remembered;
    if (known.size >= entriesMax) known.clear();
    const given = answer(text);
    known.set(text, given);
    return given;
  };
}

/** Makes something at the first call, and answers the same to all others; what failed is made again. */
export function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () =>
    made ??= make().catch((error) => {
      made = undefined;
      throw error;
    });
}
