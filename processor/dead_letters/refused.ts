import { join } from "node:path";
import type { EnvelopeRecord } from "../../contract/envelope.ts";
import { WEBHOOKS_TOPIC } from "../../contract/names.ts";
import { readRefusedFile, REFUSED_DIRECTORY, REFUSED_NAME_END } from "../../contract/refused_webhook.ts";
import { ifThere, readIfThere, removeIfThere, syncDirectory } from "../../runtime/durable_file.ts";
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
    }];
  });
}

/** Its record; null where the file has gone. */
export function refusedRecord({ path }: ListedRefused): EnvelopeRecord | null {
  const file = readIfThere(path);
  return file === null ? null : readRefusedFile(file)?.record ?? null;
}

/** As a letter is told outside. It has no place in the topic. */
export function refusedView({ id, reason, firstSeen }: ListedRefused) {
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
  };
}

/**
 * Publishes it as it would have been, and then takes its file away; between the two a crash leaves a repeat, which its
 * uuid absorbs. Answers why the log still refuses it, else null.
 */
export async function redriveRefused(log: TopicLog, refused: ListedRefused): Promise<string | null> {
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
