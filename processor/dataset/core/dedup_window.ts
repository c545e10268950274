import { Buffer } from "node:buffer";
import { hash } from "node:crypto";

/** An id that the window holds, as four words; a UUID's own 128 bits, or those of the SHA-256 of any other text. */
type IdWords = Uint32Array;

/** Everything a window holds, oldest first: for the cache on disk. */
export type WindowEntries = {
  readonly count: number;
  /** Four words per entry. */
  readonly ids: Uint32Array;
  readonly offsets: Float64Array;
  readonly redrives: Uint16Array;
};

/** What a partition's window knows of ids: the offsets `from` ≤ o < `to` are all that it looks back. */
export type WindowFinding = {
  readonly partition: number;
  readonly from: number;
  readonly to: number;
  readonly found: readonly { readonly id: string; readonly offset: number; readonly redrives: number }[];
};

const CAPACITY_FIRST = 1024;

/**
 * The ids of a partition's last `size` offsets. A record is a repeat if its id occurs in [o − size, o) with the same or
 * a higher number of redrives; a lower one doesn't count, so that a redriven copy is not taken for a repeat of the
 * record that failed. A function of the log alone: the same after a restart and in a replay.
 *
 * A ring in typed arrays with a hash table over it (linear probing, newest entry of an id): nothing is allocated per
 * record, 40 bytes an entry. `seed` keeps clients from choosing UUIDs that collide in the table.
 */
export class DedupWindow {
  /** Everything below it has been added. */
  fedTo = 0;
  #capacity = CAPACITY_FIRST;
  #head = 0;
  #count = 0;
  #ids = new Uint32Array(CAPACITY_FIRST * 4);
  #offsets = new Float64Array(CAPACITY_FIRST);
  #redrives = new Uint16Array(CAPACITY_FIRST);
  /** Ring place of the previous entry with the same id, -1 for none; stale once that place has been used again. */
  #previous = new Int32Array(CAPACITY_FIRST);
  /** Ring place + 1 of the newest entry of an id; 0 is free. Twice the capacity, so at most half full. */
  #table = new Int32Array(CAPACITY_FIRST * 2);
  readonly #id = new Uint32Array(4);

  constructor(readonly size: number, private readonly seed: number) {}

  get count(): number {
    return this.#count;
  }

