import { isScrubbed } from "../../contract/dead_letter.ts";
import { isObject, type PosthogEnvelope, readEnvelope, readLabel } from "../../contract/envelope.ts";
import type { KeyedHashes } from "../../contract/keyed_hash.ts";
import { WEBHOOKS_TOPIC } from "../../contract/names.ts";
import { PERSON_PREFIX, subjectsOf } from "../../processor/record/erasure.ts";
import { readAddress } from "../../processor/offers/mod.ts";
import { remembering } from "../../runtime/remember.ts";
import type { TopicLog, TopicRecord } from "../../topic/topic.ts";
import { type Needle, NeedleFinder, needlesOfName, needlesOfPrompt } from "./needles.ts";

/** Who is erased, as keyed hashes, and how their records are told from others'. */
export type Erased = {
  /** Every joined subject, sorted. */
  readonly subjects: readonly string[];
  /** True for a distinct_id, as it came or as a line has it. */
  isTheirs(distinctId: string): boolean;
  /** True for PostHog's person.id. */
  isTheirPersonId(personId: string): boolean;
};

/** Keyed hashes that are kept: the records of a person come close together. */
const REMEMBERED_MAX = 100_000;

/** How records of these subjects are known, with answers remembered for the distinct_ids seen last. */
export function erasedBy(subjects: readonly string[], hashes: KeyedHashes): Erased {
  const gone = new Set(subjects);
  return {
    subjects,
    isTheirs: remembering(
      (distinctId) => subjectsOf(distinctId, hashes.subject).some((one) => gone.has(one)),
      { entriesMax: REMEMBERED_MAX },
    ),
    isTheirPersonId: (personId) => gone.has(hashes.personSubject(personId)),
  };
}

/**
 * Whose a record of the raw topic, or the letter of one, is: `theirs`, with the event where it can be read; `nobodys`
 * where it is no event, so that only its bytes could say it; null for everybody else's, and for our own.
 */
export type Ownership =
  | { readonly is: "theirs"; readonly envelope: PosthogEnvelope | null }
  | { readonly is: "nobodys" }
  | null;

type Readable = Pick<TopicRecord, "key" | "value" | "headers">;

const decoder = new TextDecoder();

/** Whose a record is; its value is parsed only where its key cannot say it. */
export function ownershipOf(record: Readable, erased: Erased): Ownership {
  const label = readLabel(record.headers);
  if (isScrubbed(record) || label.source === "unsubscribe" || label.source === "erase") return null;
  const byKey = record.key !== null && erased.isTheirs(decoder.decode(record.key));
  // Where ingest names the event, the key is the distinct_id: nothing has to be parsed to pass over everybody else.
  if (!byKey && label.event !== undefined && record.key !== null) return null;
  const outcome = readEnvelope(record.value);
  if (outcome.ok && erased.isTheirs(outcome.envelope.distinctId)) {
    return { is: "theirs", envelope: outcome.envelope };
  }
  if (byKey) return { is: "theirs", envelope: null };
  return outcome.ok ? null : { is: "nobodys" };
}

/** By whom and by what records and files are judged. */
export type Judging = {
  readonly erased: Erased;
  /** Finds ids and addresses in what is no event. */
  readonly finder: NeedleFinder;
};

/** True for a record of theirs, and for one of nobody's in whose bytes they are named. */
export function isTheirRecord(record: Readable, { erased, finder }: Judging): boolean {
  const ownership = ownershipOf(record, erased);
  return ownership?.is === "nobodys" ? namesThem(record.value, finder) : ownership !== null;
}

/** True where one of their ids or addresses stands in these bytes. */
export function namesThem(bytes: Uint8Array, finder: NeedleFinder): boolean {
  return finder.holds(bytes, ["id", "address"]);
}

/** What the raw topic says of the erased: plain, kept in memory only. */
export type PersonalData = {
  /** distinct_ids and PostHog's person.ids. */
  readonly ids: readonly string[];
  readonly addresses: readonly string[];
  readonly prompts: readonly string[];
  /** Records of theirs. */
  readonly records: number;
};

/** Prompts that are looked for at most, the newest. */
const PROMPTS_MAX = 20_000;

