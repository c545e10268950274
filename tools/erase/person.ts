import { editedIn, isScrubbed } from "../../contract/dead_letter.ts";
import {
  isErasure,
  isObject,
  type PosthogEnvelope,
  readEnvelope,
  readLabel,
} from "../../contract/envelope.ts";
import type { KeyedHashes } from "../../contract/keyed_hash.ts";
import { WEBHOOKS_TOPIC } from "../../contract/names.ts";
import { PERSON_PREFIX, readErasure, subjectsOf } from "../../processor/record/erasure.ts";
import { eventTime } from "../../processor/record/event_time.ts";
import { readAddress } from "../../processor/offers/mod.ts";
import { remembering } from "../../runtime/remember.ts";
import type { ReadOptions, TopicLog, TopicRecord, UnreadableRecords } from "../../topic/topic.ts";
import { Finder, type Wanted } from "./finder.ts";
import { needlesOfName, needlesOfPrompt } from "./needles.ts";

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
  // Where ingest names the event, the key is the distinct_id: nothing has to be parsed to pass over everybody else. An
  // edited copy keeps its source's key, whoever it names now.
  const keyNames = label.event !== undefined && record.key !== null && editedIn(record.headers) === null;
  if (!byKey && keyNames) return null;
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
  readonly finder: Finder;
};

/** True for a record of theirs, and for one of nobody's in whose bytes they are named. */
export function isTheirRecord(record: Readable, { erased, finder }: Judging): boolean {
  const ownership = ownershipOf(record, erased);
  return ownership?.is === "nobodys" ? recordNamesThem(record, finder) : ownership !== null;
}

/** True where they are named in a record's value, key or headers: what another program published may be anywhere. */
export function recordNamesThem({ key, value, headers }: Readable, finder: Finder): boolean {
  return namesThem(value, finder) || key !== null && namesThem(key, finder) ||
    namesThem(new TextEncoder().encode(JSON.stringify(headers)), finder);
}

/** True where one of their ids or addresses stands in these bytes. */
export function namesThem(bytes: Uint8Array, finder: Finder): boolean {
  return finder.holds(bytes, ["id", "address"]);
}

/** What the raw topic says of the erased: plain, kept in memory only. */
export type PersonalData = {
  /** distinct_ids and PostHog's person.ids. */
  readonly ids: readonly string[];
  /** As `readAddress` normalises them, so that every spelling is found. */
  readonly mailboxes: readonly string[];
  /** What came as an address and is none that mail could be sent to; looked for as it was written. */
  readonly addresses: readonly string[];
  readonly prompts: readonly string[];
  /** Records of theirs. */
  readonly records: number;
  /** Those of them that an erasure from before has not made go. */
  readonly newRecords: number;
  /** When they were last erased before, in milliseconds since 1970; null where the topic knows of no time. */
  readonly erasedBefore: number | null;
  /** Places of the topic that cannot be read: whose they are is not known. */
  readonly notRead: readonly NotReadPlace[];
};

export type NotReadPlace = Pick<UnreadableRecords, "partition" | "offset" | "nextOffset">;

/** Prompts that are looked for at most, the newest. */
const PROMPTS_MAX = 20_000;

/**
 * Reads the whole raw topic.
 *
 * @param options.given What the command was called with.
 * @param options.below Offset of this erasure's own record by partition: what lies behind it is no earlier erasure.
 */
export async function readPersonalData(
  log: TopicLog,
  { erased, given, below = () => Infinity }: {
    readonly erased: Erased;
    readonly given: string;
    readonly below?: (partition: number) => number;
  },
): Promise<PersonalData> {
  const ids = new Set(namesSubject(given) ? [] : [given]);
  const texts = new Set<string>();
  const prompts = new Set<string>();
  const erasures = new EarlierErasures(erased);
  let records = 0;
  const notRead: UnreadableRecords[] = [];
  for await (const record of everyRecord(log, WEBHOOKS_TOPIC, (records) => notRead.push(records))) {
    if (record.offset < below(record.partition)) erasures.note(record);
    const ownership = ownershipOf(record, erased);
    if (ownership?.is !== "theirs") continue;
    records++;
    erasures.noteTheirs(record, ownership.envelope);
    if (ownership.envelope === null) continue;
    noteIds(ownership.envelope, { erased, ids });
    for (const address of addressesIn(ownership.envelope)) texts.add(address);
    const { input_prompt: prompt } = ownership.envelope.properties;
    if (typeof prompt === "string") prompts.add(prompt);
  }
  const { newRecords, at: erasedBefore } = erasures;
  return {
    ids: [...ids],
    mailboxes: mailboxesIn([...texts, ...ids]),
    addresses: [...texts].filter((text) => readAddress(text) === null && ADDRESS_LIKE.test(text)),
    prompts: [...prompts].slice(-PROMPTS_MAX),
    records,
    newRecords,
    erasedBefore,
    notRead: notRead.map(({ partition, offset, nextOffset }) => ({ partition, offset, nextOffset })),
  };
}