  /** Adds the record at `offset`, above every earlier one, and tells whether it is a repeat. */
  seen(id: string, { offset, redrives }: { readonly offset: number; readonly redrives: number }): boolean {
    readIdWords(id, this.#id);
    return this.#add(this.#id, { offset, redrives });
  }

  /** Tells whether an id is in it with the same or a higher number of redrives, and adds nothing. */
  holds(id: string, redrives: number): boolean {
    readIdWords(id, this.#id);
    const newest = this.#table[this.#slotOf(this.#id, 0)]! - 1;
    return newest >= 0 && this.#occurs(newest, { from: -Infinity, redrives });
  }

  /** Where an id occurs in it, the newest first. */
  offsetsOf(id: string): { readonly offset: number; readonly redrives: number }[] {
    readIdWords(id, this.#id);
    const found: { offset: number; redrives: number }[] = [];
    let above = Infinity;
    for (
      let place = this.#table[this.#slotOf(this.#id, 0)]! - 1;
      place >= 0;
      place = this.#previous[place]!
    ) {
      const offset = this.#offsets[place]!;
      if (offset >= above || offset < this.fedTo - this.size) break;
      found.push({ offset, redrives: this.#redrives[place]! });
      above = offset;
    }
    return found;
  }

  entries(): WindowEntries {
    const count = this.#count;
    const entries = {
      count,
      ids: new Uint32Array(count * 4),
      offsets: new Float64Array(count),
      redrives: new Uint16Array(count),
    };
    const copy = (from: number, to: number, at: number) => {
      entries.ids.set(this.#ids.subarray(from * 4, to * 4), at * 4);
      entries.offsets.set(this.#offsets.subarray(from, to), at);
      entries.redrives.set(this.#redrives.subarray(from, to), at);
    };
    // The ring's two pieces: up to its last place, and from its first one on.
    const end = this.#head + count;
    copy(this.#head, Math.min(end, this.#capacity), 0);
    if (end > this.#capacity) copy(0, end - this.#capacity, this.#capacity - this.#head);
    return entries;
  }

  /** Adds entries of an earlier window, oldest first. */
  restore(entries: WindowEntries): void {
    for (let i = 0; i < entries.count; i++) {
      for (let word = 0; word < 4; word++) this.#id[word] = entries.ids[i * 4 + word]!;
      this.#add(this.#id, { offset: entries.offsets[i]!, redrives: entries.redrives[i]! });
    }
  }

  #add(id: IdWords, { offset, redrives }: { offset: number; redrives: number }): boolean {
    this.#forgetBelow(offset - this.size);
    if (this.#count === this.#capacity) this.#grow();
    const slot = this.#slotOf(id, 0);
    const newest = this.#table[slot]! - 1;
    const repeated = newest >= 0 && this.#occurs(newest, { from: offset - this.size, redrives });
    const place = (this.#head + this.#count) % this.#capacity;
    // One by one: `set` costs as much as all else here.
    for (let word = 0; word < 4; word++) this.#ids[place * 4 + word] = id[word]!;
    this.#offsets[place] = offset;
    this.#redrives[place] = redrives;
    this.#previous[place] = newest;
    this.#table[slot] = place + 1;
    this.#count++;
    this.fedTo = offset + 1;
    return repeated;
  }

  /** Walks an id's entries from the newest back; a place that was used again lies above the one that points to it. */
  #occurs(newest: number, { from, redrives }: { from: number; redrives: number }): boolean {
    let above = Infinity;
    for (let place = newest; place >= 0; place = this.#previous[place]!) {
      const offset = this.#offsets[place]!;
      if (offset >= above || offset < from) return false;
      if (this.#redrives[place]! >= redrives) return true;
      above = offset;
    }
    return false;
  }

  #forgetBelow(offset: number): void {
    while (this.#count > 0 && this.#offsets[this.#head]! < offset) {
      const slot = this.#slotOf(this.#ids, this.#head * 4);
      if (this.#table[slot]! - 1 === this.#head) this.#free(slot);
      this.#head = (this.#head + 1) % this.#capacity;
      this.#count--;
    }
  }

  /** The table's slot of the id that begins at `at` in `words`, or the free one where it belongs. */
  #slotOf(words: Uint32Array, at: number): number {
    const mask = this.#table.length - 1;
    for (let slot = this.#hash(words, at) & mask;; slot = (slot + 1) & mask) {
      const place = this.#table[slot]! - 1;
      if (place < 0 || this.#holds(place, { words, at })) return slot;
    }
  }

  #holds(place: number, { words, at }: { words: Uint32Array; at: number }): boolean {
    const ids = this.#ids;
    const own = place * 4;
    return ids[own] === words[at] && ids[own + 1] === words[at + 1] && ids[own + 2] === words[at + 2] &&
      ids[own + 3] === words[at + 3];
  }

  /** Frees a slot and moves back what was only probed past it, so that no mark of deletion is needed. */
  #free(slot: number): void {
    const mask = this.#table.length - 1;
    let hole = slot;
    for (let next = (slot + 1) & mask; this.#table[next] !== 0; next = (next + 1) & mask) {
      const home = this.#hash(this.#ids, (this.#table[next]! - 1) * 4) & mask;
      if (((next - home) & mask) < ((next - hole) & mask)) continue;
      this.#table[hole] = this.#table[next]!;
      hole = next;
    }
    this.#table[hole] = 0;
  }

  #hash(words: Uint32Array, at: number): number {
    let h = this.seed | 0;
    for (let i = at; i < at + 4; i++) {
      h = Math.imul(h ^ words[i]!, 0x9e3779b1);
      h ^= h >>> 15;
    }
    h = Math.imul(h ^ (h >>> 13), 0x85ebca6b);
    return h ^ (h >>> 16);
  }

  #grow(): void {
    const old = this.entries();
    this.#capacity *= 2;
    this.#head = 0;
    this.#count = 0;
    this.#ids = new Uint32Array(this.#capacity * 4);
    this.#offsets = new Float64Array(this.#capacity);
    this.#redrives = new Uint16Array(this.#capacity);
    this.#previous = new Int32Array(this.#capacity);
    this.#table = new Int32Array(this.#capacity * 2);
    const { fedTo } = this;
    const id = this.#id.slice();
    this.restore(old);
    this.#id.set(id);
    this.fedTo = fedTo;
  }
}

const NIBBLES = new Uint8Array(128).fill(255);
for (let i = 0; i < 10; i++) NIBBLES[48 + i] = i;
for (let i = 0; i < 6; i++) NIBBLES[65 + i] = NIBBLES[97 + i] = 10 + i;

function readIdWords(id: string, into: IdWords): void {
  if (id.length === 36 && readUuid(id, into)) return;
  const digest = hash("sha256", Buffer.from(id, "utf8"), "buffer");
  for (let i = 0; i < 4; i++) into[i] = digest.readUInt32BE(i * 4);
}

/** Fills the words with a UUID's bits; false where the text is none. */
function readUuid(text: string, into: IdWords): boolean {
  let word = 0;
  let nibbles = 0;
  for (let i = 0; i < 36; i++) {
    const code = text.charCodeAt(i);
    if (i === 8 || i === 13 || i === 18 || i === 23) {
      if (code !== 45) return false;
      continue;
    }
    const nibble = code < 128 ? NIBBLES[code]! : 255;
    if (nibble === 255) return false;
    word = (word << 4) | nibble;
    if ((++nibbles & 7) === 0) into[(nibbles >> 3) - 1] = word;
  }
  return true;
}
