import {
  AbortMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetBucketVersioningCommand,
  ListMultipartUploadsCommand,
  ListObjectVersionsCommand,
} from "@aws-sdk/client-s3";
import { isAbsent, isNotImplemented, storeError } from "./errors.ts";
import { orWhere, type S3Requests } from "./requests.ts";

/** Keys that one DeleteObjects takes. Source: Amazon S3's API reference. */
const DELETE_KEYS_MAX = 1_000;

type Doomed = { readonly Key: string; readonly VersionId?: string };

/** Removes objects for good: every version of them, where the bucket keeps versions, and the marks that they are deleted. */
export async function removeForGood(requests: S3Requests, keys: readonly string[]): Promise<void> {
  if (keys.length === 0) return;
  const more = keys.length === 1 ? "" : `, and ${keys.length - 1} more`;
  const doing = `remove ${requests.named(keys[0]!)}${more}`;
  const isVersioned = await keepsVersions(requests, doing);
  for (const some of inBatches(keys.map((key) => requests.inBucket(key)))) {
    const doomed: readonly Doomed[] = isVersioned
      ? (await Promise.all(some.map((key) => versionsOf(requests, key, doing)))).flat()
      : some.map((Key) => ({ Key }));
    for (const batch of inBatches(doomed)) await removeBatch(requests, batch, doing);
  }
}

/** Ends the uploads in parts below a prefix that nobody has finished. */
export async function abortUploads(requests: S3Requests, prefix: string): Promise<void> {
  const doing = `end uploads below ${requests.named(prefix)}`;
  const below = { ...requests.bucket, Prefix: requests.inBucket(prefix) };
  const pages = requests.pages(doing, {
    page: (
      client,
      marker: { KeyMarker: string | undefined; UploadIdMarker: string | undefined } | undefined,
    ) => client.send(new ListMultipartUploadsCommand({ ...below, ...marker })),
    markerOf: (page) => ({ KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker }),
  });
  try {
    for await (const { Uploads = [] } of pages) {
      for (const { Key, UploadId } of Uploads) {
        const command = new AbortMultipartUploadCommand({ ...requests.bucket, Key, UploadId });
        await requests.ask(doing, (client) => client.send(command)).catch(orWhere(isAbsent, null));
      }
    }
  } catch (error) {
    orWhere(isNotImplemented, null)(error as Error);
  }
}

async function keepsVersions(requests: S3Requests, doing: string): Promise<boolean> {
  const command = new GetBucketVersioningCommand(requests.bucket);
  const { Status } = await requests.ask(doing, (client) => client.send(command))
    .catch(orWhere(isNotImplemented, { Status: undefined }));
  return Status !== undefined; // Suspended: what was kept before is still there.
}

async function versionsOf(requests: S3Requests, key: string, doing: string): Promise<Doomed[]> {
  const below = { ...requests.bucket, Prefix: key };
  const found: Doomed[] = [];
  const pages = requests.pages(doing, {
    page: (
      client,
      marker: { KeyMarker: string | undefined; VersionIdMarker: string | undefined } | undefined,
    ) => client.send(new ListObjectVersionsCommand({ ...below, ...marker })),
    markerOf: (page) => ({ KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker }),
  });
  for await (const { Versions = [], DeleteMarkers = [] } of pages) {
    for (const { Key, VersionId } of [...Versions, ...DeleteMarkers]) {
      if (Key === key) found.push({ Key, VersionId: VersionId! });
    }
  }
  return found;
}

async function removeBatch(requests: S3Requests, doomed: readonly Doomed[], doing: string): Promise<void> {
  const command = new DeleteObjectsCommand({
    ...requests.bucket,
    Delete: { Quiet: true, Objects: [...doomed] },
  });
  const batch = await requests.ask(doing, (client) => client.send(command)).catch(
    // A server without it, or one that asks for a digest of another kind.
    orWhere((failure) => failure.status === 400 || isNotImplemented(failure), null),
  );
  if (batch === null) {
    await Promise.all(doomed.map(async (one) => {
      const command = new DeleteObjectCommand({ ...requests.bucket, ...one });
      await requests.ask(doing, (client) => client.send(command)).catch(orWhere(isAbsent, null));
    }));
    return;
  }
  const refused = batch.Errors?.find(({ Code }) => Code !== "NoSuchKey" && Code !== "NoSuchVersion");
  if (refused === undefined) return;
  const httpStatusCode = refused.Code === "AccessDenied" ? 403 : 500;
  throw storeError({ name: refused.Code, message: refused.Message, $metadata: { httpStatusCode } }, doing);
}

function* inBatches<T>(all: readonly T[]): Generator<readonly T[]> {
  for (let n = 0; n < all.length; n += DELETE_KEYS_MAX) yield all.slice(n, n + DELETE_KEYS_MAX);
}
