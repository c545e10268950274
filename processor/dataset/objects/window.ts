import type { DedupWindow } from "../core/dedup_window.ts";
import { encodeWindow } from "../core/window_encoding.ts";
import { digits, partitionPrefix } from "../core/path.ts";
import type { ObjectStore } from "./object_store.ts";

/**
 * The dedup window beside a partition's log, `<build>/_window/p00003/<next offset>`: a cache, a function of the topic
 * alone, so it does not matter which writer has left it.
 */

type Place = { readonly build: string; readonly partition: number };

/** Copies that stay: one may lie above what its writer has made durable. */
const KEPT = 2;

function prefixOf({ build, partition }: Place): string {
  return `${build}/_window/${partitionPrefix(partition)}/`;
}

/** The bytes of the newest copy at or below the next offset; null where there is none. */
export async function readWindow(
  store: ObjectStore,
  { nextOffset, ...place }: Place & { readonly nextOffset: number },
): Promise<Uint8Array | null> {
  const highest = prefixOf(place) + digits(nextOffset, 20);
  const fitting = (await keysOf(store, place)).filter((key) => key <= highest);
  return fitting.length === 0 ? null : await store.get(fitting.at(-1)!);
}

/** Puts a copy, and removes the older ones but for one. */
export async function writeWindow(
  store: ObjectStore,
  { window, ...place }: Place & { readonly window: DedupWindow },
): Promise<void> {
  const { size, fedTo: nextOffset } = window;
  const bytes = encodeWindow({ size, nextOffset, entries: window.entries() });
  await store.put(prefixOf(place) + digits(nextOffset, 20), bytes);
  const older = (await keysOf(store, place)).slice(0, -KEPT);
  if (older.length > 0) await store.remove(older);
}

async function keysOf(store: ObjectStore, place: Place): Promise<readonly string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefixOf(place))) keys.push(key);
  return keys.sort();
}
