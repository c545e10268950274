import { join } from "node:path";
import { isScrubbed } from "../../contract/dead_letter.ts";
import { type PosthogEnvelope, readEnvelope, readLabel } from "../../contract/envelope.ts";
import { WEBHOOKS_TOPIC } from "../../contract/names.ts";
import type { ProcessorConfig } from "../../processor/config.ts";
import { type Bucket, datasetRoot } from "../../processor/dataset/mod.ts";
import { openOfferStatusReader } from "../../processor/offers/mod.ts";
import type { TopicLog } from "../../topic/topic.ts";
import { CommandFailedError, grouped } from "../command.ts";
import { Finder } from "./finder.ts";
import { findLetters } from "./letters.ts";
import { needlesOfName } from "./needles.ts";
import { addressesIn, type Erased, everyRecord, mailboxesIn, readPersonalData, wantedOf } from "./person.ts";
import { searchBucket } from "./builds.ts";
import { searchEverything } from "./search.ts";
import { refusedOf } from "./spool.ts";
import { knownInStandIn } from "./stand_in.ts";

/** Whether anybody of this id was ever seen: an erasure of nobody must not look like one that was done. */

export type SeenOptions = {
  /** What the command was called with, and the subjects that this may stand for. */
  readonly given: string;
  readonly roots: readonly string[];
  readonly erased: Erased;
  readonly config: ProcessorConfig;
  readonly bucket: Bucket | null;
};

/**
 * Throws {@link CommandFailedError} where neither topic, facts, dataset, dead letters nor spool know this id; its words
 * name the ids that may be meant. Who was erased before is known. What is cheap is asked first.
 */
export async function refuseUnseen(log: TopicLog, options: SeenOptions): Promise<void> {
  const { given, roots, erased, config } = options;
  if (viewKnows(roots, config)) return;
  const data = await readPersonalData(log, { erased, given });
  if (data.records > 0 || data.erasedBefore !== null) return;
  if (knownInStandIn(config.dataDir, erased) || await datasetKnows(data.ids, options)) return;
  const meant = await whoIsMeant(log, given);
  if (meant === "joined") return;
  if (meant !== null) throw unseen(given, meant.words);
  const judging = { erased, finder: new Finder(wantedOf(data, erased)) };
  const { sources } = await findLetters(log, { ...judging, below: () => Infinity });
  if (sources.length > 0 || refusedOf(config.dataDir, judging).length > 0) return;
  throw unseen(
    given,
    "neither topic, facts, dataset nor dead letters know it, under this spelling. Take the distinct_id from PostHog or " +
      "from a line of the dataset.",
  );
}

function unseen(given: string, words: string): CommandFailedError {
  return new CommandFailedError(`Cannot erase "${given}": nobody of this id has been seen; ${words}`);
}

function viewKnows(roots: readonly string[], { dataDir, discount }: ProcessorConfig): boolean {
  const view = openOfferStatusReader(dataDir, discount);
  try {
    return view !== null && roots.some((root) => view.hasSeen(root));
  } finally {
    view?.close();
  }
}

/** The raw topic may keep its records for less time than the dataset its lines. */
async function datasetKnows(
  ids: readonly string[],
  { given, erased, config, bucket }: SeenOptions,
): Promise<boolean> {
  const inLines = [...ids, given, ...erased.subjects.map((subject) => `person-${subject}`)];
  if (bucket) {
    const wanted = { needles: inLines.flatMap((id) => needlesOfName(id, "id")), mailboxes: [] };
    const { found } = await searchBucket(bucket, {
      finder: new Finder(wanted),
      ids: inLines,
      until: Infinity,
    });
    return found.id > 0;
  }
  const root = datasetRoot(config.datasetDir);
  if (root === null) return false;
  const { files } = await searchEverything({
    roots: [root],
    wanted: { needles: inLines.flatMap((id) => needlesOfName(id, "id")), mailboxes: [] },
    dataset: { root, ids: inLines, until: Number.MAX_SAFE_INTEGER },
  });
  return files.some(({ path, found }) => path.startsWith(join(root, "event=")) && found.id > 0);
}

/** Ids that a message names at most. */
const NAMED_MAX = 20;

/**
 * In words: whose address or person.id this is, or whose id but for upper and lower case; `joined` where somebody's event
 * says that it is another id of theirs, which the offers may not have handled yet; null where it is nobody's.
 */
async function whoIsMeant(
  log: TopicLog,
  given: string,
): Promise<{ readonly words: string } | "joined" | null> {
  const [mailbox] = mailboxesIn([given]);
  const [byAddress, byPersonId, byCase] = [new Set<string>(), new Set<string>(), new Set<string>()];
  for await (const record of everyRecord(log, WEBHOOKS_TOPIC, () => {})) {
    const envelope = eventIn(record);
    if (envelope === null) continue;
    const { distinctId, person, properties } = envelope;
    if (properties.$anon_distinct_id === given || properties.alias === given) return "joined";
    const addresses = [...addressesIn(envelope), distinctId];
    if (mailbox !== undefined && mailboxesIn(addresses).includes(mailbox)) byAddress.add(distinctId);
    if (person.id === given) byPersonId.add(distinctId);
    if (folded(distinctId) === folded(given)) byCase.add(distinctId);
  }
  if (byAddress.size > 0) return { words: `it is an address of ${named(byAddress)}` };
  if (byPersonId.size > 0) return { words: `it is the person.id of ${named(byPersonId)}` };
  return byCase.size > 0 ? { words: `there is ${named(byCase)}` } : null;
}

function eventIn(record: Parameters<typeof isScrubbed>[0]): PosthogEnvelope | null {
  const { source } = readLabel(record.headers);
  if (isScrubbed(record) || source === "unsubscribe" || source === "erase") return null;
  const outcome = readEnvelope(record.value);
  return outcome.ok ? outcome.envelope : null;
}

function folded(id: string): string {
  return id.normalize("NFKC").trim().toLowerCase();
}

function named(ids: ReadonlySet<string>): string {
  const quoted = [...ids].sort().slice(0, NAMED_MAX).map((id) => `"${id}"`);
  const more = ids.size > NAMED_MAX ? [`${grouped(ids.size - NAMED_MAX)} more`] : [];
  const all = [...quoted, ...more];
  const list = all.length === 1 ? all[0] : `${all.slice(0, -1).join(", ")} and ${all.at(-1)}`;
  return `${list}. Erase by ${all.length === 1 ? "that id" : "one of these ids"}.`;
}
