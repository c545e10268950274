/**
 * The port of object storage: what the dataset asks of a bucket, and nothing else. No object is ever changed; nothing rests
 * on renames, on the order of a listing, on a clock, or on `If-Match`. Keys lie below the dataset's prefix and do not name it.
 */
export interface ObjectStore {
  /** `s3://bucket/prefix`, for people. */
  readonly place: string;
  /**
   * Writes an object under a key that nobody else uses; the same bytes may be put again. They are not looked at any more once
   * it has resolved or rejected: their memory may be given back then.
   */
  put(key: string, bytes: Uint8Array): Promise<void>;
  /**
   * Writes an object where there is none (`If-None-Match: *`). `created` is said of a plain success alone. Anything else,
   * also "there is one", is `unsure`: a client's own retry turns a lost answer into that, so the caller reads the key.
   */
  create(key: string, bytes: Uint8Array): Promise<"created" | "unsure">;
  /** Null where there is none. At most {@link OBJECT_IN_MEMORY_BYTES_MAX}. */
  get(key: string): Promise<Uint8Array | null>;
  /** The object as it is stored, from byte `from` (default 0) to its end; null where there is none. */
  read(
    key: string,
    options?: { readonly from?: number; readonly signal?: AbortSignal },
  ): Promise<ObjectBody | null>;
  /** Everything whose key begins so, in whatever order. */
  list(prefix: string): AsyncIterable<ListedObject>;
  /** Every version of them, where the bucket keeps versions; what is gone already is no error. */
  remove(keys: readonly string[]): Promise<void>;
  /** Ends uploads in parts below a prefix that nobody has finished. */
  abortUploads(prefix: string): Promise<void>;
  close(): void;
}

/** `bytes` is the whole object's size. A block is good until the next one. */
export type ObjectBody = { readonly bytes: number; readonly blocks: AsyncIterable<Uint8Array> };

/** `modifiedAt` in milliseconds since 1970, by the server's clock: only ever compared with another of the same server. */
export type ListedObject = { readonly key: string; readonly bytes: number; readonly modifiedAt: number };

/** Largest object that is read as a whole: commits and checkpoints. */
export const OBJECT_IN_MEMORY_BYTES_MAX = 64 * 1024 * 1024;

/**
 * The bucket cannot be reached, is busy (503 SlowDown) or answers an error of its own; the same may succeed later, and what
 * was in flight may have landed. Its code makes the loops try again with back-off, as after an error of the disk.
 */
export class ObjectStoreAwayError extends Error {
  override name = "ObjectStoreAwayError";
  readonly code = "EOBJECTSTORE";
}

/** What an operator has to mend: credentials, a missing bucket, a server that does not create once. */
export class ObjectStoreSetupError extends Error {
  override name = "ObjectStoreSetupError";
  readonly code = "object_store_setup";
}
