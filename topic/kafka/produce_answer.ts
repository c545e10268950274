import { inside } from "./client_parts.ts";

/**
 * Produce of version 8 (KIP-467, brokers since Kafka 2.4), which kafkajs 2.2.4 does not speak: it answers in words why a
 * record was refused, and for a timestamp which times the broker takes. Its request is that of version 7, and so is what
 * is made of the answer; `broker_words.ts` keeps the words.
 */

type Decoder = {
  readInt16(): number;
  readInt32(): number;
  readInt64(): { toString(): string };
  readString(): string | null;
  readArray<T>(read: (decoder: Decoder) => T): T[];
};

type Protocol = (args: object) => { readonly request: object; readonly response: object };
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
  produce.versions.push(8);
  produce.protocol = ({ version }) =>
    version !== 8 ? others({ version }) : (args) => {
      const { request, response } = seventh(args);
      return {
        request: Object.assign(request, { apiVersion: 8 }),
        response: { ...response, decode: (bytes: Uint8Array) => Promise.resolve(decode(bytes)) },
      };
    };
}

function decode(bytes: Uint8Array) {
  const Reader = inside("protocol/decoder") as new (bytes: Uint8Array) => Decoder;
  const reader = new Reader(bytes);
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
