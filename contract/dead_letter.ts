/**
 * How a dead letter lies in its topic and how it is read back, and the marks that redriving and dismissing
 * leave there.
 *
 * A letter keeps the source record's key, value and timestamp as they were, and its headers beside our own. A letter's
 * id is its own position in the dead-letter topic, `partition:offset`.
 */

/** Which step of the dataset writer could not go on with the record. */
export type DeadLetterStep = "parse" | "sanitise" | "erase";

/** Where the record lies that was set aside. */
export type LetterSource = { readonly topic: string; readonly partition: number; readonly offset: number };

/** A letter as it is read; `headers` are the source's own. */
export type DeadLetter = {
  readonly id: string;
  readonly source: LetterSource;
  /** In words, without anything of the record itself. */
  readonly reason: string;
  readonly step: string;
  /** Received time of the source record, ISO 8601, UTC. */
  readonly firstSeen: string;
  /** How often it had been redriven when it failed. */
  readonly redrives: number;
  readonly headers: Readonly<Record<string, string>>;
  /** What was set aside without having been read; missing for a record that was. */
  readonly unread?: Unread;
};

/** Step and reason of a letter for what could not be read: it has the bytes as they lay in the log, and no record. */
export const READ_STEP = "read";
export const UNREADABLE = "unreadable";

/** What an operator has set aside because it cannot be read. */
export type Unread = {
  /** Source offsets below it and from the letter's source on are passed over. */
  readonly nextOffset: number;
  /** What stood in the way, as the log said it. */
  readonly why: string;
  /** The operator's own. */
  readonly words: string;
};

/** A redrive that began, with the raw partition's end offset of that moment, or one whose copy has been published. */
export type RedriveMark = {
  readonly mark: "begun" | "done";
  /** The letter's id. */
  readonly letter: string;
  /** Of the letter's raw partition, when the redrive began: its copy lies at or above it; null on `done`. */
  readonly endOffset: number | null;
  /** On `done`: somebody had edited the copy. */
  readonly edited?: boolean;
};

/** A letter that an operator has set aside for good. */
export type Dismissal = {
  /** The letter's id. */
  readonly letter: string;
  /** Why, in the operator's words; empty where an erasure has taken them. */
  readonly words: string;
};

/** What a record of the dead-letter topic is; `other` was written by nobody we know and is passed over. */
export type DeadLetterEntry =
  | { readonly is: "letter"; readonly letter: DeadLetter }
  | { readonly is: "redrive"; readonly redrive: RedriveMark }
  | { readonly is: "dismissed"; readonly dismissal: Dismissal }
  /** The letters of this source are gone with their person; the position is still one that has had a letter. */
  | { readonly is: "erased"; readonly source: LetterSource }
  | { readonly is: "scrubbed" }
  | { readonly is: "other" };

/** Event name of a record whose bytes were taken out by an erasure: offset and timestamp are all that is left. */
export const SCRUBBED = "$scrubbed";

type Headers = Readonly<Record<string, string>>;
/** Structurally what the log takes, so that who decides about records knows nothing of it. */
type Content = { readonly key: Uint8Array | null; readonly value: Uint8Array; readonly timestamp: number };
/** Structurally what the log reads. */
export type ReadRecord = Content & {
  readonly headers: Headers;
  readonly partition: number;
  readonly offset: number;
};

const OWN_HEADERS = [
  "reason",
  "step",
  "source-topic",
  "source-partition",
  "source-offset",
  "first-seen",
] as const;

/** The letter of a record, ready to be published; a function of the record and the reason alone, so repeats are equal. */
export function deadLetterRecord(
  record: ReadRecord,
  { topic, reason, step }: { readonly topic: string; readonly reason: string; readonly step: DeadLetterStep },
): Content & { readonly headers: Headers } {
  return {
    key: record.key,
    value: record.value,
    timestamp: record.timestamp,
    headers: {
      ...record.headers,
      reason,
      step,
      ...headersOf({ ...record, topic }),
      "first-seen": isoOf(record.timestamp),
      redrives: record.headers.redrives ?? "0",
    },
  };
}

/** The letter of records that cannot be read; `at` in milliseconds since 1970. */
export function unreadableLetterRecord(
  source: LetterSource,
  { unread, bytes, at }: { readonly unread: Unread; readonly bytes: Uint8Array | null; readonly at: number },
): Content & { readonly headers: Headers } {
  return {
    key: null,
    value: bytes ?? new Uint8Array(),
    timestamp: at,
    headers: {
      reason: UNREADABLE,
      step: READ_STEP,
      ...headersOf(source),
      "source-next-offset": String(unread.nextOffset),
      why: unread.why,
      words: unread.words,
      "first-seen": isoOf(at),
      redrives: "0",
    },
  };
}

/** The mark around a redrive; `at` in milliseconds since 1970. `endOffset` belongs to `begun`. */
export function redriveMarkRecord(redrive: RedriveMark, at: number): Content & { readonly headers: Headers } {
  const headers: Record<string, string> = { redrive: redrive.mark, letter: redrive.letter };
  if (redrive.endOffset !== null) headers["end-offset"] = String(redrive.endOffset);
  if (redrive.edited) headers.edited = "1";
  return { key: null, value: new Uint8Array(), timestamp: at, headers };
}

