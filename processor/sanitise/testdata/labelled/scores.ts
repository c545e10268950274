import { type Entity, sanitise, type Span } from "../../mod.ts";
import { ENTITIES } from "../../rules.ts";
import { type Labelled, labelledTexts } from "./texts.ts";

/** How one entity is found, in counts. */
export type Score = {
  /** Values that the texts hold. */
  readonly values: number;
  /** Of which nothing is left to read, whatever they were taken for. */
  readonly hidden: number;
  /** Of which something is replaced as what it is. */
  readonly typed: number;
  /** Places replaced as this entity, and those of them that touch a value of it. */
  readonly places: number;
  readonly right: number;
  /** Of these places, those in texts that hold nothing. */
  readonly inClean: number;
};
export type Scores = {
  readonly entities: Readonly<Record<Entity, Score>>;
  /** Texts that hold nothing, and those of them that came out altered. */
  readonly clean: number;
  readonly altered: number;
  /** Characters outside of all values, and those of them that were replaced. */
  readonly outside: number;
  readonly damaged: number;
};

/** What the tests and docs/sanitiser.md measure: templates and draws that no rule was written by. */
export const HELD_OUT = { seed: 20261127, half: "held out", each: 100, clean: 3000 } as const;

/** `find` is the sanitiser; tests take one that misses something. */
export function score(texts: readonly Labelled[], find = (text: string) => sanitise(text).spans): Scores {
  const of = Object.fromEntries(
    ENTITIES.map((entity) => [entity, { values: 0, hidden: 0, typed: 0, places: 0, right: 0, inClean: 0 }]),
  ) as Record<Entity, { -readonly [K in keyof Score]: number }>;
  const sum = { clean: 0, altered: 0, outside: 0, damaged: 0 };
  for (const { text, labels } of texts) {
    const spans = find(text);
    for (const label of labels) {
      const own = of[label.entity];
      own.values++;
      if (spans.reduce((length, span) => length + common(span, label), 0) === label.end - label.start) {
        own.hidden++;
      }
      if (spans.some((span) => span.entity === label.entity && common(span, label) > 0)) own.typed++;
      sum.outside -= label.end - label.start;
    }
    sum.outside += text.length;
    for (const span of spans) {
      const own = of[span.entity];
      own.places++;
      if (labels.some((label) => label.entity === span.entity && common(span, label) > 0)) own.right++;
      if (labels.length === 0) own.inClean++;
      sum.damaged += span.end - span.start -
        labels.reduce((length, label) => length + common(span, label), 0);
    }
    if (labels.length === 0) sum.clean++;
    if (labels.length === 0 && spans.length > 0) sum.altered++;
  }
  return { entities: of, ...sum };
}

/** Characters that two spans share. */
function common(a: Span, b: Span): number {
  return Math.max(0, Math.min(a.end, b.end) - Math.max(a.start, b.start));
}

/** Of {@link HELD_OUT}, in Markdown. */
export function scoresInMarkdown(scores = score(labelledTexts(HELD_OUT))): string {
  const share = (part: number, whole: number) => whole === 0 ? "–" : (part / whole).toFixed(3);
  const rows = Object.entries(scores.entities).map(([entity, s]) => [
    `\`${entity}\``,
    String(s.values),
    share(s.hidden, s.values),
    share(s.typed, s.values),
    share(s.right, s.places),
    String(s.inClean),
  ]);
  const all = Object.values(scores.entities);
  const total = (count: (score: Score) => number) => all.reduce((sum, score) => sum + count(score), 0);
  const table = [
    ["entity", "values", "recall, hidden", "recall, as such", "precision", "false in clean"],
    ...rows,
    [
      "**all**",
      String(total((s) => s.values)),
      share(total((s) => s.hidden), total((s) => s.values)),
      share(total((s) => s.typed), total((s) => s.values)),
      share(total((s) => s.right), total((s) => s.places)),
      String(total((s) => s.inClean)),
    ],
  ];
  const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)));
  const line = (row: readonly string[]) => `| ${row.map((cell, i) => cell.padEnd(widths[i]!)).join(" | ")} |`;
  const [head, ...body] = table;
  return [
    line(head!),
    `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`,
    ...body.map(line),
    "",
    `Clean texts altered: ${scores.altered} of ${scores.clean}. Characters replaced outside of any value: ${scores.damaged}`,
    `of ${scores.outside}.`,
  ].join("\n");
}
