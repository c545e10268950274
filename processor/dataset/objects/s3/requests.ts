import type { S3Client } from "@aws-sdk/client-s3";
import type { ObjectsConfig } from "../config.ts";
import { ObjectStoreAwayError } from "../object_store.ts";
import { failureOf, type S3Failure, storeError } from "./errors.ts";

/** Requests to one bucket: so many at a time, and what goes wrong with them in words. */
export class S3Requests {
  /** `s3://bucket/prefix`. */
  readonly place: string;
  readonly bucket: { readonly Bucket: string };
  readonly #root: string;
  readonly #places: Places;
  /** Credentials that once were there come again: a role's server may be away for a moment. */
  #hasAnswered = false;

  constructor(
    readonly client: S3Client,
    { bucket, prefix, requestsMax }: Pick<ObjectsConfig, "bucket" | "prefix"> & {
      readonly requestsMax: number;
    },
  ) {
    this.place = `s3://${bucket}${prefix === "" ? "" : `/${prefix}`}`;
    this.bucket = { Bucket: bucket };
    this.#root = prefix === "" ? "" : `${prefix}/`;
    this.#places = new Places(requestsMax);
  }

  /** The bucket's own name of a key, or of a prefix. */
  inBucket(key: string): string {
    return this.#root + key;
  }

  /** A key by the bucket's own name. */
  keyOf(inBucket: string): string {
    return inBucket.slice(this.#root.length);
  }

  named(key: string): string {
    return `"${key}" in ${this.place}`;
  }

  /** Runs one request in its turn; `doing` such as `list "a/" in s3://bucket`. The SDK's error is the cause of what is thrown. */
  async ask<T>(doing: string, request: (client: S3Client) => Promise<T>): Promise<T> {
    await this.#places.enter();
    try {
      const answer = await request(this.client);
      this.#hasAnswered = true;
      return answer;
    } catch (error) {
      const said = storeError(error, doing);
      if (this.#hasAnswered && failureOf(error).name === "CredentialsProviderError") {
        throw new ObjectStoreAwayError(said.message, { cause: error });
      }
      throw said;
    } finally {
      this.#places.leave();
    }
  }

  /** A listing to its end; `markerOf` says where a page's next one begins. */
  async *pages<Page extends { readonly IsTruncated?: boolean | undefined }, Marker extends object>(
    doing: string,
    { page: askPage, markerOf }: {
      readonly page: (client: S3Client, marker: Marker | undefined) => Promise<Page>;
      readonly markerOf: (page: Page) => Marker;
    },
  ): AsyncGenerator<Page> {
    let marker: Marker | undefined;
    for (;;) {
      const page = await this.ask(doing, (client) => askPage(client, marker));
      yield page;
      if (page.IsTruncated !== true) return;
      marker = markerOf(page);
      if (Object.values(marker)[0] !== undefined) continue;
      throw new ObjectStoreAwayError(
        `Cannot ${doing}: the server says that there is more, and not where. Where it stays so, take another server.`,
      );
    }
  }
}

/** For `catch`: another answer where the server's failure is of that kind, else the error again. */
export function orWhere<T>(matches: (failure: S3Failure) => boolean, otherwise: T) {
  return (error: Error): T => {
    if (matches(failureOf(error.cause))) return otherwise;
    throw error;
  };
}

/** So many at a time, the others in the order in which they came. */
class Places {
  readonly #waiting: (() => void)[] = [];
  constructor(private free: number) {}

  async enter(): Promise<void> {
    if (this.free > 0) this.free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.free++;
    else next();
  }
}
