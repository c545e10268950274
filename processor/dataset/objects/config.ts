import type { EnvironmentReader } from "../../../runtime/environment.ts";

/** Where a dataset on object storage lies, and how large its objects get. Credentials are the AWS SDK's to find. */
export type ObjectsConfig = {
  readonly bucket: string;
  /** Without a slash at either end; may be empty. */
  readonly prefix: string;
  /** `AWS_ENDPOINT_URL_S3`, else `AWS_ENDPOINT_URL`; null: AWS itself. */
  readonly endpoint: string | null;
  /** `AWS_REGION`; default us-east-1 where there is an endpoint. */
  readonly region: string | null;
  /** The bucket in the path, not in the host's name (MinIO, most servers beside AWS). */
  readonly forcePathStyle: boolean;
  /** Bytes of lines at which an object ends, before they are packed; default 64 MiB. */
  readonly objectBytes: number;
  /** Milliseconds after its first line at which an object ends; default 30 s. */
  readonly objectAgeMs: number;
  readonly compression: "none" | "gzip" | "zstd";
};

/** Where in which bucket. */
export type ObjectsPlace = Pick<ObjectsConfig, "bucket" | "prefix">;

const OBJECT_BYTES = { default: 64 * 1024 ** 2, min: 4 * 1024, max: 256 * 1024 ** 2 };
const OBJECT_AGE_MS = { default: 30_000, min: 100, max: 3_600_000 };

/** In bytes, of the 1,024 that a key may have: the rest is the dataset's. */
const PREFIX_BYTES_MAX = 400;

/** `s3://bucket/prefix`; a text says what is wrong with it. Source of the names: Amazon S3's "Bucket naming rules". */
export function readObjectsUrl(url: string): ObjectsPlace | string {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(url)?.[1];
  if (scheme !== "s3") {
    const found = scheme === undefined ? "it is no address" : `its scheme is ${scheme}`;
    return `${found}. Expected s3://bucket/prefix; another server than AWS is named by AWS_ENDPOINT_URL`;
  }
  const [bucket = "", ...rest] = url.slice("s3://".length).split("/");
  // Not quoted: a password may stand in it.
  if (bucket.includes("@")) {
    return "it has a login. Credentials belong in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
  }
  if (bucket === "") return "it names no bucket. Expected s3://bucket/prefix";
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket)) {
    return `a bucket cannot be called ${
      JSON.stringify(bucket)
    }. Expected 3 to 63 small letters, digits, "." and "-"`;
  }
  const prefix = rest.join("/").replace(/^\/+|\/+$/g, "");
  if (!/^[A-Za-z0-9!_.*'()=/-]*$/.test(prefix) || /(^|\/)\.{0,2}(\/|$)/.test(prefix) && prefix !== "") {
    return `it has the prefix ${
      JSON.stringify(prefix)
    }. Expected names of letters, digits and !_.*'()=-, with one "/" between`;
  }
  if (prefix.length > PREFIX_BYTES_MAX) {
    return `its prefix is longer than ${PREFIX_BYTES_MAX} characters. Shorten it`;
  }
  return { bucket, prefix };
}

/** DATASET_URL and what goes with it; null where it is unset. Problems are noted in the reader. */
export function readObjectsConfig(env: EnvironmentReader): ObjectsConfig | null {
  const url = env.optional("DATASET_URL");
  if (url === undefined) return null;
  if (env.optional("DATASET_DIR") !== undefined) {
    env.refuse("Cannot use DATASET_URL with DATASET_DIR: a dataset lies in one place. Set one of them.");
  }
  const place = readObjectsUrl(url);
  if (typeof place === "string") env.refuse(`Cannot read DATASET_URL: ${place}.`);
  return objectsConfig(env, typeof place === "string" ? { bucket: "", prefix: "" } : place);
}

/** The same for a place that somebody else has read, such as a command's `--to`. */
export function objectsConfig(env: EnvironmentReader, place: ObjectsPlace): ObjectsConfig {
  const [own, all] = [env.url("AWS_ENDPOINT_URL_S3", ""), env.url("AWS_ENDPOINT_URL", "")];
  const endpoint = [own, all].find((one) => one !== "") ?? null;
  return {
    ...place,
    endpoint,
    region: env.optional("AWS_REGION") ?? (endpoint === null ? null : "us-east-1"),
    forcePathStyle: env.flag("S3_FORCE_PATH_STYLE", false),
    objectBytes: bounded(env, "DATASET_OBJECT_BYTES", {
      ...OBJECT_BYTES,
      value: env.size("DATASET_OBJECT_BYTES", OBJECT_BYTES.default),
      words: "4KiB and 256MiB",
    }),
    objectAgeMs: bounded(env, "DATASET_OBJECT_AGE", {
      ...OBJECT_AGE_MS,
      value: env.duration("DATASET_OBJECT_AGE", OBJECT_AGE_MS.default),
      words: "100ms and 1h",
    }),
    compression: env.oneOf("DATASET_COMPRESSION", ["none", "gzip", "zstd"], "none"),
  };
}

function bounded(
  env: EnvironmentReader,
  name: string,
  { value, min, max, words }: {
    readonly value: number;
    readonly min: number;
    readonly max: number;
    readonly words: string;
  },
): number {
  if (value < min || value > max) env.refuse(`Cannot use ${name}: it has to lie between ${words}.`);
  return value;
}
