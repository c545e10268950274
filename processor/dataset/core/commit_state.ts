import * as z from "zod";
import { type ErasedSubjects, NOBODY, withErasure } from "../../record/erasure.ts";
import type { AdoptedCount } from "./added_partitions.ts";
import {
  type Commit,
  type CommitObject,
  commitObject,
  damaged,
  erasedSubjects,
  parseJson,
} from "./commit.ts";
import { adoptedCounts, count, letters, outcomes, received, recordMark } from "./manifest_shapes.ts";
import { parseDatasetPath } from "./path.ts";
import { addReceived, type MinuteCount } from "./received.ts";
import type { RecordMark } from "./record_mark.ts";

const checkpoint = z.object({
  number: count,
  firstOffset: count,
  nextOffset: count,
  objects: z.array(commitObject),
  letters: z.array(z.object({ number: count, nextOffset: count, letters })),
  lettersPublished: count,
  erased: erasedSubjects,
  leaving: z.array(z.object({ path: z.string(), at: z.string() })),
  seal: z.object({ number: count, builds: count, nextOffset: count }).nullable(),
  last: recordMark.optional(),
  outcomes: outcomes.optional(),
  received: received.optional(),
  counts: adoptedCounts,
});
type Checkpoint = z.infer<typeof checkpoint>;

/** What a compaction removed stays so long for readers that list, in ms. */
export const LEAVING_MS = 3_600_000;

/** Letters that one commit decided. */
type LettersOf = Checkpoint["letters"][number];

/**
 * Objects by path, in the order in which they came. Each is kept as a text: a partition may have 100,000 of them, and as
 * objects they would take four times the memory.
 */
export class CommitObjects {
  readonly #texts = new Map<string, string>();

  get size(): number {
    return this.#texts.size;
  }

  has(path: string): boolean {
    return this.#texts.has(path);
  }

  get(path: string): CommitObject | undefined {
    const text = this.#texts.get(path);
    return text === undefined ? undefined : { path, ...JSON.parse(text) };
  }

  set({ path, ...entry }: CommitObject): void {
    this.#texts.set(path, JSON.stringify(entry));
  }

  delete(path: string): void {
    this.#texts.delete(path);
  }

  keys(): IterableIterator<string> {
    return this.#texts.keys();
  }

  *values(): Generator<CommitObject> {
    for (const path of this.#texts.keys()) yield this.get(path)!;
  }
}

/**
 * What the commits of a partition come to, one after the other. A function of the commits alone, whoever folds them and
 * from whichever checkpoint.
 */
export class CommitState {
  /** Of the last commit that is in it; 0: none. */
  number = 0;
  firstOffset: number;
  nextOffset: number;
  /** Empty where `keepsObjects` is false. */
  readonly objects = new CommitObjects();
  /** Of commits above `lettersPublished`, ascending. */
  letters: readonly LettersOf[] = [];
  lettersPublished = 0;
  erased: ErasedSubjects = NOBODY;
  /** Number of the last commit after which `erased` may be another one. */
  erasures = 0;
  /** Paths that a compaction has removed, with the time of that in ms since 1970: see {@link LEAVING_MS}. */
  readonly leaving = new Map<string, number>();
  /** The last seal that no writer has gone past; whether it holds the number in `_builds` says. */
  seal: Checkpoint["seal"] = null;
  last: RecordMark | undefined;
  outcomes: Checkpoint["outcomes"];
  received:
    | { readonly from: number; readonly to: number; readonly minutes: readonly MinuteCount[] }
    | undefined;
  counts: readonly AdoptedCount[] = [];

  /** A partition without any commit begins at `startOffset`. */
  constructor(
    startOffset: number,
    /** False for who only asks for erasures and offsets. */
    private readonly keepsObjects = true,
  ) {
    this.firstOffset = this.nextOffset = startOffset;
  }

  /** True for an object that no commit names, none ever will, and no reader that lists may still want; `now` in ms since 1970. */
  isLeftover(path: string, now: number): boolean {
    return now >= (this.leaving.get(path) ?? -Infinity) + LEAVING_MS && !this.objects.has(path) &&
      parseDatasetPath(path)!.commit! <= this.number;
  }

