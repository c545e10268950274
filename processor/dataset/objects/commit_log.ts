import { randomBytes } from "node:crypto";
import {
  CHECKPOINT_EVERY,
  checkpointKey,
  type Commit,
  commitKey,
  encodeJson,
  parseCommit,
} from "../core/commit.ts";
import { CommitState } from "../core/commit_state.ts";
import { OBJECT_IN_MEMORY_BYTES_MAX, type ObjectStore, ObjectStoreAwayError } from "./object_store.ts";

/** Creations of one number that come to nothing in a row before the bucket counts as away. */
const ATTEMPTS_MAX = 10;

const NOTHING = { added: [], removed: [], letters: [], lettersPublished: 0, erased: [] };

/** A commit as its writer makes it; what is left out is empty. */
export type CommitDraft =
  & Pick<Commit, "kind" | "writer" | "at" | "firstOffset" | "nextOffset">
  & Partial<Omit<Commit, "number" | "nonce">>;

/**
 * The commits of one partition of one build, read number by number from the newest checkpoint on. Calls take
 * their turns: one that nobody waits for any more (its neighbour has failed) may still be under way.
 *
 * Numbers are dense and are never freed while the build lives; each is created once, so that its first creator's commit
 * stands for everybody.
 */
export class CommitLog {
  readonly state: CommitState;
  readonly #writes: boolean;
  readonly #checkpointEvery: number;
  #isBegun = false;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly store: ObjectStore,
    private readonly at: { readonly build: string; readonly partition: number },
    { startOffset = 0, keepsObjects = true, writes = false, checkpointEvery = CHECKPOINT_EVERY }: {
      /** Where a partition without any commit begins; default 0. */
      readonly startOffset?: number;
      /** Default true. */
      readonly keepsObjects?: boolean;
      /** Makes checkpoints that are missing; default false: it only reads. */
      readonly writes?: boolean;
      /** Commits from one checkpoint to the next; default 100, as everybody who reads expects. */
      readonly checkpointEvery?: number | undefined;
    } = {},
  ) {
    this.state = new CommitState(startOffset, keepsObjects);
    this.#writes = writes;
    this.#checkpointEvery = checkpointEvery;
  }

  /** Takes in every commit that is there. Throws `DatasetStateError` at one that cannot be read. */
  readOn(): Promise<void> {
    return this.#inTurn(async () => {
      if (!this.#isBegun) await this.#beginAtCheckpoint();
      this.#isBegun = true;
      while (await this.#next()) { /* one after the other */ }
    });
  }

  /** Takes in the next commit and answers it; null where there is none yet. */
  readNext(): Promise<Commit | null> {
    return this.#inTurn(() => this.#next());
  }

  /**
   * Creates the next commit. Null where it stands; else the commit of another that has its number, which is taken in.
   * Whatever the bucket answered, reading the number decides. Throws `ObjectStoreAwayError` where that cannot be read: then
   * it may stand, or land later.
   */
  append(draft: CommitDraft): Promise<Commit | null> {
    return this.#inTurn(() => this.#append(draft));
  }

  async #append(draft: CommitDraft): Promise<Commit | null> {
    const number = this.state.number + 1;
    const commit: Commit = { ...NOTHING, ...draft, number, nonce: nonce() };
    // Before anybody can see it: what does not follow would stop every reader.
    this.state.check(commit, commitKey(this.at, number));
    const bytes = encodeJson(commit);
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const found = await this.#create(number, bytes) ? commit : await this.#read(number);
      if (!found) continue;
      await this.#take(found);
      return found.nonce === commit.nonce ? null : found;
    }
    throw new ObjectStoreAwayError(
      `Cannot create "${
        commitKey(this.at, number)
      }" in ${this.store.place}: ${ATTEMPTS_MAX} creations were not ` +
        `confirmed, and it is not there. It is tried again.`,
    );
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => {});
    return turn;
  }

  async #next(): Promise<Commit | null> {
    const commit = await this.#read(this.state.number + 1);
    if (commit) await this.#take(commit);
    return commit;
  }

  async #create(number: number, bytes: Uint8Array): Promise<boolean> {
    try {
      return await this.store.create(commitKey(this.at, number), bytes) === "created";
    } catch (error) {
      // Its answer is lost: it may have landed.
      if (error instanceof ObjectStoreAwayError) return false;
      throw error;
    }
  }

  async #read(number: number): Promise<Commit | null> {
    const key = commitKey(this.at, number);
    const bytes = await this.store.get(key);
    return bytes && parseCommit(key, bytes);
  }

  async #take(commit: Commit): Promise<void> {
    this.state.apply(commit, commitKey(this.at, commit.number));
    if (this.#writes && commit.number % this.#checkpointEvery === 0) await this.#writeCheckpoint();
  }

  /** Whoever comes past writes the same: one that is missing costs whoever reads next a hundred commits more. */
  async #writeCheckpoint(): Promise<void> {
    const key = checkpointKey(this.at, this.state.number);
    try {
      const bytes = encodeJson(this.state.toCheckpoint());
      // What nobody could read would stop everybody; from the one before on there is more to read instead.
      if (bytes.length <= OBJECT_IN_MEMORY_BYTES_MAX) await this.store.create(key, bytes);
    } catch (error) {
      if (!(error instanceof ObjectStoreAwayError)) throw error;
    }
  }

  async #beginAtCheckpoint(): Promise<void> {
    const last = await lastNumber(async (number) =>
      await this.store.get(commitKey(this.at, number)) !== null
    );
    const newest = last - last % this.#checkpointEvery;
    for (let number = newest; number > 0; number -= this.#checkpointEvery) {
      const key = checkpointKey(this.at, number);
      const bytes = await this.store.get(key);
      if (bytes) return this.state.restore(key, bytes);
    }
  }
}

/** The highest number that is there, of numbers from `known` + 1 on without a gap; `known` where there is none. */
export async function lastNumber(
  isThere: (number: number) => Promise<boolean>,
  known = 0,
): Promise<number> {
  let [low, step] = [known, 1];
  while (await isThere(low + step)) {
    low += step;
    step *= 2;
  }
  for (let high = low + step; high - low > 1;) {
    const middle = low + Math.floor((high - low) / 2);
    if (await isThere(middle)) low = middle;
    else high = middle;
  }
  return low;
}

/** Partitions that have a commit, ascending, by a listing: of a build whose number of partitions no writer has noted yet. */
export async function partitionsIn(store: ObjectStore, build: string): Promise<readonly number[]> {
  const prefix = `${build}/_log/`;
  const found = new Set<number>();
  for await (const { key } of store.list(prefix)) {
    const match = /^p(\d{5,16})\//.exec(key.slice(prefix.length));
    if (match) found.add(Number(match[1]));
  }
  return [...found].sort((a, b) => a - b);
}

/** So that whoever got no answer knows its own object. */
export function nonce(): string {
  return randomBytes(16).toString("hex");
}
