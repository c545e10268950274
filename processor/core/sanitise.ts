import { Buffer } from "node:buffer";
import { fold, stripControls } from "./sanitise_fold.ts";
import { findKnownValues, hasKnownValues, type KnownValues, NO_KNOWN_VALUES } from "./sanitise_known.ts";
import { ENTITIES, type Entity, type Report, RULES, traitsOf } from "./sanitise_rules.ts";

export type { Entity, KnownValues };
export { NO_KNOWN_VALUES };
export { SANITISER_VERSION } from "./sanitise_version.ts";

/** Where something personal stands in the text that was given, in UTF-16 units; `end` is exclusive. */
export type Span = { readonly start: number; readonly end: number; readonly entity: Entity };

/** The text with every span replaced by `<ENTITY>`; spans are in order and do not overlap. */
export type Sanitised = { readonly text: string; readonly spans: readonly Span[] };

/** Largest text, in bytes of UTF-8. */
export const TEXT_BYTES_MAX = 1024 * 1024;

/** `too_large`: over {@link TEXT_BYTES_MAX}. `failed`: a defect; the text must not be used in any form. */
export class SanitiseError extends Error {
  readonly code: "too_large" | "failed";

  constructor(code: "too_large" | "failed", message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "SanitiseError";
    this.code = code;
  }
}

/**
 * Replaces structured personal data and secrets by typed placeholders.
 *
 * A function of text, known values and {@link SANITISER_VERSION} alone: no clock, no chance, no memory of other texts.
 * Doing it twice changes nothing more. Outside the spans text stays as it was, but for terminal escape sequences and
 * control characters (removed) and lone surrogates (U+FFFD). U+0085 ends a line in some readers: it is kept, and
 * {@link escapeLine} takes care of it. Free names, postal addresses and dates are not looked for: what comes out is
 * sanitised, not anonymous.
 *
 * Takes time linear in the text, for any text. Throws {@link SanitiseError}; callers set the record aside on any throw.
 */
export function sanitise(text: string, known: KnownValues = NO_KNOWN_VALUES): Sanitised {
  if (
    text.length > TEXT_BYTES_MAX ||
    (text.length * 3 > TEXT_BYTES_MAX && Buffer.byteLength(text) > TEXT_BYTES_MAX)
  ) {
    throw new SanitiseError(
      "too_large",
      `Cannot sanitise a text of over ${TEXT_BYTES_MAX} bytes: shorten it.`,
    );
  }
  try {
    return replace(text, known);
  } catch (cause) {
    throw new SanitiseError("failed", "Cannot sanitise this text: a rule failed; the text is not used.", {
      cause,
    });
  }
}

function replace(source: string, known: KnownValues): Sanitised {
  const { text, locate } = fold(source);
  const hits = findAll(text, known);
  const spans: Span[] = hits.map(({ start, end, entity }) => {
    const [from, to] = locate(start, end);
    return { start: from, end: to, entity };
  });
  let out = "";
  let from = 0;
  for (const { start, end, entity } of spans) {
    out += `${stripControls(source.slice(from, start))}<${entity}>`;
    from = end;
  }
  return { text: out + stripControls(source.slice(from)), spans };
}

/** Longest chain of replacements that uncover one another; two are met in practice. */
const ROUNDS_MAX = 8;

/**
 * Applies the rules until they find nothing more. What is found is overwritten with U+0000, as placeholders that the
 * text brought along are: folded text holds no other, so it can be part of no match and no context reaches over it.
 * That is why sanitising the result again finds nothing new.
 */
function findAll(text: string, known: KnownValues): Span[] {
  const traits = traitsOf(text);
  const hits: Span[] = [];
  let masked = text.includes("<") ? text.replace(PLACEHOLDER, (found) => "\0".repeat(found.length)) : text;
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const before = hits.length;
    if (hasKnownValues(known)) {
      masked = apply(
        masked,
        hits,
        (report) => findKnownValues(masked, known, (start, end, entity) => report(entity, start, end)),
      );
    }
    for (const rule of RULES) {
      if (rule.when(traits, masked)) masked = apply(masked, hits, (report) => rule.find(masked, report));
    }
    if (hits.length === before) break;
  }
  return hits.sort((a, b) => a.start - b.start);
}

const PLACEHOLDER = new RegExp(`<(?:${ENTITIES.join("|")})>`, "g");

/** Runs one rule, adds what it found to `hits`, and gives the text with that overwritten. */
function apply(text: string, hits: Span[], find: (report: Report) => void): string {
  const found: Span[] = [];
  find((entity, start, end) => {
    if (end > start) found.push({ start, end, entity });
  });
  if (found.length === 0) return text;
  let masked = "";
  let from = 0;
  for (const hit of found.sort((a, b) => a.start - b.start || b.end - a.end)) {
    if (hit.start < from) continue;
    hits.push(hit);
    masked += text.slice(from, hit.start) + "\0".repeat(hit.end - hit.start);
    from = hit.end;
  }
  return masked + text.slice(from);
}

/**
 * Escapes in a JSON text what JSON leaves raw and other programs take for the end of a line: U+0085, U+2028 and U+2029
 * (Python's `str.splitlines()` also splits at U+000B, U+000C and U+001C–1E, which JSON escapes already).
 */
export function escapeLine(json: string): string {
  return LINE_END.test(json)
    ? json.replace(LINE_ENDS, (end) => `\\u${end.charCodeAt(0).toString(16).padStart(4, "0")}`)
    : json;
}

const LINE_END = /[\u0085\u2028\u2029]/;
const LINE_ENDS = /[\u0085\u2028\u2029]/g;
