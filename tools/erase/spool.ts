import { join } from "node:path";
import { systemClock } from "../../runtime/clock.ts";
import { noFaultPoint } from "../../runtime/fault_point.ts";
import { WEBHOOKS_TOPIC } from "../../contract/names.ts";
import {
  DISMISSED_NAME_END,
  readRefusedFile,
  REFUSED_DIRECTORY,
  REFUSED_NAME_END,
} from "../../contract/refused_webhook.ts";
import { DEFAULT_LIMITS } from "../../ingest/config.ts";
import { Drainer } from "../../ingest/spool/drainer.ts";
import { Spool } from "../../ingest/spool/spool.ts";
import { tryEnterDataDir } from "../../runtime/data_dir.ts";
import {
  ifThere,
  PRIVATE,
  removeIfThere,
  replaceFileSync,
  syncDirectorySync,
} from "../../runtime/durable_file.ts";
import type { TopicLog } from "../../topic/topic.ts";
import { isTheirRecord, type Judging, namesThem } from "./person.ts";

/** Ingest's spool: webhooks that are on their way into the topic, and those that the topic will never take. */

/** Why webhooks still lie in the spool; null once none do. Where no ingest runs they are published from here. */
export async function spoolBehind(
  log: TopicLog,
  { dataDir, notify }: { readonly dataDir: string; readonly notify: (text: string) => void },
): Promise<string | null> {
  if (!waits(dataDir)) return null;
  const place = tryEnterDataDir(dataDir, "ingest");
  if (place === null) return "ingest has not emptied its spool";
  try {
    await drain(log, { dataDir, notify });
  } finally {
    place.release();
  }
  return null;
}

function waits(dataDir: string): boolean {
  return namesIn(join(dataDir, "spool")).some((name) => name.endsWith(".spool"));
}

async function drain(
  log: TopicLog,
  { dataDir, notify }: { readonly dataDir: string; readonly notify: (text: string) => void },
): Promise<void> {
  const report = (level: string, text: string) => level === "info" ? undefined : notify(text);
  const shared = { faultPoint: noFaultPoint, report };
  const segmentBytes = DEFAULT_LIMITS.spoolSegmentBytes;
  const spool = await Spool.open({
    ...shared,
    directory: join(dataDir, "spool"),
    bytesMax: Infinity,
    segmentBytes,
  });
  const limits = DEFAULT_LIMITS;
  const drainer = new Drainer({ ...shared, log, topic: WEBHOOKS_TOPIC, spool, clock: systemClock, limits });
  drainer.start();
  while (spool.pendingRecords > 0) await systemClock.wait(DRAIN_LOOK_MS);
  await drainer.stop();
  await spool.close();
}

const DRAIN_LOOK_MS = 20;

/**
 * Deletes what {@link refusedOf} finds; answers the paths. What was said when somebody else's was dismissed may name them:
 * it stays dismissed, without words.
 */
export function eraseRefused(dataDir: string, judging: Judging): string[] {
  const theirs = refusedOf(dataDir, judging);
  for (const path of theirs) {
    Deno.removeSync(path);
    removeIfThere(path + DISMISSED_NAME_END);
  }
  for (const path of dismissalsIn(refusedDir(dataDir))) {
    if (!namesThem(Deno.readFileSync(path), judging.finder)) continue;
    replaceFileSync(path, new TextEncoder().encode('{"words":""}\n'), PRIVATE);
  }
  if (theirs.length > 0) syncDirectorySync(refusedDir(dataDir));
  return theirs;
}

/** Webhooks that were set aside for good and are theirs, and damaged pieces that hold them. */
export function refusedOf(dataDir: string, judging: Judging): string[] {
  const directory = refusedDir(dataDir);
  const names = namesIn(directory).filter((name) => !name.endsWith(DISMISSED_NAME_END));
  return names.map((name) => join(directory, name)).filter((path) => {
    const bytes = Deno.readFileSync(path);
    // A file of `Spool.setAside`; one that cannot be read as such is judged by its bytes.
    const record = path.endsWith(REFUSED_NAME_END) ? readRefusedFile(bytes)?.record ?? null : null;
    return record === null ? namesThem(bytes, judging.finder) : isTheirRecord(record, judging);
  });
}

function dismissalsIn(directory: string): string[] {
  return namesIn(directory).filter((name) => name.endsWith(DISMISSED_NAME_END))
    .map((name) => join(directory, name));
}

function refusedDir(dataDir: string): string {
  return join(dataDir, ...REFUSED_DIRECTORY);
}

function namesIn(directory: string): string[] {
  const entries = ifThere(() => [...Deno.readDirSync(directory)]) ?? [];
  return entries.filter(({ isFile }) => isFile).map(({ name }) => name);
}