/** Reads the whole raw topic. `given` is what the command was called with. */
export async function readPersonalData(
  log: TopicLog,
  { erased, given }: { readonly erased: Erased; readonly given: string },
): Promise<PersonalData> {
  const ids = new Set(isPseudonym(given) ? [] : [given]);
  const addresses = new Set<string>();
  const prompts = new Set<string>();
  let records = 0;
  for await (const record of everyRecord(log, WEBHOOKS_TOPIC)) {
    const ownership = ownershipOf(record, erased);
    if (ownership?.is !== "theirs") continue;
    records++;
    if (ownership.envelope === null) continue;
    noteIds(ownership.envelope, { erased, ids });
    for (const address of addressesIn(ownership.envelope)) addresses.add(address);
    const { input_prompt: prompt } = ownership.envelope.properties;
    if (typeof prompt === "string") prompts.add(prompt);
  }
  for (const id of ids) for (const address of spellings(id)) addresses.add(address);
  return { ids: [...ids], addresses: [...addresses], prompts: [...prompts].slice(-PROMPTS_MAX), records };
}

/** It stands for a subject beside its own. */
function isPseudonym(given: string): boolean {
  return subjectsOf(given, (distinctId) => distinctId).length > 1;
}

function noteIds(
  { distinctId, properties, person }: PosthogEnvelope,
  { erased, ids }: { readonly erased: Erased; readonly ids: Set<string> },
): void {
  ids.add(distinctId);
  for (const other of [properties.$anon_distinct_id, properties.alias]) {
    if (typeof other === "string" && erased.isTheirs(other)) ids.add(other);
  }
  if (person.id !== null && erased.isTheirPersonId(person.id)) ids.add(person.id);
}

function addressesIn({ properties, person }: PosthogEnvelope): string[] {
  const sources = [person.properties, properties.$set, properties.$set_once].filter(isObject);
  return sources.flatMap(({ email }) => typeof email === "string" ? spellings(email) : []);
}

/** An address as it was written, as mail is addressed to it, and as it is compared; none where it is no address. */
function spellings(text: string): string[] {
  const address = readAddress(text);
  if (address === null) return [];
  return [text.trim(), text.trim().toLowerCase(), address.deliverable, address.normalised];
}

/** What is looked for on the disk: ids, also as lines have them, addresses, and the prompts that nobody else wrote. */
export function needlesOf(data: PersonalData, { subjects }: Erased): Needle[] {
  return [
    ...data.ids.filter((id) => id !== "").flatMap((id) => needlesOfName(id, "id")),
    ...subjects.flatMap((subject) => needlesOfName(`${PERSON_PREFIX}${subject}`, "id")),
    ...data.addresses.flatMap((address) => needlesOfName(address, "address")),
    ...data.prompts.flatMap(needlesOfPrompt),
  ];
}

/** The same data without prompts that stand in other people's records too: finding those would say nothing. */
export async function withoutSharedPrompts(
  log: TopicLog,
  { data, erased }: { readonly data: PersonalData; readonly erased: Erased },
): Promise<PersonalData> {
  const needles = data.prompts.flatMap((prompt) =>
    needlesOfPrompt(prompt).map((needle) => ({ needle, prompt }))
  );
  if (needles.length === 0) return data;
  const finder = new NeedleFinder(needles.map(({ needle }) => needle));
  const shared = new Set<string>();
  for await (const record of everyRecord(log, WEBHOOKS_TOPIC)) {
    if (ownershipOf(record, erased)?.is === "theirs") continue;
    for (const { needle } of finder.find(record.value)) shared.add(needles[needle]!.prompt);
  }
  return { ...data, prompts: data.prompts.filter((prompt) => !shared.has(prompt)) };
}

/** Every record that a topic holds at this moment, partition by partition. */
export async function* everyRecord(log: TopicLog, topic: string): AsyncGenerator<TopicRecord> {
  for (const { partition, startOffset, endOffset } of await log.bounds(topic)) {
    const range = { partition, from: startOffset, until: endOffset };
    for await (const { records } of log.read(topic, range)) yield* records;
  }
}
