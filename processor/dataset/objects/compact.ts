import { randomBytes } from "node:crypto";
import type { Clock } from "../../../runtime/clock.ts";
import type { CommitObject } from "../core/commit.ts";
import { NO_FIGURES } from "../core/figures.ts";
import { countedOf } from "../core/line_filter.ts";
import { type Compression, directoryOf, parseDatasetPath } from "../core/path.ts";
import { CommitLog } from "./commit_log.ts";
import { GatheredObject, namedUnder, type PackedObject, packObject } from "./gathering.ts";
import { objectLines, ObjectMissingError } from "./lines.ts";
import type { ObjectStore } from "./object_store.ts";

export type CompactOptions = {
  readonly build: string;
  readonly partition: number;
  /** The first UTC day, as in paths, that is not closed. */
  readonly before: string;
  /** Bytes of the lines of an object that is made: so much of them lies in memory at once. */
  readonly objectBytes: number;
  readonly compression: Compression;
  readonly clock: Pick<Clock, "now">;
  /** See `CommitLog`. */
  readonly checkpointEvery?: number;
};

/** Objects of one event's closed day in one partition. */
export type CompactedDay = {
  readonly event: string;
  readonly date: string;
  readonly before: number;
  after: number;
};

/** How many objects became how many. */
export type Compacted = {
  readonly joined: number;
  readonly made: number;
  readonly days: readonly CompactedDay[];
};

const LINE_FEED = new Uint8Array([10]);

/**
 * Joins small objects of closed days, beside a live writer: one commit adds one object and removes those that it is made of,
 * after looking that they are still there. Those that were removed stay an hour for readers that list.
 */
export async function compactPartition(store: ObjectStore, options: CompactOptions): Promise<Compacted> {
  const { build, partition, checkpointEvery } = options;
  const log = new CommitLog(store, { build, partition }, { writes: true, checkpointEvery });
  const writer = `compact-${randomBytes(8).toString("hex")}`;
  let [joined, made] = [0, 0];
  await log.readOn();
  const days: CompactedDay[] = [];
  for (const objects of closedIn(log.state.objects.values(), options)) {
    const { event, date } = parseDatasetPath(objects[0]!.path)!;
    const day = { event, date, before: objects.length, after: objects.length };
    days.push(day);
    for (const group of groupsOf(objects, options)) {
      if (!await join(store, { ...options, log, writer, group })) continue;
      joined += group.length;
      made++;
      day.after -= group.length - 1;
    }
  }
  return { joined, made, days };
}

/** By directory. */
function closedIn(
  objects: Iterable<CommitObject>,
  { before }: CompactOptions,
): Iterable<CommitObject[]> {
  const closed = [...objects].filter(({ path }) => parseDatasetPath(path)!.date < before);
  return Map.groupBy(closed, ({ path }) => directoryOf(path)).values();
}

/** Neighbours by offset of one directory and one sanitiser, as many as fit together. */
function groupsOf(
  objects: readonly CommitObject[],
  { objectBytes }: CompactOptions,
): readonly (readonly CommitObject[])[] {
  const groups: CommitObject[][] = [];
  let [group, sum]: [CommitObject[], number] = [[], 0];
  for (const object of objects.toSorted((a, b) => firstOffsetOf(a) - firstOffsetOf(b))) {
    const { bytes, lineBytes = bytes, sanitiserVersion } = object;
    const fits = sum + lineBytes <= objectBytes &&
      (group.length === 0 || group[0]!.sanitiserVersion === sanitiserVersion);
    if (!fits) {
      groups.push(group);
      [group, sum] = [[], 0];
    }
    group.push(object);
    sum += lineBytes;
  }
  return [...groups, group].filter((group) => group.length > 1);
}

/** False where what was read is no longer what the dataset holds: an erasure or another compaction was faster. */
async function join(
  store: ObjectStore,
  { log, writer, group, ...options }: CompactOptions & {
    readonly log: CommitLog;
    readonly writer: string;
    readonly group: readonly CommitObject[];
  },
): Promise<boolean> {
  const { build, clock } = options;
  const removed = group.map(({ path }) => path);
  const isThere = () => removed.every((path) => log.state.objects.has(path));
  if (!isThere()) return false;
  const packed = await joined(store, { ...options, group }).catch(async (error) => {
    if (!(error instanceof ObjectMissingError)) throw error;
    await log.readOn();
    if (isThere()) throw error;
    return null;
  });
  if (!packed) return false;
  for (;;) {
    const named = namedUnder(packed, { ...options, commit: log.state.number + 1 });
    const key = `${build}/${named.path}`;
    await store.put(key, packed.body);
    const { firstOffset, nextOffset, lettersPublished } = log.state;
    const met = await log.append({
      kind: "compact",
      writer,
      at: new Date(clock.now()).toISOString(),
      firstOffset,
      nextOffset,
      lettersPublished,
      added: [named],
      removed,
    });
    if (!met) return true;
    await store.remove([key]);
    if (!isThere()) return false;
  }
}

async function joined(
  store: ObjectStore,
  { build, compression, group }: Pick<CompactOptions, "build" | "compression"> & {
    readonly group: readonly CommitObject[];
  },
): Promise<PackedObject> {
  const [first] = group as [CommitObject];
  const whole = new GatheredObject(directoryOf(first.path), firstOffsetOf(first), first.sanitiserVersion);
  for (const { path, placeholders } of group) {
    whole.add({ records: 0, text: [], placeholders, figures: NO_FIGURES });
    for await (const lines of objectLines(store, { build, path })) {
      for (const line of lines) {
        whole.add({ records: 1, text: [line, LINE_FEED], placeholders: {}, figures: NO_FIGURES });
        // Counted anew: what a file no longer tells apart cannot be added.
        whole.figures.add(countedOf(line));
      }
    }
  }
  return await packObject(whole, compression);
}

function firstOffsetOf({ path }: CommitObject): number {
  return parseDatasetPath(path)!.fileNumber;
}
