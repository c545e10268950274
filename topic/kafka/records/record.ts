import type { RecordHeaders, TopicRecord } from "../../topic.ts";
import { ownTimeIn } from "../own_time.ts";
import { ByteReader } from "./byte_reader.ts";

const EMPTY = new Uint8Array(0);
const NO_HEADERS: RecordHeaders = Object.freeze({});

/**
 * A record whose key and value are views of its batch; its own, so that a copy of the record has them. Headers are decoded when
 * they are looked at, and stay with the batch for as long as no other record's are.
 */
export class KafkaRecord implements TopicRecord {
  readonly value: Uint8Array;
  private known: RecordHeaders | null;

  /** Positional, because one is made for every record of a topic. A tombstone's value is empty. */
  constructor(
    readonly partition: number,
    readonly offset: number,
    readonly timestamp: number,
    readonly key: Uint8Array | null,
    value: Uint8Array | null,
    private readonly batch: BatchHeaders | null,
    private readonly headersAt: number,
  ) {
    this.value = value ?? EMPTY;
    this.known = batch === null ? NO_HEADERS : null;
  }

  get headers(): RecordHeaders {
    return this.known ?? this.batch!.at(this.headersAt);
  }

  /** The record as it was published, where one of its headers keeps its own time. */
  asPublished(): KafkaRecord {
    const own = ownTimeIn(this.headers);
    if (own === null) return this;
    const { partition, offset, key, value, batch, headersAt } = this;
    const record = new KafkaRecord(partition, offset, own.timestamp, key, value, batch, headersAt);
    record.known = own.headers;
    return record;
  }
}

/** Decodes the headers of a batch's records, whose lengths have been looked at before. */
export class BatchHeaders {
  /** Texts of the record before, by place: names mostly come again, and many values do. */
  readonly #texts: KnownText[] = [];
  /** Those looked at last, and where they begin. */
  #last: RecordHeaders = NO_HEADERS;
  #lastAt = -1;
  readonly #reader: ByteReader;

  constructor(bytes: Uint8Array) {
    this.#reader = new ByteReader(bytes);
  }

  /** Of one name that comes twice the last counts; one without a value is none. */
  at(at: number): RecordHeaders {
    if (at === this.#lastAt) return this.#last;
    const reader = this.#reader;
    reader.at = at;
    const headers: Record<string, string> = {};
    const count = reader.varint();
    for (let place = 0; place < count; place++) {
      const name = this.#text(reader.varint(), 2 * place);
      const length = reader.varint();
      if (length < 0) delete headers[name];
      else headers[name] = this.#text(length, 2 * place + 1);
    }
    this.#lastAt = at;
    return this.#last = headers;
  }

  #text(length: number, place: number): string {
    const { bytes } = this.#reader;
    const from = this.#reader.skip(length);
    const known = this.#texts[place];
    if (known && known.length === length && isSame(bytes, from, known)) return known.text;
    const text = decoder.decode(bytes.subarray(from, from + length));
    if (place < PLACES_MAX) this.#texts[place] = { from, length, text };
    return text;
  }
}

type KnownText = { readonly from: number; readonly length: number; readonly text: string };
const PLACES_MAX = 32;
const decoder = new TextDecoder();

function isSame(bytes: Uint8Array, at: number, { from, length }: KnownText): boolean {
  // From behind: ids differ there.
  for (let i = length - 1; i >= 0; i--) if (bytes[at + i] !== bytes[from + i]) return false;
  return true;
}
