import { hash } from "node:crypto";
import type { Readable } from "node:stream";
import {
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type PutObjectCommandOutput,
  S3Client,
} from "@aws-sdk/client-s3";
import type { ObjectsConfig } from "../config.ts";
import {
  type ListedObject,
  OBJECT_IN_MEMORY_BYTES_MAX,
  type ObjectBody,
  type ObjectStore,
  ObjectStoreAwayError,
  ObjectStoreSetupError,
} from "../object_store.ts";
import { wholeBlocks } from "./body.ts";
import { failureOf, isAbsent, isNotImplemented, storeError } from "./errors.ts";
import { abortUploads, removeForGood } from "./removal.ts";
import { S3Requests } from "./requests.ts";

/** Bounds of the client. Times in milliseconds. */
export type S3Limits = {
  /** Until there is a connection. */
  readonly connectMsMax: number;
  /** Of one attempt, from its first byte to the answer's head: 64 MiB within it are 9 Mbit/s. */
  readonly requestMsMax: number;
  /** That an answer's body may stand still while it is waited for. */
  readonly bodyIdleMsMax: number;
  /** The SDK's attempts at one request, the first included, with its own growing waits between them. */
  readonly attemptsMax: number;
  /** Requests at a time; the others wait. Bodies that are being read come on top. */
  readonly requestsMax: number;
};

export const S3_LIMITS: S3Limits = {
  connectMsMax: 5_000,
  requestMsMax: 60_000,
  bodyIdleMsMax: 30_000,
  attemptsMax: 4,
  requestsMax: 32,
};

/**
 * A bucket behind S3's interface. Credentials are looked for where the AWS SDK does (environment, shared files, web identity,
 * container, IMDS). Throws `ObjectStoreSetupError` where there are none, or no region; the bucket is not asked yet.
 */
export async function openS3(config: ObjectsConfig, limits: S3Limits = S3_LIMITS): Promise<ObjectStore> {
  const client = new S3Client({
    ...config.endpoint === null ? {} : { endpoint: config.endpoint },
    ...config.region === null ? {} : { region: config.region },
    forcePathStyle: config.forcePathStyle,
    maxAttempts: limits.attemptsMax,
    retryMode: "standard",
    // Beside the sha256 that is signed, servers other than AWS stumble over a checksum in a trailer.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    // It would make a connection of its own for each large object, and wait 6 s where the server does not know it.
    expectContinueHeader: false,
    requestHandler: {
      connectionTimeout: limits.connectMsMax,
      requestTimeout: limits.requestMsMax,
      throwOnRequestTimeout: true,
      // A reader may be slow: only what is waited for is timed, by body.ts.
      socketTimeout: 0,
      // The wait for a free one counts as connecting, so the bound on requests comes first.
      httpAgent: { maxSockets: Infinity },
      httpsAgent: { maxSockets: Infinity },
    },
  });
  const store = new S3Store(client, config, limits);
  try {
    await client.config.region();
    await client.config.credentials();
  } catch (error) {
    store.close();
    throw storeError(error, `open ${store.place}`);
  }
  return store;
}

class S3Store implements ObjectStore {
  readonly place: string;
  readonly #requests: S3Requests;

  constructor(readonly client: S3Client, config: ObjectsConfig, readonly limits: S3Limits) {
    this.#requests = new S3Requests(client, { ...config, requestsMax: limits.requestsMax });
    this.place = this.#requests.place;
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    await this.#put(key, bytes, { doing: `write ${this.#requests.named(key)}` });
  }

  /**
   * With the SDK's own retries, as everything else: whichever attempt is answered with 200, these bytes lie there, and a lost
   * answer comes out as 412 of the next attempt, so `unsure`.
   */
  async create(key: string, bytes: Uint8Array): Promise<"created" | "unsure"> {
    const doing = `create ${this.#requests.named(key)}`;
    try {
      const { $metadata } = await this.#put(key, bytes, { doing, IfNoneMatch: "*" });
      return $metadata.httpStatusCode === 200 ? "created" : "unsure";
    } catch (error) {
      if (!(error instanceof ObjectStoreSetupError)) return "unsure";
      const failure = failureOf(error.cause);
      if (failure.status !== 400 && !isNotImplemented(failure)) throw error;
      throw new ObjectStoreSetupError(
        `Cannot ${doing}: the server answers ${failure.status} ${failure.name} to If-None-Match (${failure.message}). ` +
          "Take one that creates an object only where there is none: docs/configuration.md names them.",
        { cause: error.cause },
      );
    }
  }

  get(key: string): Promise<Uint8Array | null> {
    return this.#get(key, 1);
  }

