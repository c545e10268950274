import { DatasetReadError } from "../../core/read_error.ts";
import { DatasetStateError } from "../../core/state_error.ts";
import type { CommitObject } from "../../core/commit.ts";
import { type ErasedSubjects, NOBODY } from "../../../record/erasure.ts";
import type { PartitionSnapshot } from "../../reading/snapshot.ts";
import type { DatasetIdentity, FileEntry } from "../../store.ts";
import { CommitLog } from "../commit_log.ts";
import type { ObjectStore } from "../object_store.ts";
import type { KeptLines } from "./kept_lines.ts";

/** What is said of an object; bytes and sha256 are the stored object's. */
export type ObjectEntry = FileEntry & { readonly sha256: string };

export type ObjectEntries = Readonly<Record<string, ObjectEntry>>;

/** One partition at one moment; never changed. */
export type SeenPartition = {
  readonly snapshot: PartitionSnapshot;
  readonly erased: ErasedSubjects;
  /** Its commits cannot be read. */
  readonly damage: DatasetStateError | null;
};

/** The build that is the dataset, at one moment; never changed. */
export type SeenBuild = {
  readonly build: string;
  readonly identity: DatasetIdentity;
  readonly partitions: ReadonlyMap<number, SeenPartition>;
};

/** What a reader asks of whoever follows the commits. */
export type Following = {
  readonly store: ObjectStore;
  /** `s3://bucket/prefix`. */
  readonly place: string;
  readonly lines: KeptLines;
  /** As it was seen last; null where there is no dataset, or nothing was seen yet. */
  readonly seen: SeenBuild | null;
  /** Looks once more, beginning after this call. Throws `DatasetReadError` where the bucket is away. */
  refresh(): Promise<void>;
  close(): void;
};

/** Objects that are kept apart from the others, so that a commit costs what it adds, and not what there is. */
const NEWEST_MAX = 1_000;

/** The commits of one partition, read on at each look. */
export class FollowedPartition {
  readonly #log: CommitLog;
  #sealed: ObjectEntries | null = null;
  #newest: ObjectEntries = {};
  #seen: SeenPartition;

  constructor(
    store: ObjectStore,
    private readonly at: { readonly build: string; readonly partition: number },
  ) {
    this.#log = new CommitLog(store, at);
    const snapshot = { partition: at.partition, manifest: null, sealed: {} };
    this.#seen = { snapshot, erased: NOBODY, damage: null };
  }

  get seen(): SeenPartition {
    return this.#seen;
  }

  /** Takes in what was committed since; the same objects where that is nothing. */
  async readOn(): Promise<void> {
    const before = this.#log.state.number;
    try {
      if (this.#sealed === null) await this.#log.readOn();
      else {
        for (let next = await this.#log.readNext(); next !== null; next = await this.#log.readNext()) {
          if (next.removed.length > 0) this.#sealed = null;
          this.#newest = { ...this.#newest, ...entriesOf(next.added) };
        }
      }
      if (this.#log.state.number === before) return;
      this.#see(null);
    } catch (error) {
      if (!(error instanceof DatasetStateError)) throw error;
      this.#see(error);
    }
  }

  #see(damage: DatasetStateError | null): void {
    const { firstOffset, nextOffset, objects, erased, last, outcomes, received } = this.#log.state;
    if (this.#sealed === null || Object.keys(this.#newest).length > NEWEST_MAX) {
      this.#sealed = entriesOf([...objects.values()]);
      this.#newest = {};
    }
    const manifest = { firstOffset, nextOffset, files: this.#newest, last, outcomes, received };
    this.#seen = {
      snapshot: { partition: this.at.partition, manifest, sealed: this.#sealed },
      erased,
      damage,
    };
  }
}

function entriesOf(objects: readonly CommitObject[]): ObjectEntries {
  return Object.fromEntries(
    objects.map(({ path, bytes, records, sha256, placeholders, sanitiserVersion, figures }) => [
      path,
      { bytes, records, sha256, placeholders, sanitiserVersions: [sanitiserVersion], figures },
    ]),
  );
}

/** The bucket's error as readers have it: nothing tries again by itself here. */
export function asReadError(error: unknown, place: string): unknown {
  const code = (error as { code?: unknown }).code;
  if (code !== "EOBJECTSTORE" && code !== "object_store_setup") return error;
  return new DatasetReadError(`Cannot read the dataset in ${place} now: ${(error as Error).message}`, {
    cause: error,
  });
}
