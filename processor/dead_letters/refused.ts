import { join } from "node:path";
import type { EnvelopeRecord } from "../../contract/envelope.ts";
import { WEBHOOKS_TOPIC } from "../../contract/names.ts";
import {
  DISMISSED_NAME_END,
  readRefusedFile,
  REFUSED_DIRECTORY,
  REFUSED_NAME_END,
} from "../../contract/refused_webhook.ts";
import { isObject } from "../../contract/envelope.ts";
import {
  ifThere,
  PRIVATE,
  readIfThere,
  removeIfThere,
  replaceFile,
  syncDirectory,
} from "../../runtime/durable_file.ts";
import { RecordRefusedError, type TopicLog } from "../../topic/topic.ts";

/** Webhooks that never came into the topic, because the log refused them: ingest keeps each in a file of DATA_DIR. */

/** One of them, listed beside the letters; its id begins with {@link REFUSED_ID}. */
export type ListedRefused = {
  readonly id: string;
  readonly path: string;
  /** The log's words. */
  readonly reason: string;
  /** Received time, ISO 8601, UTC. */
  readonly firstSeen: string;
  /** An operator has set it aside for good, with these words: listed only where all are asked for. */
  readonly dismissed: { readonly words: string } | null;
};

export const REFUSED_ID = "refused:";

/** Those of a DATA_DIR, in the order in which they came; their records stay on the disk. */
export function refusedWebhooks(dataDir: string): readonly ListedRefused[] {
  const directory = join(dataDir, ...REFUSED_DIRECTORY);
  const names = [...ifThere(() => [...Deno.readDirSync(directory)]) ?? []].map(({ name }) => name)
    .filter((name) => name.endsWith(REFUSED_NAME_END))
    .sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  return names.flatMap((name) => {
    const path = join(directory, name);
    const file = readIfThere(path);
    const refused = file === null ? null : readRefusedFile(file);
    if (refused === null) return [];
    const id = `${REFUSED_ID}${name.slice(0, -REFUSED_NAME_END.length)}`;
    return [{
      id,
      path,
      reason: refused.reason,
      firstSeen: new Date(refused.record.timestamp).toISOString(),
      dismissed: dismissalOf(path),
    }];
  });
}

/** A mark that cannot be read is one without words. */
function dismissalOf(path: string): ListedRefused["dismissed"] {
  const bytes = readIfThere(path + DISMISSED_NAME_END);
  if (bytes === null) return null;
  try {
    const mark: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return { words: isObject(mark) && typeof mark.words === "string" ? mark.words : "" };
  } catch {
    return { words: "" };
  }
}

/** Sets it aside for good, durably: its file stays as it is. */
export async function dismissRefused({ path }: ListedRefused, words: string): Promise<void> {
  const bytes = new TextEncoder().encode(JSON.stringify({ words }) + "\n");
  await replaceFile(path + DISMISSED_NAME_END, bytes, PRIVATE);
}

/** Its record; null where the file has gone. */
export function refusedRecord({ path }: ListedRefused): EnvelopeRecord | null {
  const file = readIfThere(path);
  return file === null ? null : readRefusedFile(file)?.record ?? null;
}

/** Why what was dismissed is not redriven. */
export function dismissedText({ words }: { readonly words: string }): string {
  return words === "" ? "it has been dismissed for good" : `it has been dismissed for good (${words})`;
}

/** As a letter is told outside. It has no place in the topic. */
export function refusedView({ id, reason, firstSeen, dismissed }: ListedRefused) {
  return {
    id,
    reason,
    step: "publish",
    topic: WEBHOOKS_TOPIC,
    partition: null,
    offset: null,
    firstSeen,
    redrives: 0,
    redriven: false,
    ...(dismissed === null ? {} : { dismissed }),
  };
}

/**
 * Publishes it as it would have been, and then takes its file away; between the two a crash leaves a repeat, which its
 * uuid absorbs. Answers why the log still refuses it, else null.
 */
export async function redriveRefused(log: TopicLog, refused: ListedRefused): Promise<string | null> {
  // As it is now: a dismissal may have ended since the list was read.
  const dismissed = dismissalOf(refused.path);
  if (dismissed) return dismissedText(dismissed);
  const record = refusedRecord(refused);
  if (record === null) return "its file has gone";
  try {
    await log.publish(WEBHOOKS_TOPIC, [record]);
  } catch (error) {
    if (error instanceof RecordRefusedError) return error.message;
    throw error;
  }
  removeIfThere(refused.path);
  await syncDirectory(join(refused.path, ".."));
  return null;
}
