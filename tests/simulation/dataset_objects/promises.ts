import { readLetterPosition } from "./letters.ts";
import { DEDUP_WINDOW, PARTITIONS, personOf, type World } from "./world.ts";

type StoredCommit = {
  readonly kind: string;
  readonly nextOffset: number;
  readonly added: readonly { readonly path: string; readonly records: number }[];
  readonly removed: readonly string[];
};

/** What the bucket and the topic break of what is promised; read with no code of the adapter. */
export function brokenPromises(world: World): readonly string[] {
  const broken = [...world.failures];
  const builds = world.bucket.keys("_builds/");
  if (builds.length === 0) return [...broken, "there is no build"];
  for (const key of builds) {
    if (world.bucket.text(key).includes('"replay"')) world.happened.switches++;
  }
  const { build } = JSON.parse(world.bucket.text(builds.at(-1)!)) as { build: string };
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const { paths, nextOffset } = foldCommits(world, { build, partition });
    const end = world.raw[partition]!.length;
    if (nextOffset !== end) broken.push(`partition ${partition} stands at ${nextOffset} of ${end}`);
    broken.push(...wrongLines(world, { build, partition, paths }), ...lostLetters(world, partition));
  }
  return [...broken, ...leftovers(world, builds), ...erasedFound(world)];
}

/** What no commit names, in any build, and what lies in builds that never were the dataset. */
function leftovers(world: World, builds: readonly string[]): readonly string[] {
  const names = new Set(builds.map((key) => (JSON.parse(world.bucket.text(key)) as { build: string }).build));
  const named = new Set(
    [...names].flatMap((build) =>
      Array.from({ length: PARTITIONS }, (_, partition) => foldCommits(world, { build, partition }).paths)
        .flat().map((path) => `${build}/${path}`)
    ),
  );
  const isOfDataset = (key: string) => /^_(builds|dropped)\/|^_dataset\.json$/.test(key);
  return world.bucket.keys().filter((key) => {
    // Its replay was killed behind the switch: a note says nothing of a build that was the dataset.
    if (isOfDataset(key) || names.has(/^_replays\/(.*)\.json$/.exec(key)?.[1] ?? "")) return false;
    return /\/event=/.test(key) ? !named.has(key) : !names.has(key.slice(0, key.indexOf("/")));
  }).map((key) => `left over: ${key}`);
}

/** The manifest, as CONTRACT.md says it: every commit in its order, none missing. */
function foldCommits(world: World, { build, partition }: { build: string; partition: number }) {
  const prefix = `${build}/_log/p${String(partition).padStart(5, "0")}/`;
  const paths = new Set<string>();
  let nextOffset = 0;
  for (let number = 1;; number++) {
    const key = `${prefix}${String(number).padStart(20, "0")}.json`;
    if (!world.bucket.objects.has(key)) return { paths: [...paths], nextOffset };
    const commit = JSON.parse(world.bucket.text(key)) as StoredCommit;
    for (const path of commit.removed) paths.delete(path);
    for (const { path } of commit.added) paths.add(path);
    nextOffset = commit.nextOffset;
  }
}

/** Each line once, none lost, in the order of the offsets. */
function wrongLines(
  world: World,
  { build, partition, paths }: { build: string; partition: number; paths: readonly string[] },
): readonly string[] {
  const broken: string[] = [];
  const found = new Map<string, number[]>();
  for (const path of [...paths].sort()) {
    const stored = world.bucket.objects.get(`${build}/${path}`);
    if (!stored) {
      broken.push(`named and missing: ${path}`);
      continue;
    }
    const lines = linesOf(stored.bytes);
    const directory = path.slice(0, path.lastIndexOf("/"));
    found.set(directory, [...found.get(directory) ?? [], ...lines.map(({ n }) => n)]);
  }
  const wanted = expectedLines(world, partition);
  const ns = [...found.values()].flat();
  for (const n of wanted) if (!ns.includes(n)) broken.push(`line ${n} of partition ${partition} is lost`);
  for (const n of ns) if (!wanted.has(n)) broken.push(`line ${n} of partition ${partition} is too much`);
  if (new Set(ns).size !== ns.length) broken.push(`a line of partition ${partition} is there twice`);
  for (const [directory, some] of found) {
    const order = [...wanted].filter((n) => some.includes(n));
    if (String(order) !== String(some)) broken.push(`${directory} of partition ${partition} is out of order`);
  }
  return broken;
}

/** By number, in the order of their offsets. */
function expectedLines(world: World, partition: number): ReadonlySet<number> {
  const produced = world.produced[partition]!;
  const lines = new Set<number>();
  produced.forEach((one, offset) => {
    if (one.is !== "training" || !one.isValid) return;
    const before = produced.slice(Math.max(0, offset - DEDUP_WINDOW), offset);
    if (before.some((other) => other.is === "training" && other.n === one.n)) return;
    const isErased = produced.some((other, at) =>
      other.is === "erasure" && other.who === one.who && (at > offset || one.time <= other.at)
    );
    if (!isErased) lines.add(one.n);
  });
  return lines;
}

function lostLetters(world: World, partition: number): readonly string[] {
  const produced = world.produced[partition]!;
  const there = new Set(
    world.letters.map(readLetterPosition).filter((one) => one.partition === partition).map(({ offset }) =>
      offset
    ),
  );
  return produced.flatMap((one, offset) => {
    if (one.is !== "training" || one.isValid || there.has(offset)) return [];
    const before = produced.slice(Math.max(0, offset - DEDUP_WINDOW), offset);
    if (before.some((other) => other.is === "training" && other.n === one.n)) return [];
    const mayBeErased = produced.some((other) => other.is === "erasure" && other.who === one.who);
    return mayBeErased ? [] : [`the letter of ${partition}:${offset} is lost`];
  });
}

/** Whatever lies in the bucket, in whichever build, named or not. */
function erasedFound(world: World): readonly string[] {
  const kept = new Set(
    Array.from({ length: PARTITIONS }, (_, one) => [...expectedLines(world, one)]).flat(),
  );
  const erased = new Set(
    world.produced.flat().flatMap((one) => one.is === "erasure" ? [personOf(one.who)] : []),
  );
  return world.bucket.keys().filter((key) => /\/event=/.test(key)).flatMap((key) =>
    linesOf(world.bucket.objects.get(key)!.bytes).filter(({ n, person }) =>
      erased.has(person) && !kept.has(n)
    )
      .map(({ n }) => `line ${n} of somebody erased lies in ${key}`)
  );
}

function linesOf(bytes: Uint8Array): readonly { readonly n: number; readonly person: string }[] {
  return new TextDecoder().decode(bytes).split("\n").slice(0, -1).map((text) => {
    const line = JSON.parse(text) as { input_prompt: string; distinct_id: string };
    return { n: Number(/\d+$/.exec(line.input_prompt)![0]), person: line.distinct_id };
  });
}
