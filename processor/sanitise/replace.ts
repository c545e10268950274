import { CountedText, type Looks } from "./counted_text.ts";
import { fold, stripControls } from "./fold.ts";
import { findKnownValues, hasKnownValues, type KnownValues, mayHoldKnownValues } from "./known.ts";
import { ENTITIES, type Entity, isBare, type Report, RULES, type Traits, traitsOf } from "./rules.ts";

/** Where something personal stands in the text that was given, in UTF-16 units; `end` is exclusive. */
export type Span = { readonly start: number; readonly end: number; readonly entity: Entity };

/** The text with every span replaced by `<ENTITY>`; spans are in order and do not overlap. */
export type Sanitised = { readonly text: string; readonly spans: readonly Span[] };

/** As `sanitise`, of a text of any length; throws `TooManyLooksError` where it takes more looks than there are. */
export function replace(source: string, known: KnownValues, looks: Looks): Sanitised {
  const traits = traitsOf(source);
  if (traits.plain) {
    const spans = findAll(source, { known, traits, looks });
    return {
      text: spans.length === 0 ? source : withPlaceholders(source, spans, (between) => between),
      spans,
    };
  }
  const { text, locate } = fold(source);
  const spans = findAll(text, { known, traits: text === source ? traits : traitsOf(text), looks }).map(
    ({ start, end, entity }): Span => {
      const [from, to] = locate(start, end);
      return { start: from, end: to, entity };
    },
  );
  // What folds to itself holds nothing to strip.
  return {
    text: withPlaceholders(source, spans, text === source ? (between) => between : stripControls),
    spans,
  };
}

type Means = { readonly known: KnownValues; readonly traits: Traits; readonly looks: Looks };

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
function findAll(text: string, { known, traits: whole, looks }: Means): Span[] {
  looks.spend(text.length);
  const brought = text.includes("<") ? text.replace(PLACEHOLDER, blanks) : text;
  // A placeholder's own letters ask for no rule: a text that has been sanitised is looked at as it was then.
  const given = brought === text ? whole : traitsOf(brought);
  // Hiding a part of the text takes words away, so that what it cannot hold now it will not hold later.
  const holdsKnown = hasKnownValues(known) && mayHoldKnownValues(brought, { known, traits: given, looks });
  if (isBare(given) && !holdsKnown) return [];
  const hits: Span[] = [];
  const found: Span[] = [];
  /** By rule: how much had been hidden when it last ran. */
  const seen: number[] = [];
  let since: number | undefined;
  const hidden = () => since === undefined ? null : inOrder(hits.slice(since));
  const report: Report = (entity, start, end) => {
    if (end > start) found.push({ start, end, entity });
  };
  let traits = given;
  let masked = new CountedText(brought, looks, traits.runs, traits.longs);
  // The last rule of a round that found something, −1 for known values: those behind it saw the text as it is now, and
  // found nothing.
  for (let round = 0, last = RULES.length - 1; round < ROUNDS_MAX; round++) {
    let finder = NONE;
    if (holdsKnown) {
      findKnownValues(masked, { known, traits }, report);
      if (found.length > 0) {
        masked = hide(masked, hits, found);
        finder = -1;
      }
    }
    for (let i = 0; i < RULES.length && (i <= last || finder !== NONE); i++) {
      const rule = RULES[i]!;
      if (!rule.when(traits, masked)) continue;
      since = seen[i];
      seen[i] = hits.length;
      rule.find(masked, report, traits, hidden);
      if (found.length === 0) continue;
      masked = hide(masked, hits, found);
      finder = i;
    }
    if (finder === NONE) break;
    last = finder;
    traits = traitsOf(masked.whole());
    if (isBare(traits) && !holdsKnown) break;
  }
  return inOrder(hits);
}

function inOrder(spans: Span[]): Span[] {
  return spans.length > 1 ? spans.sort((a, b) => a.start - b.start) : spans;
}

const NONE = -2;
const PLACEHOLDER = new RegExp(`<(?:${ENTITIES.join("|")})>`, "g");

function blanks(found: string): string {
  return "\0".repeat(found.length);
}

/** Moves what was found to `hits`, the longest of those that begin alike; gives the text with that overwritten. */
function hide(counted: CountedText, hits: Span[], found: Span[]): CountedText {
  const text = counted.whole();
  let masked = "";
  let from = 0;
  for (const hit of found.sort((a, b) => a.start - b.start || b.end - a.end)) {
    if (hit.start < from) continue;
    hits.push(hit);
    masked += text.slice(from, hit.start) + "\0".repeat(hit.end - hit.start);
    from = hit.end;
  }
  found.length = 0;
  return counted.hiding(masked + text.slice(from));
}