/** The mark of a letter that was dismissed; `at` in milliseconds since 1970. */
export function dismissalRecord(
  { letter, words }: Dismissal,
  at: number,
): Content & { readonly headers: Headers } {
  return { key: null, value: new Uint8Array(), timestamp: at, headers: { dismissed: letter, words } };
}

/**
 * Takes the letters of a source out of every list, also where a log cannot take their bytes out. It names a position and
 * nobody; that the position has had a letter stays known, so that no replay sets the same record aside again.
 */
export function erasedMarkRecord(source: LetterSource, at: number): Content & { readonly headers: Headers } {
  const headers = { letter: "erased", ...headersOf(source) };
  return { key: null, value: new Uint8Array(), timestamp: at, headers };
}

/** The headers of a letter's redriven copy: the source's own, with one redrive more. */
export function redrivenHeaders(letter: DeadLetter): Headers {
  return { ...letter.headers, redrives: String(letter.redrives + 1) };
}

/**
 * The same of a copy that somebody has edited, marked by the letter's id. It stays a copy of the letter's event (`id`), so
 * that a redelivery of the source is its repeat; `event` is what it calls itself now, null where it says nothing.
 */
export function editedHeaders(
  letter: DeadLetter,
  { id, event }: { readonly id: string; readonly event: string | null },
): Headers {
  const { event: _, ...headers } = redrivenHeaders(letter);
  return { ...headers, id, ...(event === null ? {} : { event }), edited: letter.id };
}

/** The letter in which a record with these headers was edited; null where it came as it is. */
export function editedIn({ edited }: Headers): string | null {
  return edited !== undefined && isLetterId(edited) ? edited : null;
}

/** True for `partition:offset`, as the dead-letter topic names its letters. */
export function isLetterId(text: string): boolean {
  return /^\d{1,9}:\d{1,15}$/.test(text);
}

/** True for a record that an erasure has emptied; every reader passes over it. */
export function isScrubbed(record: { readonly value: Uint8Array; readonly headers: Headers }): boolean {
  return record.headers.event === SCRUBBED && record.value.length === 0 && record.headers.id === undefined;
}

/**
 * Reads a record of the dead-letter topic; never throws. A letter keeps the source record's own headers, without those
 * that set it aside.
 */
export function readDeadLetterEntry(record: ReadRecord): DeadLetterEntry {
  const { headers } = record;
  if (isScrubbed(record)) return { is: "scrubbed" };
  const mark = headers.redrive;
  // A letter has a reason, whatever the headers of its source say.
  if ((mark === "begun" || mark === "done") && headers.reason === undefined) {
    const redrive = { mark, letter: headers.letter ?? "", endOffset: number(headers["end-offset"]) } as const;
    return { is: "redrive", redrive: headers.edited === undefined ? redrive : { ...redrive, edited: true } };
  }
  if (headers.dismissed !== undefined && headers.reason === undefined) {
    return { is: "dismissed", dismissal: { letter: headers.dismissed, words: headers.words ?? "" } };
  }
  const source = readSource(headers);
  if (source && headers.reason === undefined && headers.letter === "erased") return { is: "erased", source };
  if (!source || headers.reason === undefined) return { is: "other" };
  const letter: DeadLetter = {
    id: `${record.partition}:${record.offset}`,
    source,
    reason: headers.reason,
    step: headers.step ?? "",
    firstSeen: headers["first-seen"] ?? isoOf(record.timestamp),
    redrives: number(headers.redrives) ?? 0,
    headers: ownHeaders(headers),
  };
  if (letter.step !== READ_STEP) return { is: "letter", letter };
  const nextOffset = Math.max(number(headers["source-next-offset"]) ?? 0, source.offset + 1);
  const unread = { nextOffset, why: headers.why ?? "", words: headers.words ?? "" };
  // Nobody knows headers of a source that could not be read.
  return { is: "letter", letter: { ...letter, headers: {}, unread } };
}

function headersOf({ topic, partition, offset }: LetterSource) {
  return { "source-topic": topic, "source-partition": String(partition), "source-offset": String(offset) };
}

function readSource(headers: Headers): LetterSource | null {
  const topic = headers["source-topic"];
  const partition = number(headers["source-partition"]);
  const offset = number(headers["source-offset"]);
  return topic === undefined || partition === null || offset === null ? null : { topic, partition, offset };
}

/** A first record carries no `redrives`; the letter's 0 is ours. */
function ownHeaders(headers: Headers): Headers {
  const own: Record<string, string> = { ...headers };
  for (const name of OWN_HEADERS) delete own[name];
  if (own.redrives === "0") delete own.redrives;
  return own;
}

/** A record that another program published may carry any number as its time. */
function isoOf(timestamp: number): string {
  return new Date(Math.abs(timestamp) <= 8.64e15 ? timestamp : 0).toISOString();
}

function number(text: string | undefined): number | null {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : null;
}
