import { Buffer } from "node:buffer";
import { fold, stripControls } from "./fold.ts";
import { findKnownValues, hasKnownValues, type KnownValues, NO_KNOWN_VALUES } from "./known.ts";
import { ENTITIES, type Entity, type Report, type Rule, RULES, type Traits, traitsOf } from "./rules.ts";

export type { Entity, KnownValues };
export { NO_KNOWN_VALUES };
export { SANITISER_VERSION } from "./version.ts";

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
  const traits = traitsOf(source);
  return traits.plain ? replacePlain(source, { known, traits }) : replaceFolded(source, known);
}

/** A text that folds to itself and has nothing to strip. */
function replacePlain(source: string, { known, traits }: { known: KnownValues; traits: Traits }): Sanitised {
  const spans = findAll(source, { known, traits });
  if (spans.length === 0) return { text: source, spans };
  return { text: withPlaceholders(source, spans, (between) => between), spans };
}

function replaceFolded(source: string, known: KnownValues): Sanitised {
  const { text, locate } = fold(source);
  const spans = findAll(text, { known, traits: traitsOf(text) }).map(({ start, end, entity }): Span => {
    const [from, to] = locate(start, end);
    return { start: from, end: to, entity };
  });
  return { text: withPlaceholders(source, spans, stripControls), spans };
}

function withPlaceholders(
  source: string,
  spans: readonly Span[],
  clean: (between: string) => string,
): string {
  let out = "";
  let from = 0;
  for (const { start, end, entity } of spans) {
    out += `${clean(source.slice(from, start))}<${entity}>`;
    from = end;
  }
  return out + clean(source.slice(from));
}

/** Longest chain of replacements that uncover one another; two are met in practice. */
const ROUNDS_MAX = 8;

/**
 * Applies the rules until they find nothing more. What is found is overwritten with U+0000, as placeholders that the
 * text brought along are: folded text holds no other, so it can be part of no match and no context reaches over it.
 * That is why sanitising the result again finds nothing new.
 */
function findAll(text: string, { known, traits: given }: { known: KnownValues; traits: Traits }): Span[] {
  const hits: Span[] = [];
  let masked = text.includes("<") ? text.replace(PLACEHOLDER, (found) => "\0".repeat(found.length)) : text;
  let traits = given;
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const before = hits.length;
    if (hasKnownValues(known)) masked = hide(masked, hits, knownIn(masked, { known, traits }));
    for (const rule of RULES) {
      if (rule.when(traits, masked)) masked = hide(masked, hits, foundBy(rule, masked));
    }
    if (hits.length === before) break;
    traits = traitsOf(masked);
  }
  return hits.length > 1 ? hits.sort((a, b) => a.start - b.start) : hits;
}

const PLACEHOLDER = new RegExp(`<(?:${ENTITIES.join("|")})>`, "g");

function knownIn(text: string, { known, traits }: { known: KnownValues; traits: Traits }): Span[] {
  const found: Span[] = [];
  findKnownValues(text, { known, ascii: traits.ascii }, reportTo(found));
  return found;
}

function foundBy(rule: Rule, text: string): Span[] {
  const found: Span[] = [];
  rule.find(text, reportTo(found));
  return found;
}

function reportTo(found: Span[]): Report {
  return (entity, start, end) => {
    if (end > start) found.push({ start, end, entity });
  };
}

/** Adds what was found to `hits`, the longest of those that begin alike, and gives the text with that overwritten. */
function hide(text: string, hits: Span[], found: Span[]): string {
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
  return json.includes("\u0085") || json.includes("\u2028") || json.includes("\u2029")
    ? json.replace(LINE_ENDS, (end) => `\\u${end.charCodeAt(0).toString(16).padStart(4, "0")}`)
    : json;
}

const LINE_ENDS = /[\u0085\u2028\u2029]/g;
