import { basename, dirname, join } from "node:path";
import { FACTS_TOPIC } from "../../contract/names.ts";
import {
  ifThere,
  isThere,
  readIfThere,
  removeIfThere,
  syncDirectorySync,
} from "../../runtime/durable_file.ts";
import { mailFileName, mailFiles, removeMails } from "../../processor/offers/mod.ts";
import type { ProcessorConfig } from "../../processor/config.ts";
import { decodeFact } from "../../processor/facts/facts.ts";
import type { TopicLog } from "../../topic/topic.ts";
import { datasetRoot } from "../../processor/dataset/mod.ts";
import { type Erased, everyRecord, type Judging, namesThem } from "./person.ts";

/** What lies under DATA_DIR and is no log: copies of the dataset, and mails. */

/** Deletes every dataset but the live one, and every export; answers the directories. */
export function eraseCopies(config: ProcessorConfig): string[] {
  const copies = copiesOf(config);
  for (const copy of copies) {
    Deno.removeSync(copy, { recursive: true });
    // What an export says of itself.
    removeIfThere(`${copy}.export.json`);
    syncDirectorySync(dirname(copy));
  }
  return copies;
}

/** Directories that the services keep for themselves and that hold no dataset. */
const OWN = ["log", "mail", "spool", "posthog-stand-in"];

/** What {@link eraseCopies} deletes. */
export function copiesOf(config: ProcessorConfig): string[] {
  const { dataDir, datasetDir } = config;
  const live = datasetRoot(datasetDir);
  const locks = `${datasetDir}.locks`;
  const kept = (path: string) => path === locks || live !== null && Deno.realPathSync(path) === live;
  const beside = directoriesIn(dirname(datasetDir)).filter((path) => isBeside(path, config));
  const found = new Set(beside.filter((path) => !kept(path)));
  const walk = (directory: string) => {
    for (const path of directoriesIn(directory)) {
      if (kept(path) || found.has(path) || directory === dataDir && OWN.includes(basename(path))) continue;
      if (isCopy(path)) found.add(path);
      else walk(path);
    }
  };
  walk(dataDir);
  return [...found].sort();
}

/** A build or an `.old` of this dataset, by its name; outside DATA_DIR only what shows that it is one. */
function isBeside(path: string, { dataDir, datasetDir }: ProcessorConfig): boolean {
  const name = basename(path);
  if (!name.startsWith(`${basename(datasetDir)}.`)) return false;
  return dirname(datasetDir) === dataDir || isCopy(path) || BUILD.test(name);
}

const BUILD = /\.\d{8}T\d{6}Z-[0-9a-f]{8}(\.|$)/;

/** A dataset has its manifests, an export its marker (a file, in earlier versions); each comes before its first line. */
function isCopy(path: string): boolean {
  return ["_manifest", "_export", "_export.json"].some((name) => isThere(join(path, name)));
}

function directoriesIn(directory: string): string[] {
  const entries = ifThere(() => [...Deno.readDirSync(directory)]) ?? [];
  return entries.filter(({ isDirectory }) => isDirectory).map(({ name }) => join(directory, name));
}

/**
 * Deletes the `.eml` files of the erased: those whose claims name them, and any other that holds an address or an id of
 * theirs, unless its claim names somebody who is not erased. Each processor has deleted its own by then; this takes what
 * an older one left. Answers the names of files that are left and hold something of theirs: other people's, with whom
 * they share a mailbox.
 */
export async function eraseMails(
  log: TopicLog,
  { dataDir, erased, finder }: Judging & { readonly dataDir: string },
): Promise<readonly string[]> {
  const { theirs, others } = await claimedMessages(log, erased);
  removeMails(dataDir, theirs);
  const kept = new Set(others.map(mailFileName));
  const held = mailFiles(dataDir).filter(({ path }) => namesThem(readIfThere(path) ?? NOTHING, finder));
  const isKept = ({ messageId }: { messageId: string }) => kept.has(`${messageId}.eml`);
  removeMails(dataDir, held.filter((mail) => !isKept(mail)).map(({ messageId }) => messageId));
  return held.filter(isKept).map(({ messageId }) => `${messageId}.eml`);
}

/** A mail that has gone meanwhile. */
const NOTHING = new Uint8Array();

async function claimedMessages(log: TopicLog, { subjects }: Erased) {
  const gone = new Set(subjects);
  const theirs: string[] = [];
  const others: string[] = [];
  const decoder = new TextDecoder();
  for await (const { value } of everyRecord(log, FACTS_TOPIC)) {
    const outcome = decodeFact(decoder.decode(value));
    if (!outcome.ok || outcome.fact.fact !== "claimed") continue;
    (gone.has(outcome.fact.subject) ? theirs : others).push(outcome.fact.messageId);
  }
  return { theirs, others };
}
