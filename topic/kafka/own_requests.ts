import { Buffer } from "node:buffer";
import { protocolError } from "./client_parts.ts";
import type { ClientCluster } from "./fetcher.ts";

/**
 * Two requests that kafkajs 2.2.4 cannot make, over its own connections: the id of a topic, and a change of single
 * settings. https://kafka.apache.org/protocol describes both.
 */

type Request = {
  readonly apiKey: number;
  readonly apiVersion: number;
  readonly apiName: string;
  readonly body: Buffer;
};
type ControllerBroker = {
  readonly versions: Readonly<Record<number, { readonly minVersion: number; readonly maxVersion: number }>>;
  readonly connectionPool: {
    send(options: { request: object; response: object }): Promise<Buffer>;
  };
};
type AdminCluster = Pick<ClientCluster, "connect" | "disconnect" | "refreshMetadata"> & {
  findControllerBroker(): Promise<ControllerBroker>;
};

const METADATA = 3;
/** The first version that tells a topic's id (KIP-516); flexible, as all from 9 on (KIP-482). */
const METADATA_VERSION = 10;
const INCREMENTAL_ALTER_CONFIGS = 44;
const TOPIC_RESOURCE = 2;
const SET = 0;
const UNSUPPORTED_VERSION = 35;
const NO_ID = Buffer.alloc(16);

/** The id that a topic got as it was made, 32 hex digits; null where the broker gives none. */
export async function topicIdOf(cluster: ClientCluster, topic: string): Promise<string | null> {
  return await atController(cluster, async (broker) => {
    if (!speaks(broker, METADATA, METADATA_VERSION)) return null;
    const name = Buffer.from(topic);
    // Header's tags; one topic by name alone, its tags; no creation, no two lists of rights; tags.
    const body = Buffer.concat([Buffer.from([0, 2]), NO_ID, compact(name), Buffer.from([0, 0, 0, 0, 0])]);
    const request = { apiKey: METADATA, apiVersion: METADATA_VERSION, apiName: "Metadata", body };
    return decodeTopicId(await send(broker, request));
  });
}

/**
 * Sets some of a topic's settings and leaves the others alone, also those that somebody changes meanwhile. Rejects with
 * the type `UNSUPPORTED_VERSION` where the broker is too old to (Kafka before 2.3).
 */
export async function setTopicSettings(
  cluster: ClientCluster,
  topic: string,
  settings: Readonly<Record<string, string>>,
): Promise<void> {
  await atController(cluster, async (broker) => {
    const request = "IncrementalAlterConfigs";
    if (!speaks(broker, INCREMENTAL_ALTER_CONFIGS, 0)) {
      throwWhereRefused(UNSUPPORTED_VERSION, { request, words: "the broker is too old for it" });
    }
    const entries = Object.entries(settings);
    const body = Buffer.concat([
      ...[int32(1), Buffer.from([TOPIC_RESOURCE]), text(topic), int32(entries.length)],
      ...entries.flatMap(([name, value]) => [text(name), Buffer.from([SET]), text(value)]),
      Buffer.from([0]),
    ]);
    const answer = await send(broker, {
      apiKey: INCREMENTAL_ALTER_CONFIGS,
      apiVersion: 0,
      apiName: request,
      body,
    });
    // Throttle time and the number of resources stand before the only resource.
    throwWhereRefused(answer.readInt16BE(8), { request, words: readText(answer, 10) });
  });
}

async function atController<T>(
  cluster: ClientCluster,
  work: (broker: ControllerBroker) => Promise<T>,
): Promise<T> {
  const admin = cluster as unknown as AdminCluster;
  try {
    await admin.connect();
    await admin.refreshMetadata();
    return await work(await admin.findControllerBroker());
  } finally {
    await admin.disconnect().catch(() => {});
  }
}

function speaks({ versions }: ControllerBroker, apiKey: number, version: number): boolean {
  const range = versions[apiKey];
  return range !== undefined && range.minVersion <= version && version <= range.maxVersion;
}

/** The client asks for an encoder's two faces, and hands over what comes behind the correlation id. */
async function send({ connectionPool }: ControllerBroker, { body, ...request }: Request): Promise<Buffer> {
  return await connectionPool.send({
    request: { ...request, encode: () => Promise.resolve({ buf: body, buffer: body }) },
    response: {
      decode: (payload: Buffer) => Promise.resolve({ payload }),
      parse: ({ payload }: { payload: Buffer }) => Promise.resolve(payload),
    },
  });
}

/** Of Metadata's answer, version 10, for one topic. */
function decodeTopicId(answer: Buffer): string | null {
  const read = new Reader(answer);
  read.tags();
  read.skip(4);
  for (let brokers = read.uvarint() - 1; brokers > 0; brokers--) {
    read.skip(4);
    read.string();
    read.skip(4);
    read.string();
    read.tags();
  }
  read.string();
  read.skip(4);
  if (read.uvarint() - 1 < 1) return null;
  const errorCode = answer.readInt16BE(read.at);
  read.skip(2);
  read.string();
  throwWhereRefused(errorCode, { request: "Metadata" });
  const id = answer.subarray(read.at, read.at + 16);
  return id.equals(NO_ID) ? null : id.toString("hex");
}

class Reader {
  at = 0;
  constructor(private readonly bytes: Buffer) {}

  uvarint(): number {
    let value = 0;
    for (let shift = 0;; shift += 7) {
      const byte = this.bytes.readUInt8(this.at++);
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  }

  skip(bytes: number): void {
    this.at += bytes;
  }

  /** Passes over a compact string; one that is null has the length 0. */
  string(): void {
    const length = this.uvarint();
    this.skip(Math.max(0, length - 1));
  }

  /** Passes over tagged fields. */
  tags(): void {
    for (let count = this.uvarint(); count > 0; count--) {
      this.uvarint();
      const length = this.uvarint();
      this.skip(length);
    }
  }
}

/** `words`: the broker's own; null where it has none. */
function throwWhereRefused(
  code: number,
  { request, words = null }: { readonly request: string; readonly words?: string | null },
): void {
  if (code === 0) return;
  const error = protocolError(code, { request });
  if (words !== null) error.message = words;
  throw error;
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  const length = Buffer.alloc(2);
  length.writeInt16BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

function readText(bytes: Buffer, at: number): string | null {
  const length = bytes.readInt16BE(at);
  return length < 0 ? null : bytes.toString("utf8", at + 2, at + 2 + length);
}

/** A topic's name has 249 bytes at most, so its length takes two bytes at most. */
function compact(name: Buffer): Buffer {
  const length = name.length + 1;
  return Buffer.concat([
    Buffer.from(length < 0x80 ? [length] : [(length & 0x7f) | 0x80, length >> 7]),
    name,
  ]);
}
