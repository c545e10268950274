import { Buffer } from "node:buffer";
import { type Bucket, DatasetStateError } from "../../processor/dataset/mod.ts";
import { CommandFailedError } from "../command.ts";
import type { Finder } from "./finder.ts";
import { type Found, isOthersLine } from "./search.ts";

/** What lies in a bucket beside the dataset's own build, whose writers erase by themselves. */

/** Where builds lie that an erasure deletes: those that no replay has ended, and what is left of deleted ones. */
export async function unfinishedBuilds(bucket: Bucket | null): Promise<string[]> {
  const builds = await bucket?.builds() ?? [];
  return builds.filter(({ is }) => is === "interrupted" || is === "left")
    .map(({ build }) => `${bucket!.place}/${build}`);
}

/**
 * Takes the erased out of every build that was current once, and deletes those that no replay has ended, and what is
 * left of deleted ones: from here on none can become current that has not seen the erasure. What lies in a build without a name goes too. Answers what was deleted.
 */
export async function eraseBuilds(
  bucket: Bucket,
  { subjects, at, offsetIn, tools }:
    & { readonly subjects: readonly string[]; readonly at: number }
    & Omit<Parameters<Bucket["eraseFrom"]>[1], "erasure">,
): Promise<string[]> {
  const deleted: string[] = [];
  for (const { build, is } of await bucket.builds()) {
    if (is === "current") continue;
    if (is === "before") {
      await bucket.eraseFrom(build, { erasure: { subjects, at }, offsetIn, tools }).catch((error) => {
        if (!(error instanceof DatasetStateError)) throw error;
        throw new CommandFailedError(
          `Cannot erase from the build "${build}", which a replay has replaced: ${error.message} Or delete that build with ` +
            `\`deno task dataset drop ${build}\`, and erase again.`,
        );
      });
      await bucket.sweep(build);
      continue;
    }
    // One that has become current meanwhile has seen the erasure, as its writers meet it.
    if (await bucket.discard(build) !== null) deleted.push(`${bucket.place}/${build}`);
  }
  await bucket.sweepLive();
  return deleted;
}

/** What a search of a whole prefix found: objects, bytes as they were read, and hits. */
export type BucketFound = {
  files: number;
  bytes: number;
  found: Record<keyof Found, number>;
  others: number;
};

/** Every object below the prefix, lines as lines, whatever build they lie in. */
export async function searchBucket(
  bucket: Bucket,
  { finder, ids, until }: {
    readonly finder: Finder;
    /** distinct_ids of the erased as lines have them. */
    readonly ids: readonly string[];
    /** Milliseconds since 1970: later lines are new data. */
    readonly until: number;
  },
): Promise<BucketFound> {
  const sum: BucketFound = { files: 0, bytes: 0, found: { id: 0, address: 0, prompt: 0 }, others: 0 };
  for await (const { lines } of bucket.everything()) {
    sum.files++;
    for await (const some of lines) {
      for (const line of some) {
        sum.bytes += line.length + 1;
        for (const { kind } of finder.find(line)) {
          if (isOthersLine(Buffer.from(line).toString(), { root: "", ids, until })) sum.others++;
          else sum.found[kind]++;
        }
      }
    }
  }
  return sum;
}
