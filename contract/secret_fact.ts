import { isObject } from "./envelope.ts";

/**
 * The first fact of `discount.facts`: which secret this pipeline's keyed hashes are made under, without telling it.
 * A processor or a replay with another secret refuses to start; ingest answers `/unsubscribe` with 503 until it has
 * seen its own fingerprint here.
 */
export type SecretFact = {
  readonly fact: "secret";
  readonly at: string;
  /** `KeyedHashes.fingerprint`. */
  readonly fingerprint: string;
  /**
   * Set where the facts were lost although this pipeline had run: per raw partition the offset below which whatever is
   * earned ends as `state_lost`.
   */
  readonly lostBefore?: Readonly<Record<string, number>>;
};

/** The secret fact in a record's value, or null where it is another fact. Throws where the bytes are no JSON. */
export function readSecretFact(value: Uint8Array): SecretFact | null {
  const fact: unknown = JSON.parse(new TextDecoder().decode(value));
  return isObject(fact) && fact.fact === "secret" && typeof fact.fingerprint === "string"
    ? fact as unknown as SecretFact
    : null;
}
