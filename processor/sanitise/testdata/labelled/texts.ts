import { ENTITIES } from "../../rules.ts";
import type { Entity, Span } from "../../mod.ts";
import { createDraws, type Draws } from "./draws.ts";
import { FILLERS, NEAR_MISSES } from "./near_misses.ts";
import { VALUES } from "./values.ts";
import { PLACES, WORDS } from "./words.ts";

/** A text, and what of it is personal or secret. */
export type Labelled = { readonly text: string; readonly labels: readonly Span[] };

/** Templates for tuning rules by, and those that were never looked at. */
export type Half = "tuning" | "held out";

/**
 * Labelled texts, the same for the same seed: `each` of every entity, half of them in sentences, half as fields of tickets,
 * chats, logs, code, settings, tables, CSV, JSON and YAML; and `clean` ones with near misses alone.
 */
export function labelledTexts(
  { seed, half, each, clean }: {
    readonly seed: number;
    readonly half: Half;
    readonly each: number;
    readonly clean: number;
  },
): readonly Labelled[] {
  const draws = createDraws(seed);
  const mine = <T>(of: readonly T[]): T =>
    draws.one(of.filter((_, i) => (i % 2 === 0) === (half === "tuning")));
  const labelled = ENTITIES.flatMap((entity) =>
    Array.from({ length: each }, (_, n): Labelled => {
      const { said, fields } = WORDS[entity];
      const value = { entity, text: VALUES[entity](draws) };
      if (n % 2 === 0 || fields.length === 0) {
        return written(`${mine(said)}\n${draws.one(FILLERS)}`.trimEnd(), value, draws);
      }
      const { name, text } = draws.one(Object.values(PLACES));
      return written(text.replace("{field}", name(mine(fields))), value, draws);
    })
  );
  const none = Array.from({ length: clean }, (): Labelled => {
    const text = draws.below(2) === 0 ? mine(NEAR_MISSES) : `${mine(NEAR_MISSES)}\n${mine(NEAR_MISSES)}`;
    return { text: filled(text, draws), labels: [] };
  });
  return [...labelled, ...none];
}

function written(template: string, value: { entity: Entity; text: string }, draws: Draws): Labelled {
  const [before, after] = filled(template, draws).split("{}") as [string, string];
  const start = before.length, end = start + value.text.length;
  return { text: before + value.text + after, labels: [{ start, end, entity: value.entity }] };
}

function filled(template: string, d: Draws): string {
  const slots: Readonly<Record<string, () => string>> = {
    "{n}": () => d.digits(7),
    "{date}": () => `20${d.two(19, 25)}-${d.two(1, 12)}-${d.two(1, 28)}`,
    "{time}": () => `${d.two(0, 23)}:${d.two(0, 59)}:${d.two(0, 59)}`,
    "{uuid}": () => `${d.hex(8)}-${d.hex(4)}-4${d.hex(3)}-a${d.hex(3)}-${d.hex(12)}`,
    "{sha}": () => d.hex(40),
    "#": () => d.digits(1),
    "^": () => d.hex(1),
  };
  return template.replaceAll(/\{(?:n|date|time|uuid|sha)\}|[#^]/g, (slot) => slots[slot]!());
}
