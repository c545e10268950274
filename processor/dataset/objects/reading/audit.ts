import {
  checkpointKey,
  type Commit,
  commitKey,
  encodeJson,
  logPrefix,
  parseCommit,
} from "../../core/commit.ts";
import { CommitState } from "../../core/commit_state.ts";
import { DatasetStateError } from "../../core/state_error.ts";
import { type Audit, DatasetReplacedError, inOrder } from "../../reading/reader.ts";
import { entriesIn } from "../../reading/snapshot.ts";
import { partitionsIn } from "../commit_log.ts";
import type { ObjectStore } from "../object_store.ts";
import { asReadError, type Following, type SeenBuild } from "./followed.ts";

/** Commits that are read at once. */
const READS_MAX = 32;

type Find = (file: string, finding: string) => void;

/**
 * Whether every commit of a build follows from those before it, from the first on and without a gap, whether every
 * checkpoint is what they come to, and what lies beside that no commit names.
 */
export async function auditObjects(
  current: Following,
  build: string,
): Promise<{ readonly audit: Audit; readonly seen: SeenBuild }> {
  const { store } = current;
  const findings: { file: string; finding: string }[] = [];
  const find: Find = (file, finding) => void findings.push({ file, finding });
  try {
    // Before the commits: a writer puts an object there before a commit names it.
    const lying = await sizesBelow(store, { build, below: "event=" });
    await current.refresh();
    const seen = current.seen;
    if (seen?.build !== build) throw new DatasetReplacedError();
    // Listed too: one whose first commit is missing looks as if nobody had written there yet.
    for (const partition of new Set([...seen.partitions.keys(), ...await partitionsIn(store, build)])) {
      await auditCommits(store, { at: { build, partition }, find });
    }
    const sound = [...seen.partitions.values()].filter(({ damage }) => damage === null);
    const named = new Set(sound.flatMap(({ snapshot }) => Object.keys(entriesIn(snapshot))));
    const beside = [...lying].filter(([file]) => !named.has(file)).map(([file, bytes]) => ({ file, bytes }));
    return { audit: { paths: inOrder([...named]), findings, beside }, seen };
  } catch (error) {
    throw asReadError(error, current.place);
  }
}

async function auditCommits(
  store: ObjectStore,
  { at, find }: { readonly at: { readonly build: string; readonly partition: number }; readonly find: Find },
): Promise<void> {
  const prefix = logPrefix(at.build, at.partition);
  const listed = [
    ...(await sizesBelow(store, { build: at.build, below: prefix.slice(at.build.length + 1) })).keys(),
  ];
  const name = (key: string) => key.slice(at.build.length + 1);
  const checkpoints = new Set(listed.filter((path) => path.endsWith(".checkpoint.json")));
  const last = Math.max(
    0,
    ...listed.map((path) => Number(/\/(\d{20})(?:\.checkpoint)?\.json$/.exec(path)?.[1] ?? 0)),
  );
  const state = new CommitState(0);
  for (let from = 1; from <= last; from += READS_MAX) {
    const numbers = Array.from({ length: Math.min(READS_MAX, last - from + 1) }, (_, i) => from + i);
    const read = await Promise.all(numbers.map((number) => store.get(commitKey(at, number))));
    for (const [i, bytes] of read.entries()) {
      const key = commitKey(at, numbers[i]!);
      if (bytes === null) {
        return find(
          name(key),
          `is missing, and there is a commit ${last}: what follows is not known to anybody`,
        );
      }
      try {
        const commit: Commit = parseCommit(key, bytes);
        state.apply(commit, key);
      } catch (error) {
        if (!(error instanceof DatasetStateError)) throw error;
        return find(name(key), error.message);
      }
      const checkpoint = checkpointKey(at, numbers[i]!);
      if (checkpoints.has(name(checkpoint))) {
        await auditCheckpoint(store, { key: checkpoint, state, find, name });
      }
    }
  }
}

/** Who reads on from it has to come to the same as who reads all commits. */
async function auditCheckpoint(
  store: ObjectStore,
  { key, state, find, name }: {
    readonly key: string;
    readonly state: CommitState;
    readonly find: Find;
    readonly name: (key: string) => string;
  },
): Promise<void> {
  const bytes = await store.get(key);
  if (bytes === null) return;
  try {
    const kept = new CommitState(0);
    kept.restore(key, bytes);
    if (textOf(kept) !== textOf(state)) find(name(key), "is not what the commits up to it come to");
  } catch (error) {
    if (!(error instanceof DatasetStateError)) throw error;
    find(name(key), error.message);
  }
}

function textOf(state: CommitState): string {
  return new TextDecoder().decode(encodeJson(state.toCheckpoint()));
}

/** Sizes by path below the build. */
async function sizesBelow(
  store: ObjectStore,
  { build, below }: { readonly build: string; readonly below: string },
): Promise<ReadonlyMap<string, number>> {
  const found = new Map<string, number>();
  for await (const { key, bytes } of store.list(`${build}/${below}`)) {
    found.set(key.slice(build.length + 1), bytes);
  }
  return new Map([...found].sort(([a], [b]) => a < b ? -1 : 1));
}