/** Other words in place of an address (`unknown`) would be found everywhere. */
const ADDRESS_LIKE = /[^\s@]@[^\s@]{2}/;

/** Which records of theirs are newer than every erasure before; fed partition by partition, in order. */
class EarlierErasures {
  readonly #subjects: ReadonlySet<string>;
  readonly #new = new Map<number, number>();
  at: number | null = null;

  constructor({ subjects }: Erased) {
    this.#subjects = new Set(subjects);
  }

  get newRecords(): number {
    return [...this.#new.values()].reduce((sum, count) => sum + count, 0);
  }

  note(record: TopicRecord): void {
    if (!isErasure(readLabel(record.headers))) return;
    const erasure = readErasure(record.value);
    if (!erasure?.subjects.some((subject) => this.#subjects.has(subject))) return;
    this.#new.set(record.partition, 0);
    this.at = Math.max(erasure.at, this.at ?? -Infinity);
  }

  noteTheirs({ partition, timestamp }: TopicRecord, envelope: PosthogEnvelope | null): void {
    if (this.at !== null && eventTime(envelope?.timestamp ?? null, timestamp) <= this.at) return;
    this.#new.set(partition, (this.#new.get(partition) ?? 0) + 1);
  }
}

const PSEUDONYM = /^person-((?:p-)?[0-9a-f]{32})$/;

/** The subjects that the command's argument may stand for: a distinct_id, or `person-…` as lines and `--dry-run` have it. */
export function rootsOf(given: string, subject: (distinctId: string) => string): readonly string[] {
  const pseudonym = PSEUDONYM.exec(given)?.[1];
  return pseudonym === undefined ? [subject(given)] : [subject(given), pseudonym];
}

/** It stands for a subject beside its own. */
function namesSubject(given: string): boolean {
  return PSEUDONYM.test(given);
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

/** Addresses that an event gives, as they were written. */
export function addressesIn({ properties, person }: PosthogEnvelope): string[] {
  const sources = [person.properties, properties.$set, properties.$set_once].filter(isObject);
  return sources.flatMap(({ email }) => typeof email === "string" ? [email.trim()] : []);
}

/** The mailboxes of those texts that are addresses, as the pipeline compares them. */
export function mailboxesIn(texts: readonly string[]): string[] {
  return [...new Set(texts.flatMap((text) => readAddress(text)?.normalised ?? []))];
}

/** What is looked for on the disk: ids, also as lines have them, addresses, and the prompts that nobody else wrote. */
export function wantedOf(
  data: Pick<PersonalData, "ids" | "mailboxes" | "addresses" | "prompts">,
  { subjects }: Erased,
): Wanted {
  const needles = [
    ...data.ids.filter((id) => id !== "").flatMap((id) => needlesOfName(id, "id")),
    ...subjects.flatMap((subject) => needlesOfName(`${PERSON_PREFIX}${subject}`, "id")),
    ...data.addresses.flatMap((address) => needlesOfName(address, "address")),
    ...data.prompts.flatMap(needlesOfPrompt),
  ];
  return { needles, mailboxes: data.mailboxes };
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
  const finder = new Finder({ needles: needles.map(({ needle }) => needle), mailboxes: [] });
  const shared = new Set<string>();
  for await (const record of everyRecord(log, WEBHOOKS_TOPIC, () => {})) {
    if (ownershipOf(record, erased)?.is === "theirs") continue;
    for (const { needle } of finder.find(record.value)) shared.add(needles[needle!]!.prompt);
  }
  return { ...data, prompts: data.prompts.filter((prompt) => !shared.has(prompt)) };
}

/** What cannot be read cannot be judged either. */
export type NotRead = (records: UnreadableRecords) => void;

/**
 * Every record that a topic holds at this moment, partition by partition. What cannot be read is passed over and told;
 * without anybody to tell it is an error.
 */
export async function* everyRecord(
  log: TopicLog,
  topic: string,
  notRead?: NotRead,
): AsyncGenerator<TopicRecord> {
  const unreadable: ReadOptions["unreadable"] = notRead && ((records) => {
    notRead(records);
    return Promise.resolve("skip");
  });
  for (const { partition, startOffset, endOffset } of await log.bounds(topic)) {
    const range = { partition, from: startOffset, until: endOffset, ...(unreadable ? { unreadable } : {}) };
    for await (const { records } of log.read(topic, range)) yield* records;
  }
}
