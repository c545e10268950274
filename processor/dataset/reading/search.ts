import type { LineHit, LineHits } from "../../../contract/processor_api.ts";
import { orNull } from "../../../contract/envelope.ts";
import { parseLine, type StoredLine } from "../core/line_check.ts";
import { isBefore, newestFirst, parseDatasetPath, placeOf } from "../core/path.ts";
import { type CurrentDataset, known, pathsOf, type SeekableLines } from "./reader.ts";

/**
 * Looks through all lines for a text, the newest first: days backwards, of a day the files with the highest numbers first,
 * and each file from its end. Nothing is indexed, so that there is nothing an erasure could forget; instead a look is
 * bounded, and says where the next goes on.
 */

/** What one look may take. */
export type SearchBounds = {
  readonly bytesMax: number;
  /** Milliseconds of a monotonic clock. */
  readonly msMax: number;
  readonly hitsMax: number;
};

const BOUNDS: SearchBounds = { bytesMax: 32 * 1024 * 1024, msMax: 400, hitsMax: 50 };
const BLOCK_BYTES = 1024 * 1024;
/** As far as a line may reach that was not written by us; ingest takes 1 MiB. */
const LINE_BYTES_MAX = 16 * 1024 * 1024;
/** Characters of a found text that are shown on either side. */
const AROUND = 120;
/** Looks at a time: each holds a block or two. */
const LOOKS_MAX = 2;

/** Where a look ended: behind this, in the same file from before this line's beginning. */
type Cursor = {
  /** Bytes searched so far, by all looks of this search. */
  readonly searched: number;
  /** An erasure or a replay puts another file in a file's place, which is searched from its end then. */
  readonly version: number;
  /** Bytes of the file that are still to be searched. */
  readonly end: number;
  /** Lines in them. */
  readonly lines: number;
  readonly path: string;
};

export class LineSearch {
  #looks = 0;

  constructor(
    private readonly dataset: CurrentDataset,
    private readonly monotonic: () => number,
    private readonly bounds: SearchBounds = BOUNDS,
  ) {}

  /**
   * `cursor` is the last answer's `next`, null begins. Answers "busy" where others search, null where the cursor is none.
   */
  async find(text: string, cursor: string | null): Promise<LineHits | "busy" | null> {
    const from = cursor === null ? null : cursorIn(cursor);
    if (cursor !== null && from === null) return null;
    if (this.#looks >= LOOKS_MAX) return "busy";
    this.#looks++;
    try {
      return await this.#look(new RegExp(RegExp.escape(text), "iu"), from);
    } finally {
      this.#looks--;
    }
  }

  async #look(wanted: RegExp, from: Cursor | null): Promise<LineHits> {
    const until = this.monotonic() + this.bounds.msMax;
    const hits: LineHit[] = [];
    let searched = 0;
    const isOver = () =>
      searched >= this.bounds.bytesMax || hits.length >= this.bounds.hitsMax || this.monotonic() >= until;
    const sum = from?.searched ?? 0;
    const began = from === null ? null : placeOf(from.path);
    let breath = 0;
    let reader = await known(this.dataset);
    for (const path of reader === null ? [] : newestFirst(pathsOf(reader))) {
      if (began !== null && isBefore(placeOf(path), began)) continue;
      if (reader?.isReplaced() !== false) reader = await this.dataset.now();
      using opened = await reader?.seekIn(path) ?? null;
      if (opened === null) continue;
      const { version } = opened;
      let end = opened.bytes;
      let lines = opened.entry.records;
      if (from?.path === path && from.version === version && from.end <= end && from.lines <= lines) {
        ({ end, lines } = from);
      }
      // Each look goes on by a block at least, however short its time.
      for (let isFirst = searched === 0; end > 0; isFirst = false) {
        if (!isFirst && isOver()) {
          const next = cursorText({ searched: sum + searched, version, end, lines, path });
          return { hits, searchedBytes: sum + searched, next };
        }
        const block = await lastLines(opened, end);
        if (block === null) break;
        for (let at = block.length; at > 0;) {
          const begin = at < 2 ? 0 : block.lastIndexOf(10, at - 2) + 1;
          const hit = hitIn(block.subarray(begin, at - 1), wanted);
          searched += at - begin;
          end -= at - begin;
          at = begin;
          if (hit) hits.push({ file: path, line: lines, ...hit });
          lines--;
          if (hits.length >= this.bounds.hitsMax) break;
        }
        // Others who ask this processor have their turn.
        if (searched - breath >= BLOCK_BYTES) {
          breath = searched;
          await new Promise((resolve) => setTimeout(resolve));
        }
      }
    }
    return { hits, searchedBytes: sum + searched, next: null };
  }
}

/** Whole lines that end at `end`, about a block of them, one at least; null where there is none as long as lines are. */
async function lastLines(opened: SeekableLines, end: number) {
  for (let bytes = BLOCK_BYTES; bytes <= LINE_BYTES_MAX; bytes *= 2) {
    const from = Math.max(0, end - bytes);
    const block = await opened.read({ from, bytes: end - from });
    // What an erasure has cut since is gone, and what does not end in a line feed is no line.
    if (block.length < end - from || block.at(-1) !== 10) return null;
    if (from === 0) return block;
    const begin = block.indexOf(10) + 1;
    if (begin < block.length) return block.subarray(begin);
  }
  return null;
}

const FIELDS = ["input_prompt", "failure_reason", "distinct_id", "event"] as const;

function hitIn(bytes: Uint8Array, wanted: RegExp): Omit<LineHit, "file" | "line"> | null {
  const line: StoredLine | null = orNull(() => parseLine(bytes));
  if (line === null) return null;
  for (const field of FIELDS) {
    const text = line[field] ?? "";
    const found = wanted.exec(text);
    if (!found) continue;
    const end = found.index + found[0].length;
    const [before, after] = [text.slice(0, found.index), text.slice(end)];
    return {
      at: line.timestamp,
      field,
      before: (before.length > AROUND ? `…${before.slice(-AROUND)}` : before).toWellFormed(),
      found: found[0],
      after: (after.length > AROUND ? `${after.slice(0, AROUND)}…` : after).toWellFormed(),
    };
  }
  return null;
}

function cursorText({ searched, version, end, lines, path }: Cursor): string {
  return [searched, version, end, lines, path].join(" ");
}

function cursorIn(text: string): Cursor | null {
  const match = /^(\d{1,15}) (\d{1,20}) (\d{1,15}) (\d{1,15}) (.{1,2000})$/s.exec(text);
  if (!match || parseDatasetPath(match[5]!) === null) return null;
  const [searched, version, end, lines] = match.slice(1, 5).map(Number) as [number, number, number, number];
  return { searched, version, end, lines, path: match[5]! };
}