  /** Takes in the next commit. Throws `DatasetStateError` where it does not follow from those before; `key` names it. */
  apply(commit: Commit, key: string): void {
    this.check(commit, key);
    const before = this.nextOffset;
    const at = Date.parse(commit.at);
    this.number = commit.number;
    if (commit.number === 1) this.firstOffset = commit.firstOffset;
    this.nextOffset = commit.nextOffset;
    this.#replace(commit, at);
    this.lettersPublished = Math.max(this.lettersPublished, commit.lettersPublished);
    const own = { number: commit.number, nextOffset: commit.nextOffset, letters: commit.letters };
    this.letters = [...this.letters, ...(own.letters.length > 0 ? [own] : [])]
      .filter(({ number }) => number > this.lettersPublished);
    if (commit.erased.length > 0) this.erasures = commit.number;
    for (const { subject, at, offset } of commit.erased) {
      this.erased = withErasure(this.erased, { subjects: [subject], at: Date.parse(at), offset });
    }
    this.last = commit.last ?? this.last;
    this.counts = [...this.counts, ...commit.counts ?? []];
    this.#count(commit, before);
    if (commit.kind === "seal") {
      this.seal = { number: commit.number, builds: commit.builds!, nextOffset: commit.nextOffset };
    } else if (commit.kind === "fence" || commit.kind === "lines") this.seal = null;
  }

  toCheckpoint(): Checkpoint {
    const { number, firstOffset, nextOffset, letters, lettersPublished, seal, last, outcomes, received } =
      this;
    return {
      number,
      firstOffset,
      nextOffset,
      objects: [...this.objects.values()],
      letters: [...letters],
      lettersPublished,
      erased: [...this.erased].map(([subject, { at, offset }]) => ({
        subject,
        at: new Date(at).toISOString(),
        offset,
      })),
      leaving: [...this.leaving].map(([path, at]) => ({ path, at: new Date(at).toISOString() })),
      seal,
      last,
      outcomes,
      received: received && { ...received, minutes: received.minutes.map(([minute, n]) => [minute, n]) },
      counts: [...this.counts],
    };
  }

  /** Begins at a checkpoint. Throws `DatasetStateError` where it is damaged. */
  restore(key: string, bytes: Uint8Array): void {
    const from = parseJson(key, { bytes, schema: checkpoint });
    this.number = from.number;
    if (from.erased.length > 0) this.erasures = from.number;
    this.firstOffset = from.firstOffset;
    this.nextOffset = from.nextOffset;
    if (this.keepsObjects) { for (const object of from.objects) this.objects.set(object); }
    this.letters = from.letters;
    this.lettersPublished = from.lettersPublished;
    for (const { subject, at, offset } of from.erased) {
      this.erased = withErasure(this.erased, { subjects: [subject], at: Date.parse(at), offset });
    }
    for (const { path, at } of from.leaving) this.leaving.set(path, Date.parse(at));
    this.seal = from.seal;
    this.last = from.last;
    this.outcomes = from.outcomes;
    this.received = from.received;
    this.counts = from.counts;
  }

  /** Throws `DatasetStateError` where a commit does not follow from those before. */
  check(commit: Commit, key: string): void {
    const { number, kind, nextOffset, added, removed, builds } = commit;
    const fail = (state: string): never => {
      throw damaged(key, state);
    };
    if (number !== this.number + 1) fail(`its number is ${number}, its place is ${this.number + 1}`);
    if (this.number > 0 && nextOffset < this.nextOffset) {
      fail(`its next offset ${nextOffset} lies below ${this.nextOffset}`);
    }
    if (kind === "seal" && builds === undefined) fail("a seal without its number in _builds");
    const foreign = added.find(({ path }) => parseDatasetPath(path)!.commit !== number);
    if (foreign) fail(`it names "${foreign.path}", which carries another number`);
    const missing = this.keepsObjects && removed.find((path) => !this.objects.has(path));
    if (missing) fail(`it removes "${missing}", which is not there`);
  }

  #replace({ kind, added, removed }: Commit, at: number): void {
    for (const [path, since] of this.leaving) if (since < at - 2 * LEAVING_MS) this.leaving.delete(path);
    // Some of these may hold lines of the erased: they go with what the erasure removed.
    if (kind === "erase") this.leaving.clear();
    for (const path of removed) {
      this.objects.delete(path);
      if (kind === "compact" && this.keepsObjects) this.leaving.set(path, at);
    }
    if (this.keepsObjects) { for (const object of added) this.objects.set(object); }
  }

  #count({ outcomes, minutes, nextOffset: to }: Commit, before: number): void {
    if (outcomes) {
      const { taken = 0, ...counts } = outcomes;
      const known = this.outcomes?.to === before
        ? this.outcomes
        : { from: before, to, lines: 0, duplicates: 0, deadLetters: 0, others: 0 };
      const sum = (known.taken ?? 0) + taken;
      this.outcomes = {
        from: known.from,
        to,
        lines: known.lines + counts.lines,
        duplicates: known.duplicates + counts.duplicates,
        deadLetters: known.deadLetters + counts.deadLetters,
        others: known.others + counts.others,
        ...(sum > 0 ? { taken: sum } : {}),
      };
    }
    if (minutes) {
      const known = this.received?.to === before ? this.received : { from: before, minutes: [] };
      this.received = { from: known.from, to, minutes: addReceived(known.minutes, minutes) };
    }
  }
}
