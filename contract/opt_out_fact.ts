import { isObject } from "./envelope.ts";

/**
 * The mailbox, as a keyed hash, that a fact of `discount.facts` says gets no more mail: of `opted_out` and `suppressed`.
 * Null for every other record, whatever lies in it.
 */
export function readOptedOutMailbox(value: Uint8Array | null): string | null {
  const text = value === null ? "" : decoder.decode(value);
  // Most facts are others, and cost no parsing.
  if (!/"(?:opted_out|suppressed)"/.test(text)) return null;
  try {
    const fact: unknown = JSON.parse(text);
    const isOut = isObject(fact) && (fact.fact === "opted_out" || fact.fact === "suppressed");
    return isOut && typeof fact.mailbox === "string" ? fact.mailbox : null;
  } catch {
    return null;
  }
}

const decoder = new TextDecoder();