  async #get(key: string, attempt: number): Promise<Uint8Array | null> {
    const body = await this.read(key);
    if (body === null) return null;
    if (body.bytes > OBJECT_IN_MEMORY_BYTES_MAX) {
      await body.blocks[Symbol.asyncIterator]().return?.();
      throw new ObjectStoreSetupError(
        `Cannot read ${
          this.#requests.named(key)
        }: it has ${body.bytes} bytes, and at most ${OBJECT_IN_MEMORY_BYTES_MAX} ` +
          "are read as a whole. Look who has written it: the dataset has not.",
      );
    }
    const whole = new Uint8Array(body.bytes);
    let at = 0;
    try {
      for await (const block of body.blocks) {
        whole.set(block, at);
        at += block.length;
      }
    } catch (error) {
      // The SDK asks again only where not even the answer's head came.
      if (!(error instanceof ObjectStoreAwayError) || attempt >= this.limits.attemptsMax) throw error;
      return await this.#get(key, attempt + 1);
    }
    return whole;
  }

  /** Its blocks are read, or `signal` is aborted: until then they hold a connection. */
  async read(
    key: string,
    { from = 0, signal }: { readonly from?: number; readonly signal?: AbortSignal } = {},
  ): Promise<ObjectBody | null> {
    const doing = `read ${this.#requests.named(key)}`;
    const at = { ...this.#requests.bucket, Key: this.#requests.inBucket(key) };
    const command = new GetObjectCommand(from === 0 ? at : { ...at, Range: `bytes=${from}-` });
    const options = signal === undefined ? {} : { abortSignal: signal };
    try {
      const { Body, ContentLength, ContentRange } = await this.#requests.ask(
        doing,
        (client) => client.send(command, options),
      );
      const bytes = from === 0 ? ContentLength : Number(/\/(\d+)$/.exec(ContentRange ?? "")?.[1]);
      if (bytes === undefined || Number.isNaN(bytes)) {
        throw new ObjectStoreSetupError(
          `Cannot ${doing}: the server does not say how long it is. Take away what changes answers on their way.`,
        );
      }
      const idleMsMax = this.limits.bodyIdleMsMax;
      const body = Body as unknown as Readable; // Always, by the SDK's handler for Node.
      return { bytes, blocks: wholeBlocks(body, { bytes: bytes - from, doing, idleMsMax, signal }) };
    } catch (error) {
      signal?.throwIfAborted();
      const failure = failureOf((error as Error).cause);
      if (isAbsent(failure)) return null;
      if (failure.status !== 416) throw error;
      // Nothing lies behind its end.
      const { ContentLength } = await this.#requests.ask(
        doing,
        (client) => client.send(new HeadObjectCommand(at)),
      );
      return { bytes: ContentLength!, blocks: nothing() };
    }
  }

  async *list(prefix: string): AsyncIterable<ListedObject> {
    const below = { ...this.#requests.bucket, Prefix: this.#requests.inBucket(prefix) };
    const pages = this.#requests.pages(`list ${this.#requests.named(prefix)}`, {
      page: (client, marker: { ContinuationToken: string | undefined } | undefined) =>
        client.send(new ListObjectsV2Command({ ...below, ...marker })),
      markerOf: (page) => ({ ContinuationToken: page.NextContinuationToken }),
    });
    for await (const { Contents = [] } of pages) {
      for (const { Key, Size, LastModified } of Contents) {
        yield { key: this.#requests.keyOf(Key!), bytes: Size!, modifiedAt: LastModified!.getTime() };
      }
    }
  }

  async remove(keys: readonly string[]): Promise<void> {
    await removeForGood(this.#requests, keys);
  }

  async abortUploads(prefix: string): Promise<void> {
    await abortUploads(this.#requests, prefix);
  }

  close(): void {
    this.client.destroy();
  }

  async #put(
    key: string,
    bytes: Uint8Array,
    { doing, ...condition }: { readonly doing: string; readonly IfNoneMatch?: "*" },
  ): Promise<PutObjectCommandOutput> {
    const command = new PutObjectCommand({
      ...this.#requests.bucket,
      ...condition,
      Key: this.#requests.inBucket(key),
      Body: bytes,
      ContentLength: bytes.length,
    });
    // What is signed; without it each attempt would hash the whole object again.
    const sha256 = hash("sha256", bytes, "hex");
    command.middlewareStack.add(
      (next) => (args) => {
        (args.request as { headers: Record<string, string> }).headers["x-amz-content-sha256"] = sha256;
        return next(args);
      },
      { step: "build", name: "hashedOnce" },
    );
    return await this.#requests.ask(doing, (client) => client.send(command));
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
