/**
 * Ids that careless clients send for everybody: they name nobody in particular, and PostHog joins no persons by them.
 * Here as there: words in any case, values as they are written, either also in quotes.
 */
const ANY_CASE = [
  "anonymous",
  "guest",
  "distinctid",
  "distinct_id",
  "id",
  "not_authenticated",
  "email",
  "undefined",
  "true",
  "false",
];
const AS_WRITTEN = ["[object Object]", "NaN", "None", "none", "null", "0"];

/** `not_authenticated` in quotes. */
const CHARACTERS_MAX = 19;

/** True for an id that names nobody: no join follows from it. */
export function isNobody(id: string): boolean {
  const bare = id.length > CHARACTERS_MAX ? id : id.replace(/^(["'])(.*)\1$/s, "$2");
  return bare.trim() === "" || AS_WRITTEN.includes(bare) || ANY_CASE.includes(bare.toLowerCase());
}
