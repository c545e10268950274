import { ObjectStoreAwayError, ObjectStoreSetupError } from "../object_store.ts";

/** What of an error of the SDK decides: its name is the server's code, or the SDK's own word. */
export type S3Failure = {
  readonly name: string;
  readonly message: string;
  /** Null where no answer came. */
  readonly status: number | null;
};

/** Reads whatever the SDK has thrown. */
export function failureOf(error: unknown): S3Failure {
  const { name = "Error", message = String(error), code, $metadata } = (error ?? {}) as {
    name?: string;
    message?: string;
    code?: string;
    $metadata?: { httpStatusCode?: number };
  };
  const status = $metadata?.httpStatusCode ?? null;
  return { name: status === null && code !== undefined ? code : name, message, status };
}

/** There is no such object, or none any more. */
export function isAbsent({ name, status }: S3Failure): boolean {
  return name === "NoSuchKey" || (status === 404 && name !== "NoSuchBucket");
}

/** What the request needed is not there in this server. */
export function isNotImplemented({ name, status }: S3Failure): boolean {
  return name === "NotImplemented" || status === 501 || status === 405;
}

/** Codes that come with 400 and mean the connection, not the request. Source: "Error responses", Amazon S3's API reference. */
const CUT_400 = new Set(["RequestTimeout", "IncompleteBody", "BadDigest", "XAmzContentSHA256Mismatch"]);

/** Answers with a status below 500 that another attempt may find otherwise: somebody else is at the key, or it was too much. */
const BUSY = new Set([408, 409, 412, 429]);

type Row = readonly [matches: (failure: S3Failure) => boolean, toDo: string];

/** What an operator mends: the first row that matches. Everything else may pass by itself. */
const TO_MEND: readonly Row[] = [
  [
    ({ name }) => name === "NotCapable",
    "Start it by its task, or with the permissions that deno.json gives it.",
  ],
  [
    ({ name, message }) => /Credentials|TokenProvider/.test(name) || /credential/i.test(message),
    "Give the process credentials where the AWS SDK looks: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile in " +
    "~/.aws, or the role of its pod, container or machine.",
  ],
  [({ name }) => name === "NoSuchBucket", "Make the bucket, or correct DATASET_URL."],
  [
    ({ name, status, message }) =>
      status === 301 || /Redirect|Location|AuthorizationHeaderMalformed/.test(name) ||
      /^region is missing/i.test(message),
    "Set AWS_REGION to the region in which the bucket lies.",
  ],
  [
    ({ status, message }) => status === null && /certificate|UnknownIssuer/i.test(message),
    "Correct AWS_ENDPOINT_URL, or name the authority that signed the server's certificate in DENO_CERT.",
  ],
  [({ status, message }) => status === null && /invalid url/i.test(message), "Correct AWS_ENDPOINT_URL."],
  [
    ({ status }) => status === 401 || status === 403,
    "Check the credentials, and that they may list the bucket, and get, put and delete what lies below the prefix (with its " +
    "versions, where the bucket keeps them).",
  ],
  [isNotImplemented, "Take a server that does what the dataset asks for: docs/configuration.md names them."],
  [
    ({ name, status }) =>
      status !== null && status >= 300 && status < 500 && !BUSY.has(status) && !CUT_400.has(name),
    "Correct DATASET_URL, AWS_ENDPOINT_URL, AWS_REGION or S3_FORCE_PATH_STYLE.",
  ],
];

/** The error in words; `doing` such as `list "a/" in s3://bucket`. */
export function storeError(error: unknown, doing: string): ObjectStoreAwayError | ObjectStoreSetupError {
  const failure = failureOf(error);
  const { name, message, status } = failure;
  const state = status === null
    ? `no answer (${name}: ${message})`
    : `the server answers ${status} ${name} (${message})`;
  const toDo = TO_MEND.find(([matches]) => matches(failure))?.[1];
  if (toDo !== undefined) {
    return new ObjectStoreSetupError(`Cannot ${doing}: ${state}. ${toDo}`, { cause: error });
  }
  return new ObjectStoreAwayError(
    `Cannot ${doing}: ${state}. It is tried again; where it stays so, look at the server.`,
    { cause: error },
  );
}
