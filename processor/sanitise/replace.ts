import { CountedText, type Looks } from "./counted_text.ts";
import { fold, stripControls } from "./fold.ts";
import { findKnownValues, hasKnownValues, type KnownValues } from "./known.ts";
import { ENTITIES, type Entity, type Report, type Rule, RULES, type Traits, traitsOf } from "./rules.ts";

/** Where something personal stands in the text that was given, in UTF-16 units; `end` is exclusive. */
export type Span = { readonly start: number; readonly end: number; readonly entity: Entity };

/** The text with every span replaced by `<ENTITY>`; spans are in order and do not overlap. */
export type Sanitised = { readonly text: string; readonly spans: readonly Span[] };

/** As `sanitise`, of a text of any length; throws `TooManyLooksError` where it takes more looks than there are. */
export function replace(source: string, known: KnownValues, looks: Looks): Sanitised {
  const traits = traitsOf(source);
  return traits.plain ? replacePlain(source, { known, traits, looks }) : replaceFolded(source, known, looks);
}

type Means = { readonly known: KnownValues; readonly traits: Traits; readonly looks: Looks };

/** A text that folds to itself and has nothing to strip. */
function replacePlain(source: string, by: Means): Sanitised {
  const spans = findAll(source, by);
  if (spans.length === 0) return { text: source, spans };
  return { text: withPlaceholders(source, spans, (between) => between), spans };
}

function replaceFolded(source: string, known: KnownValues, looks: Looks): Sanitised {
  const { text, locate } = fold(source);
  const spans = findAll(text, { known, traits: traitsOf(text), looks }).map(
    ({ start, end, entity }): Span => {
      const [from, to] = locate(start, end);
      return { start: from, end: to, entity };
    },
  );
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
function findAll(text: string, { known, traits: given, looks }: Means): Span[] {
  const hits: Span[] = [];
  const brought = text.includes("<") ? text.replace(PLACEHOLDER, (found) => "\0".repeat(found.length)) : text;
  let masked = new CountedText(brought, looks);
  let traits = given;
  looks.spend(text.length);
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const before = hits.length;
    if (hasKnownValues(known)) masked = hide(masked, hits, knownIn(masked, { known, traits }));
    for (const rule of RULES) {
      if (rule.when(traits, masked)) masked = hide(masked, hits, foundBy(rule, masked));
    }
    if (hits.length === before) break;
    traits = traitsOf(masked.whole());
  }
  return hits.length > 1 ? hits.sort((a, b) => a.start - b.start) : hits;
}

const PLACEHOLDER = new RegExp(`<(?:${ENTITIES.join("|")})>`, "g");

function knownIn(text: CountedText, { known, traits }: Pick<Means, "known" | "traits">): Span[] {
  const found: Span[] = [];
  findKnownValues(text, { known, traits }, reportTo(found));
  return found;
}

function foundBy(rule: Rule, text: CountedText): Span[] {
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
function hide(counted: CountedText, hits: Span[], found: Span[]): CountedText {
  if (found.length === 0) return counted;
  const text = counted.whole();
  let masked = "";
  let from = 0;
  for (const hit of found.sort((a, b) => a.start - b.start || b.end - a.end)) {
    if (hit.start < from) continue;
    hits.push(hit);
    masked += text.slice(from, hit.start) + "\0".repeat(hit.end - hit.start);
    from = hit.end;
  }
  return new CountedText(masked + text.slice(from), counted.looks);
}
