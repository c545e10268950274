import * as z from "zod";
import { encodeJson, parseJson } from "../core/commit.ts";
import type { DatasetIdentity } from "../store.ts";
import type { ObjectStore } from "./object_store.ts";
import { createOnce } from "./tree.ts";

/** `_dataset.json`: what the dataset of a prefix is called, whichever build is current. Created once. */
const KEY = "_dataset.json";
const identity = z.object({ id: z.string().min(1), createdAt: z.string(), dedupWindow: z.int().min(1) });

/** Null where it has no name. Throws `DatasetStateError` where that is damaged. */
export async function readObjectsIdentity(store: ObjectStore): Promise<DatasetIdentity | null> {
  const bytes = await store.get(KEY);
  return bytes && parseJson(KEY, { bytes, schema: identity });
}

/** Names the dataset where it has no name; answers the one that stands. */
export async function nameOnce(store: ObjectStore, own: DatasetIdentity): Promise<DatasetIdentity> {
  const bytes = encodeJson({ id: own.id, createdAt: own.createdAt, dedupWindow: own.dedupWindow });
  return parseJson(KEY, { bytes: await createOnce(store, { key: KEY, bytes }), schema: identity });
}
