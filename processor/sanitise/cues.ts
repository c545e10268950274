/**
 * Which of many words a text holds, learnt in one pass over it (Aho and Corasick's automaton): most rules need one of a
 * few words, and most texts hold none of them.
 *
 * Words are ASCII in lower case; the text's case does not count. A character beyond ASCII is part of none, and leads
 * back to the first state.
 */
export type Cues = {
  /** By UTF-16 unit below 128: which column of {@link next} it leads to. */
  readonly columnOf: Uint8Array;
  /** The state that follows, by `state << COLUMN_BITS | column`. 0 is the first. */
  readonly next: Uint16Array;
  /** By state: one bit for each list that has a word which ends here. */
  readonly bits: Uint16Array;
  /** By state: how long the word of the first list is that ends here. */
  readonly lengths: Uint8Array;
  /** The first state at which a word ends; in those before it none does. */
  readonly ends: number;
};

/** A row has 64 columns: room for the letters and signs of all words. */
export const COLUMN_BITS = 6;

type Node = {
  readonly children: Map<number, Node>;
  bits: number;
  length: number;
  state: number;
  fallback: Node | null;
};

/** Builds the automaton; the words of `lists[n]` set bit `1 << n`, for at most sixteen lists. */
export function createCues(lists: readonly (readonly string[])[]): Cues {
  const columnOf = columnsOf(lists.flat());
  const root = node();
  lists.forEach((words, list) => {
    for (const word of words) {
      let at = root;
      for (let i = 0; i < word.length; i++) {
        const column = columnOf[word.charCodeAt(i)]!;
        let child = at.children.get(column);
        if (!child) at.children.set(column, child = node());
        at = child;
      }
      at.bits |= 1 << list;
      if (list === 0) at.length = word.length;
    }
  });
  return { columnOf, ...tablesOf(root) };
}

function node(): Node {
  return { children: new Map(), bits: 0, length: 0, state: 0, fallback: null };
}

/** Column 0 is everything that no word has. */
function columnsOf(words: readonly string[]): Uint8Array {
  const columnOf = new Uint8Array(128);
  let columns = 1;
  for (const character of new Set(words.join(""))) {
    const code = character.charCodeAt(0);
    if (code >= 128 || columns >= 1 << COLUMN_BITS) {
      throw new RangeError(`no room for the cue "${character}"`);
    }
    columnOf[code] = columnOf[character.toUpperCase().charCodeAt(0)] = columns++;
  }
  return columnOf;
}

/** Breadth first, so that what a shorter suffix leads to is known before a longer one falls back on it. */
function tablesOf(root: Node): Omit<Cues, "columnOf"> {
  const nodes = [root];
  for (const { children, fallback } of nodes) {
    for (const [column, child] of children) {
      child.fallback = fallback === null ? root : stepFrom(fallback, column);
      child.bits |= child.fallback.bits;
      child.length ||= child.fallback.length;
      nodes.push(child);
    }
  }
  const states = [...nodes.filter(({ bits }) => bits === 0), ...nodes.filter(({ bits }) => bits !== 0)];
  states.forEach((node, state) => node.state = state);
  const next = new Uint16Array(nodes.length << COLUMN_BITS);
  const bits = new Uint16Array(nodes.length), lengths = new Uint8Array(nodes.length);
  for (const { state, children, fallback, length, bits: own } of nodes) {
    const at = state << COLUMN_BITS;
    const below = (fallback?.state ?? 0) << COLUMN_BITS;
    if (fallback) next.copyWithin(at, below, below + (1 << COLUMN_BITS));
    for (const [column, child] of children) next[at | column] = child.state;
    bits[state] = own;
    lengths[state] = length;
  }
  return { next, bits, lengths, ends: nodes.filter(({ bits }) => bits === 0).length };
}

function stepFrom(node: Node, column: number): Node {
  const child = node.children.get(column);
  if (child !== undefined) return child;
  return node.fallback === null ? node : stepFrom(node.fallback, column);
}
