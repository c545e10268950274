import type { WindowEntries } from "../core/dedup_window.ts";
import { decodeWindow, encodeWindow } from "../core/window_encoding.ts";
import { PRIVATE, readIfThere } from "../../../runtime/durable_file.ts";

/**
 * Replaces the cached window by a rename without fsync: after a crash it may be missing or old, and the log is read.
 */
export function saveWindowCache(path: string, window: Parameters<typeof encodeWindow>[0]): void {
  const temporary = `${path}.tmp`;
  Deno.writeFileSync(temporary, encodeWindow(window), PRIVATE);
  Deno.renameSync(temporary, path);
}

/** The cached window, or null where it is missing, damaged or of another size. */
export function loadWindowCache(
  path: string,
  size: number,
): (WindowEntries & { readonly nextOffset: number }) | null {
  const bytes = readIfThere(path);
  return bytes && decodeWindow(bytes, size);
}
