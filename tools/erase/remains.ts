import { basename, join, relative } from "node:path";
import { DEAD_LETTER_TOPIC, WEBHOOKS_TOPIC, writerOf } from "../../contract/names.ts";
import { PERSON_PREFIX } from "../../processor/record/erasure.ts";
import type { ProcessorConfig } from "../../processor/config.ts";
import { logFileOf } from "../../topic/sqlite/file.ts";
import type { LogScrubber } from "../../topic/sqlite/scrub.ts";
import type { TopicLog } from "../../topic/topic.ts";
import { type Bucket, datasetRoot } from "../../processor/dataset/mod.ts";
import { searchBucket } from "./builds.ts";
import type { Judging, PersonalData } from "./person.ts";
import { type FileFound, hitsOf, placeOf, searchEverything, type SearchResult } from "./search.ts";
import { hitsInStandIn } from "./stand_in.ts";
import { hitsInRecords } from "./topic.ts";

/** What is left on this disk after an erasure, place by place. */

/** A place under DATA_DIR, or the dataset beside it. */
export type SearchedPlace = {
  readonly place: string;
  readonly files: number;
  readonly bytes: number;
  /** Places in the files where something of the erased stands and should not. */
  readonly left: number;
  /** Such that may stay: in the raw topic, in other people's data, or newer than the erasure. */
  readonly kept: number;
};

export type RemainsOptions = Judging & {
  readonly config: ProcessorConfig;
  readonly log: TopicLog;
  readonly data: PersonalData;
  /** When they were erased, in milliseconds since 1970. */
  readonly at: number;
  /** True where the raw topic's records have been emptied, so that nothing of them may be left in its file. */
  readonly topicScrubbed: boolean;
  readonly scrubber: LogScrubber | null;
  /** Names of `.eml` files that are other people's. */
  readonly othersMails: readonly string[];
  readonly bucket: Bucket | null;
};

/**
 * Searches every file. Where SQLite has left something in the processor's file that no record explains, that file is
 * written anew, once, and searched again.
 */
export async function searchRemains(options: RemainsOptions): Promise<readonly SearchedPlace[]> {
  const places = await searchOnce(options);
  const { scrubber } = options;
  if (scrubber === null || !places.some(({ place, left }) => place === logFileOf("processor") && left > 0)) {
    return places;
  }
  await scrubber.rewrite(DEAD_LETTER_TOPIC);
  await scrubber.checkpoint();
  return await searchOnce(options);
}

async function searchOnce(options: RemainsOptions): Promise<readonly SearchedPlace[]> {
  const { config, finder, data, erased, at } = options;
  const root = datasetRoot(config.datasetDir);
  const ids = [...data.ids, ...erased.subjects.map((subject) => `${PERSON_PREFIX}${subject}`)];
  const dataDir = Deno.realPathSync(config.dataDir);
  const isInside = root === null || root.startsWith(`${dataDir}/`);
  const result = await searchEverything({
    roots: isInside ? [dataDir] : [dataDir, root],
    wanted: finder.wanted,
    dataset: root === null ? null : { root, ids, until: at },
  });
  const explained = await explainedHits(result, { dataDir, options });
  return [
    ...placesIn(dataDir, { result, explained, othersMails: options.othersMails }),
    ...(isInside ? [] : [wholeRoot(root, result)]),
    ...(options.bucket ? [await wholeBucket(options.bucket, { finder, ids, until: at })] : []),
  ];
}

/** By place: how many hits stand in records and rows that may stay. Read only where there are hits. */
async function explainedHits(
  { files }: SearchResult,
  { dataDir, options }: { readonly dataDir: string; readonly options: RemainsOptions },
): Promise<ReadonlyMap<string, number>> {
  const explained = new Map<string, number>();
  const hasHits = (place: string) => files.some(({ path }) => placeOf(relative(dataDir, path)) === place);
  if (hasHits(STAND_IN)) explained.set(STAND_IN, hitsInStandIn(dataDir, options.finder));
  if (options.config.log.kind !== "embedded") return explained;
  const { log, finder } = options;
  for (const topic of [WEBHOOKS_TOPIC, DEAD_LETTER_TOPIC]) {
    const place = logFileOf(writerOf(topic));
    if (!hasHits(place)) continue;
    const isRaw = topic === WEBHOOKS_TOPIC && !options.topicScrubbed;
    explained.set(place, isRaw ? Infinity : await hitsInRecords(log, { topic, finder }));
  }
  return explained;
}

const STAND_IN = "posthog-stand-in/";

function placesIn(
  dataDir: string,
  { result, explained, othersMails }: Pick<RemainsOptions, "othersMails"> & {
    readonly result: SearchResult;
    readonly explained: ReadonlyMap<string, number>;
  },
): SearchedPlace[] {
  const isIn = (place: string) => ({ path }: FileFound) =>
    path.startsWith(`${dataDir}/`) && placeOf(relative(dataDir, path)) === place;
  return Object.entries(result.roots[0]!.places).map(([place, sums]) => {
    let [left, kept] = [0, 0];
    for (const { path, found, others } of result.files.filter(isIn(place))) {
      const hits = hitsOf(found);
      const isOthers = place === "mail/" && othersMails.includes(basename(path));
      const known = isOthers ? hits : Math.min(hits, explained.get(place) ?? 0);
      left += hits - known;
      kept += known + others;
    }
    return { place, ...sums, left, kept };
  }).sort((a, b) => a.place < b.place ? -1 : 1);
}

async function wholeBucket(
  bucket: Bucket,
  search: Parameters<typeof searchBucket>[1],
): Promise<SearchedPlace> {
  const { files, bytes, found, others } = await searchBucket(bucket, search);
  return { place: bucket.place, files, bytes, left: hitsOf(found), kept: others };
}

/** A dataset that lies outside DATA_DIR. */
function wholeRoot(root: string, { roots, files }: SearchResult): SearchedPlace {
  const found = files.filter(({ path }) => path.startsWith(`${root}/`));
  const { files: count, bytes } = roots[1]!;
  return {
    place: join(root, "/"),
    files: count,
    bytes,
    left: found.reduce((sum, { found }) => sum + hitsOf(found), 0),
    kept: found.reduce((sum, { others }) => sum + others, 0),
  };
}
