import type { Figures } from "../../../contract/processor_api.ts";
import { countedIn, NO_FIGURES, PROMPT_LENGTHS, REASONS_MAX } from "../core/figures.ts";
import type { FileEntries, FileEntry } from "../store.ts";
import { entryIn, type PartitionSnapshot } from "./snapshot.ts";

/** What the lines of a whole dataset come to, beside their number. */
export type DatasetFigures =
  & Pick<Figures, "reasons" | "otherReasons" | "promptLengths" | "uncounted">
  & {
    readonly placeholders: Readonly<Record<string, number>>;
    /** What records have become since they are counted, erased lines too: a replay alone makes it less. */
    readonly ever: { readonly records: number; readonly lines: number; readonly duplicates: number };
  };

/** Of all files that these snapshots name. */
export function figuresOf(snapshots: readonly PartitionSnapshot[]): DatasetFigures {
  const sum = emptySum();
  for (const snapshot of snapshots) {
    const { manifest, sealed } = snapshot;
    merge(sum, sumOfSealed(sealed));
    const newest = new Set(
      [manifest?.files, manifest?.erasing?.files].flatMap((files) => Object.keys(files ?? {})),
    );
    for (const path of newest) {
      // Sealed entries of files that the manifest names too are of before.
      if (sealed[path]) add(sum, sealed[path], -1);
      add(sum, entryIn(snapshot, path)!, 1);
    }
  }
  const reasons = [...sum.reasons].filter(([, lines]) => lines > 0).sort(([, a], [, b]) => b - a);
  const shown = reasons.slice(0, REASONS_MAX);
  return {
    reasons: shown.map(([reason, lines]) => ({ reason, lines })),
    otherReasons: reasons.slice(REASONS_MAX).reduce((all, [, lines]) => all + lines, sum.otherReasons),
    promptLengths: sum.promptLengths.map((lines, i) => ({ upTo: PROMPT_LENGTHS[i] ?? null, lines })),
    uncounted: sum.uncounted,
    placeholders: Object.fromEntries(sum.placeholders),
    ever: everIn(snapshots),
  };
}

function everIn(snapshots: readonly PartitionSnapshot[]): DatasetFigures["ever"] {
  const ever = { records: 0, lines: 0, duplicates: 0 };
  for (const { manifest } of snapshots) {
    const known = manifest?.outcomes;
    if (known === undefined || known.to !== manifest!.nextOffset) continue;
    ever.records += known.lines + known.duplicates + known.deadLetters + known.others;
    ever.lines += known.lines + (known.taken ?? 0);
    ever.duplicates += known.duplicates;
  }
  return ever;
}

type Sum = {
  readonly reasons: Map<string | null, number>;
  readonly promptLengths: number[];
  readonly placeholders: Map<string, number>;
  otherReasons: number;
  uncounted: number;
};

function emptySum(): Sum {
  return {
    reasons: new Map(),
    promptLengths: [...NO_FIGURES.promptLengths],
    placeholders: new Map(),
    otherReasons: 0,
    uncounted: 0,
  };
}

/** Made once for entries that stay the same object, as sealed ones do. */
const sums = new WeakMap<FileEntries, Sum>();

function sumOfSealed(entries: FileEntries): Sum {
  const known = sums.get(entries);
  if (known) return known;
  const sum = emptySum();
  for (const entry of Object.values(entries)) add(sum, entry, 1);
  sums.set(entries, sum);
  return sum;
}

function add(sum: Sum, { records, placeholders, figures = NO_FIGURES }: FileEntry, sign: 1 | -1): void {
  for (const [reason, lines] of figures.reasons) addTo(sum.reasons, reason, sign * lines);
  for (const [entity, spans] of Object.entries(placeholders)) addTo(sum.placeholders, entity, sign * spans);
  figures.promptLengths.forEach((lines, i) => sum.promptLengths[i]! += sign * lines);
  sum.otherReasons += sign * figures.otherReasons;
  sum.uncounted += sign * (records - countedIn(figures));
}

function merge(sum: Sum, more: Sum): void {
  for (const [reason, lines] of more.reasons) addTo(sum.reasons, reason, lines);
  for (const [entity, spans] of more.placeholders) addTo(sum.placeholders, entity, spans);
  more.promptLengths.forEach((lines, i) => sum.promptLengths[i]! += lines);
  sum.otherReasons += more.otherReasons;
  sum.uncounted += more.uncounted;
}

function addTo<K>(counts: Map<K, number>, key: K, by: number): void {
  counts.set(key, (counts.get(key) ?? 0) + by);
}
