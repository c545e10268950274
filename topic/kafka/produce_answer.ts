import { CompressionTypes } from "kafkajs";
import { inside } from "./client_parts.ts";
import { type MessageToSend, produceBody, type ProduceRequest } from "./records/produce_request.ts";

/**
 * Produce of version 8 (KIP-467, brokers since Kafka 2.4), which kafkajs 2.2.4 does not speak: it answers in words why a
 * record was refused, and for a timestamp which times the broker takes. Its request is that of version 7, and so is what
 * is made of the answer; `broker_words.ts` keeps the words. What this log sends is written by `records/produce_request.ts`.
 */

type Decoder = {
  readInt16(): number;
  readInt32(): number;
  readInt64(): { toString(): string };
  readString(): string | null;
  readArray<T>(read: (decoder: Decoder) => T): T[];
};

type ReaderClass = new (bytes: Uint8Array) => Decoder;

type Protocol = (
  args: ProduceRequest & { readonly compression: number; readonly transactionalId?: string | null },
) => { readonly request: object; readonly response: object };
type Definition = {
  readonly versions: (string | number)[];
  protocol(wanted: { readonly version: number }): Protocol;
};

/** Teaches the client; once per process. */
export function answerInWords(): void {
  const produce = inside("protocol/requests/produce") as Definition;
  if (produce.versions.some((version) => Number(version) >= 8)) return;
  const seventh = produce.protocol({ version: 7 });
  const others = produce.protocol;
  const Reader = inside("protocol/decoder") as ReaderClass;
  // The client loads the modules of a version anew for each request, which is not free.
  let response: object | null = null;
  produce.versions.push(8);
  produce.protocol = ({ version }) =>
    version !== 8 ? others({ version }) : (args) => {
      const ours = isOurs(args) ? { ...OURS, encode: () => encode(args) } : null;
      if (ours !== null && response !== null) return { request: ours, response };
      const of7 = seventh(args);
      response ??= {
        ...of7.response,
        decode: (bytes: Uint8Array) => Promise.resolve(decode(new Reader(bytes))),
      };
      return { request: ours ?? Object.assign(of7.request, { apiVersion: 8 }), response };
    };
}

const OURS = { apiKey: 0, apiVersion: 8, apiName: "Produce", expectResponse: () => true };

/** Other users of the client in this process may pack otherwise, or within a transaction. */
function isOurs({ acks, compression, transactionalId, topicData }: Parameters<Protocol>[0]): boolean {
  return acks !== 0 && compression === CompressionTypes.ZSTD && !transactionalId &&
    topicData.every(({ partitions }) => partitions.every(({ messages }) => messages.every(isPlain)));
}

function isPlain({ key, value, headers, timestamp }: MessageToSend): boolean {
  if (!(key === null || key instanceof Uint8Array) || !(value === null || value instanceof Uint8Array)) {
    return false;
  }
  for (const name in headers) if (typeof headers[name] !== "string") return false;
  return timestamp !== undefined;
}

function encode(request: ProduceRequest) {
  const body = produceBody(request);
  // The client asks for an encoder's two faces.
  return Promise.resolve({ buf: body, buffer: body });
}

function decode(reader: Decoder) {
  const topics = reader.readArray((at) => ({
    topicName: at.readString(),
    partitions: at.readArray(decodePartition),
  }));
  // As in the client's versions 6 and 7: the broker has waited already, so that the client does.
  return { topics, throttleTime: 0, clientSideThrottleTime: reader.readInt32() };
}

function decodePartition(at: Decoder) {
  const partition = {
    partition: at.readInt32(),
    errorCode: at.readInt16(),
    baseOffset: at.readInt64().toString(),
    logAppendTime: at.readInt64().toString(),
    logStartOffset: at.readInt64().toString(),
  };
  const ofRecords = at.readArray((at) => ({ index: at.readInt32(), errorMessage: at.readString() }));
  const ofAll = at.readString();
  // A record's own words say more than those of its batch.
  return {
    ...partition,
    errorMessage: ofRecords.find(({ errorMessage }) => errorMessage)?.errorMessage ?? ofAll,
  };
}
