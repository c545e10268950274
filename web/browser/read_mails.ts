/** Which mails somebody has opened in this browser. */
import { signal } from "@preact/signals";
import { onSeenAgain } from "./now.ts";
import { keptRead, readIdsIn } from "../core/mails.ts";

/** JSON array of message ids, those read last at its end. */
const READ = "pipeline.mail.read";

/** Null until this browser was asked, and on the server. */
export const readMails = signal<ReadonlySet<string> | null>(null);

/** Follows what this and other tabs have opened; returns how to stop. */
export function followRead(): () => void {
  look();
  const onStorage = ({ key }: StorageEvent) => {
    if (key === READ || key === null) look();
  };
  addEventListener("storage", onStorage);
  const stop = onSeenAgain(look);
  return () => {
    removeEventListener("storage", onStorage);
    stop();
  };
}

/** `ids`: the newest mail last, since beyond a bound the first ones are forgotten. */
export function markRead(ids: readonly string[]): void {
  const kept = keptRead(stored(), ids);
  try {
    localStorage.setItem(READ, JSON.stringify(kept));
  } catch {
    // No room, or none allowed: what was read is known until the page is left.
  }
  readMails.value = new Set(kept);
}

function look(): void {
  readMails.value = new Set(stored());
}

function stored(): readonly string[] {
  try {
    return readIdsIn(localStorage.getItem(READ));
  } catch {
    return [...readMails.peek() ?? []];
  }
}
