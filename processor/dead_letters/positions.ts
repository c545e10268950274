import {
  deadLetterRecord,
  type DeadLetterStep,
  type LetterSource,
  readDeadLetterEntry,
} from "../../contract/dead_letter.ts";
import { DEAD_LETTER_TOPIC, WEBHOOKS_TOPIC } from "../../contract/names.ts";
import {
  LogSetupError,
  RecordRefusedError,
  type TopicLog,
  type TopicRecord,
  type UnreadableRecords,
} from "../../topic/topic.ts";

/** A record that is set aside, with the words for it. */
export type Letter = { readonly record: TopicRecord; readonly step: DeadLetterStep; readonly reason: string };

/**
 * Which positions of the raw topic have a dead letter. Filled from the dead-letter topic, one record after another and
 * each once; a repeat of a letter adds nothing. What failed is thereby decided once, also if the code is another one
 * afterwards.
 */
export class DeadLetterIndex {
  readonly #offsets = new Map<number, Set<number>>();
  /** What was set aside unread, by partition: an operator's doing each, so they are few. */
  readonly #unread = new Map<number, { readonly offset: number; readonly nextOffset: number }[]>();
  /** Reads up to the topic's end of this moment. */
  readonly catchUp: () => Promise<void>;

  constructor(private readonly log: TopicLog) {
    const end = async () => (await log.bounds(DEAD_LETTER_TOPIC))[0]?.endOffset ?? 0;
    this.catchUp = readsOn(log, { end, apply: (record) => this.#apply(record) });
  }

  has(partition: number, offset: number): boolean {
    return (this.#offsets.get(partition)?.has(offset) ?? false) || this.isPassedOver(partition, offset);
  }

  /** Whether it was set aside unread: it stays so, also if the code can read it by now. */
  isPassedOver(partition: number, offset: number): boolean {
    if (this.#unread.size === 0) return false;
    const ranges = this.#unread.get(partition) ?? [];
    return ranges.some((range) => range.offset <= offset && offset < range.nextOffset);
  }

  /** Whether all of them have been set aside. */
  hasAll({ partition, offset, nextOffset }: Omit<UnreadableRecords, "reason" | "bytes">): boolean {
    const ranges = this.#unread.get(partition) ?? [];
    return (nextOffset === offset + 1 && this.has(partition, offset)) ||
      ranges.some((range) => range.offset <= offset && nextOffset <= range.nextOffset);
  }

  /**
   * For whoever reads the raw topic: passes over what cannot be read where it has been set aside. Asks the topic of dead
   * letters, and reads of it what is new.
   */
  readonly unreadable = async (records: UnreadableRecords): Promise<"skip" | "wait"> => {
    try {
      if (!this.hasAll(records)) await this.catchUp();
    } catch (error) {
      // No topic, no letters.
      if (!(error instanceof LogSetupError)) throw error;
    }
    return this.hasAll(records) ? "skip" : "wait";
  };

  /** Every position of a partition that has a letter. */
  offsets(partition: number): ReadonlySet<number> {
    return this.#offsets.get(partition) ?? new Set();
  }

  /** Publishes the letters and resolves when all are durable. */
  async publish(letters: readonly Letter[]): Promise<void> {
    if (letters.length === 0) return;
    try {
      await this.log.publish(DEAD_LETTER_TOPIC, letters.map(recordOf));
    } catch (error) {
      if (!(error instanceof RecordRefusedError) || error.code !== "record_too_large") throw error;
      await this.#publishSingly(letters);
    }
    for (const { record } of letters) this.#add(record.partition, record.offset);
  }

  /** A foreign record may fill its topic's limit so that no header fits beside it: its letter then goes without bytes. */
  async #publishSingly(letters: readonly Letter[]): Promise<void> {
    for (const letter of letters) {
      try {
        await this.log.publish(DEAD_LETTER_TOPIC, [recordOf(letter)]);
      } catch (error) {
        if (!(error instanceof RecordRefusedError) || error.code !== "record_too_large") throw error;
        const reason = `${letter.reason} (too large for this topic: its bytes are at its source position)`;
        const empty = { ...letter.record, key: null, value: new Uint8Array() };
        await this.log.publish(DEAD_LETTER_TOPIC, [recordOf({ ...letter, record: empty, reason })]);
      }
    }
  }

  #apply(record: TopicRecord): void {
    const entry = readDeadLetterEntry(record);
    const source = entry.is === "letter" ? entry.letter.source : entry.is === "erased" ? entry.source : null;
    if (source?.topic !== WEBHOOKS_TOPIC) return;
    this.#add(source.partition, source.offset);
    if (entry.is === "letter" && entry.letter.unread) this.#addUnread(source, entry.letter.unread.nextOffset);
  }

  #addUnread({ partition, offset }: LetterSource, nextOffset: number): void {
    const ranges = this.#unread.get(partition) ?? [];
    if (ranges.some((range) => range.offset === offset && range.nextOffset === nextOffset)) return;
    this.#unread.set(partition, [...ranges, { offset, nextOffset }]);
  }

  #add(partition: number, offset: number): void {
    let offsets = this.#offsets.get(partition);
    if (!offsets) this.#offsets.set(partition, offsets = new Set());
    offsets.add(offset);
  }
}

/**
 * Applies the dead-letter topic's records, one after another and each once, up to its end at the call. What cannot be
 * read there is passed over like what nobody we know has written: its source is decided anew.
 */
export function readsOn(
  log: TopicLog,
  { end, apply }: { readonly end: () => Promise<number>; readonly apply: (record: TopicRecord) => void },
): () => Promise<void> {
  let from = 0;
  let reading: Promise<void> = Promise.resolve();
  const read = async () => {
    const until = await end();
    if (until <= from) return;
    const range = { partition: 0, from, until, unreadable: () => Promise.resolve("skip" as const) };
    for await (const { records, nextOffset } of log.read(DEAD_LETTER_TOPIC, range)) {
      records.forEach(apply);
      from = nextOffset;
    }
    from = Math.max(from, until);
  };
  return () => reading = reading.catch(() => {}).then(read);
}

function recordOf({ record, step, reason }: Letter) {
  return deadLetterRecord(record, { topic: WEBHOOKS_TOPIC, step, reason });
}
