import type { RecordHeaders, TopicRecord } from "../../topic.ts";
import { ByteReader } from "./byte_reader.ts";

const EMPTY = new Uint8Array(0);
const NO_HEADERS: RecordHeaders = Object.freeze({});

/** A record whose key and value are views of its batch, and whose headers are decoded when they are first looked at. */
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
    return this.known ??= this.batch!.at(this.headersAt);
  }
}

/** Decodes the headers of a batch's records, whose lengths have been looked at before. */
export class BatchHeaders {
  /** Names of the record before, by place: mostly each record of a batch has the same. */
  readonly #names: { readonly bytes: Uint8Array; readonly text: string }[] = [];

  constructor(private readonly bytes: Uint8Array) {}

  /** Of one name that comes twice the last counts; one without a value is none. */
  at(at: number): RecordHeaders {
    const reader = new ByteReader(this.bytes, at);
    const headers: Record<string, string> = {};
    const count = reader.varint();
    for (let place = 0; place < count; place++) {
      const name = this.#name(reader.take(reader.varint()), place);
      const length = reader.varint();
      if (length < 0) delete headers[name];
      else headers[name] = decoder.decode(reader.take(length));
    }
    return headers;
  }

  #name(bytes: Uint8Array, place: number): string {
    const before = this.#names[place];
    if (before && isSame(before.bytes, bytes)) return before.text;
    const text = decoder.decode(bytes);
    this.#names[place] = { bytes, text };
    return text;
  }
}

const decoder = new TextDecoder();

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
