import { systemClock } from "../../runtime/clock.ts";
import { type FaultPoint, faultPointFrom } from "../../runtime/fault_point.ts";
import { createKeyedHashes, type KeyedHashes } from "../../contract/keyed_hash.ts";
import { DISCOUNT_OFFERS_GROUP, WEBHOOKS_TOPIC, writerOf } from "../../contract/names.ts";
import { ERASE } from "../../contract/product_events.ts";
import { type Bucket, openBucket, openDatasetLocks } from "../../processor/dataset/mod.ts";
import { openOfferStatusReader, openOfferStoreReader, raiseBarrier } from "../../processor/offers/mod.ts";
import { type ProcessorConfig, readCommandConfig } from "../../processor/config.ts";
import { checkSecret } from "../../processor/facts/identity.ts";
import { createLogScrubber, type LogScrubber } from "../../topic/sqlite/scrub.ts";
import type { RecordPosition, TopicLog } from "../../topic/topic.ts";
import {
  type Command,
  type CommandLine,
  printError,
  refuseMissing,
  runCommand,
  secretOfServices,
  UsageError,
  withLog,
  workAlone,
} from "../command.ts";
import { eraseBuilds, unfinishedBuilds } from "./builds.ts";
import { Finder } from "./finder.ts";
import { eraseLetters, findLetters } from "./letters.ts";
import { datasetBehind, type Loops, startLoops, untilNothingIsLeft } from "./loops.ts";
import {
  type Erased,
  erasedBy,
  readPersonalData,
  rootsOf,
  wantedOf,
  withoutSharedPrompts,
} from "./person.ts";
import { searchRemains } from "./remains.ts";
import { type EraseReport, printPlan, printReport } from "./report.ts";
import { refuseUnseen } from "./seen.ts";
import { eraseRefused, spoolBehind } from "./spool.ts";
import { eraseInStandIn } from "./stand_in.ts";
import { copiesOf, eraseCopies, eraseMails } from "./sweep.ts";
import { publishEverywhere, scrubTopic } from "./topic.ts";

/** `deno task erase`: a person leaves everything that the pipeline keeps. */
export const eraseCommand: Command = {
  help:
    `Erases a person: from the dataset, exports, offers, mails and dead letters, and for every later replay.

Usage: deno task erase DISTINCT_ID [--scrub-topic] [--dry-run] [--json]

  --dry-run      shows who is joined to this person and what would go, and does nothing
  --scrub-topic  empties their records in the raw topic too, for ever (embedded log only)
  --json         the result as one JSON object

DISTINCT_ID may be person-… as a line of the dataset has it. One that nobody has seen is refused (exit code 1), an address
too: the message names the ids that have it. Erasing somebody again is no failure. Works beside running services; where no processor runs, it
does the processor's work itself and sends no mail. Killed at any moment, the same command again finishes. When more data
has come, call it again. Other datasets and exports under DATA_DIR, unfinished rebuilds too, are deleted: replay and
export again. At the end every file under DATA_DIR is searched; what is kept, and why, stands in docs/erasure.md.
`,
  options: { "dry-run": { type: "boolean" }, "scrub-topic": { type: "boolean" } },
  async run(line) {
    const given = personOf(line);
    const config = readCommandConfig(Deno.env.toObject());
    const scrubs = line.values["scrub-topic"] === true;
    if (scrubs && config.log.kind === "kafka") {
      throw new UsageError(
        "Cannot scrub the topic on Kafka: it keeps its bytes for its retention. Leave --scrub-topic out.",
      );
    }
    refuseMissing(config.dataDir);
    const secret = secretOfServices(config, "erase");
    const hashes = createKeyedHashes(secret);
    using bucket = config.objects && await openBucket(config.objects, { clock: systemClock });
    if (line.values["dry-run"] === true) {
      line.ifStopped(() => "nothing was changed, as --dry-run changes nothing. Run it again.");
      return await withLog(
        config,
        (log) => printDryRun(log, { person: { given, config, hashes, bucket }, line }),
      );
    }
    let reached: Reached = "nothing was erased yet";
    line.ifStopped(() => `${reached}. The same command again finishes it.`);
    const run = { given, config, secret, hashes, bucket, scrubs, reach: (next: Reached) => reached = next };
    const message = { verb: "erase", what: "an erasure" };
    const locks = openDatasetLocks(config.datasetDir);
    const report = await workAlone(locks, message, () => withLog(config, (log) => erase(log, run)));
    printReport(report, line);
  },
};

type Person = {
  readonly given: string;
  readonly config: ProcessorConfig;
  readonly hashes: KeyedHashes;
  /** Where DATASET_URL is set. */
  readonly bucket: Bucket | null;
};

function personOf({ positionals }: CommandLine): string {
  const [given, ...rest] = positionals;
  if (given === undefined || given === "" || rest.length > 0) {
    throw new UsageError("Expected one DISTINCT_ID.");
  }
  return given;
}

/** What would be done, as far as discount-offers has come; nothing is published and nothing started. */
async function printDryRun(
  log: TopicLog,
  { person, line }: { readonly person: Person; readonly line: CommandLine },
): Promise<void> {
  const { given, config, hashes, bucket } = person;
  await checkSecret(log, hashes);
  const erased = erasedBy(namedSubjects(person), hashes);
  await refuseUnseen(log, { given, roots: rootsOf(given, hashes.subject), erased, config, bucket });
  const data = await readPersonalData(log, { erased, given });
  const finder = new Finder(wantedOf({ ...data, prompts: [] }, erased));
  const { sources } = await findLetters(log, { erased, finder, below: () => Infinity });
  const lags = await log.lag(WEBHOOKS_TOPIC, DISCOUNT_OFFERS_GROUP, Date.now());
  printPlan({
    subjects: erased.subjects,
    ids: data.ids,
    records: data.records,
    erasedBefore: timeOf(data.erasedBefore),
    newRecords: data.newRecords,
    letters: sources.length,
    copies: [...copiesOf(config), ...await unfinishedBuilds(bucket)],
    behind: lags.reduce((sum, { lag }) => sum + lag, 0),
  }, line);
}

function timeOf(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString();
}

/** The person by the view, with those of every earlier erasure that names one of them. */
function namedSubjects({ given, config, hashes }: Person): string[] {
  const roots = rootsOf(given, hashes.subject);
  const view = openOfferStatusReader(config.dataDir, config.discount);
  try {
    return [...new Set(roots.flatMap((root) => view?.subjectsToErase(root) ?? [root]))].sort();
  } finally {
    view?.close();
  }
}

/** How far an erasure has come, for who stops it. */
type Reached =
  | "nothing was erased yet"
  | "the erasure is in the topic, and not everything is erased yet"
  | "dataset and offers hold nothing of this person, and mails, letters or copies still may";

type Run = Person & {
  readonly secret: string;
  readonly scrubs: boolean;
  readonly reach: (next: Reached) => void;
};

function notify(text: string): void {
  printError(`erase: ${text}`);
}

/** The order is the promise: what lies in the topic is known → named → told to every partition → handled → swept. */
async function erase(log: TopicLog, run: Run): Promise<EraseReport> {
  const { given, config, secret, hashes, bucket, scrubs, reach } = run;
  const faultPoint = faultPointFrom(config.faultPoint ?? undefined);
  const loops = await startLoops(config, { pipelineSecret: secret, notify });
  try {
    await checkSecret(log, hashes);
    await untilKnown(log, { config, loops });
    const erased = erasedBy(namedSubjects(run), hashes);
    await refuseUnseen(log, { given, roots: rootsOf(given, hashes.subject), erased, config, bucket });
    faultPoint("erasing.named");
    const at = Date.now();
    const positions = await publishEverywhere(log, {
      publish: async (partitions) => {
        const published = await publishErasure(log, { erased, at, key: hashes.subject(given), partitions });
        reach("the erasure is in the topic, and not everything is erased yet");
        faultPoint("erasing.published");
        return published;
      },
      handled: (positions) => untilHandled(log, { config, bucket, loops, positions }),
    });
    await loops.stop();
    reach("dataset and offers hold nothing of this person, and mails, letters or copies still may");
    faultPoint("erasing.handled");
    return await sweep(log, {
      given,
      config,
      hashes,
      bucket,
      erased,
      at,
      positions,
      scrubs,
      faultPoint,
      own: loops.own,
    });
  } finally {
    await loops.stop();
  }
}

type Waiting = { readonly config: ProcessorConfig; readonly loops: Loops };

/** Webhooks in ingest's spool are in the topic, and the view knows everything that the topic holds at that moment. */
async function untilKnown(log: TopicLog, { config, loops }: Waiting): Promise<void> {
  const wait = { loops, notify };
  await untilNothingIsLeft(() => spoolBehind(log, { dataDir: config.dataDir, notify }), wait);
  await untilOffersKnow(log, { config, loops });
}

async function untilOffersKnow(log: TopicLog, { config, loops }: Waiting): Promise<void> {
  const ending = new AbortController();
  const opening = openOfferStoreReader(config.dataDir, { clock: systemClock, signal: ending.signal });
  try {
    const store = await Promise.race([opening, loops.failed]);
    const barrier = await raiseBarrier(log, { store: store!, asOf: Date.now() });
    await untilNothingIsLeft(() => barrier.check(), { loops, notify });
  } finally {
    ending.abort();
    (await opening)?.close();
  }
}

async function untilHandled(
  log: TopicLog,
  { config, bucket, loops, positions }: Waiting & {
    readonly bucket: Bucket | null;
    readonly positions: readonly RecordPosition[];
  },
): Promise<void> {
  await untilOffersKnow(log, { config, loops });
  await untilNothingIsLeft(() => datasetBehind(log, { config, bucket, own: loops.own, positions }), {
    loops,
    notify,
  });
}

/** One record in every partition, so that whoever reads a partition meets it there. */
async function publishErasure(
  log: TopicLog,
  { erased, at, key, partitions }: {
    readonly erased: Erased;
    readonly at: number;
    readonly key: string;
    readonly partitions: readonly number[];
  },
): Promise<readonly RecordPosition[]> {
  const encoder = new TextEncoder();
  const body = { event: ERASE, at: new Date(at).toISOString(), subjects: erased.subjects };
  return await log.publish(
    WEBHOOKS_TOPIC,
    partitions.map((partition) => ({
      partition,
      key: encoder.encode(key),
      value: encoder.encode(JSON.stringify(body)),
      headers: { id: crypto.randomUUID(), event: ERASE, source: "erase" },
      timestamp: at,
    })),
  );
}

type Sweep = Person & {
  readonly erased: Erased;
  readonly at: number;
  readonly positions: readonly RecordPosition[];
  readonly scrubs: boolean;
  readonly faultPoint: FaultPoint;
  readonly own: boolean;
};

/**
 * Both groups have let go of the person: now everything else that the disk holds. The raw topic is emptied last, since
 * what is looked for stands there.
 */
async function sweep(log: TopicLog, options: Sweep): Promise<EraseReport> {
  const { given, config, hashes, bucket, erased, at, scrubs, faultPoint } = options;
  const { dataDir } = config;
  const scrubber = config.log.kind === "embedded" ? createLogScrubber(dataDir, writerOf) : null;
  const offsets = new Map(options.positions.map(({ partition, offset }) => [partition, offset]));
  const below = (partition: number) => offsets.get(partition) ?? 0;
  const standInPersons = await eraseInStandIn(dataDir, erased);
  const all = await readPersonalData(log, { erased, given, below });
  const data = await withoutSharedPrompts(log, { data: all, erased });
  const finder = new Finder(wantedOf(data, erased));
  const letters = await eraseLetters(log, { erased, finder, below, now: at, scrubber, faultPoint });
  const tools = { subject: hashes.subject, faultPoint, heartbeat: () => Promise.resolve() };
  const builds = bucket
    ? await eraseBuilds(bucket, { subjects: erased.subjects, at, offsetIn: below, tools })
    : [];
  const removed = [...eraseCopies(config), ...builds, ...eraseRefused(dataDir, { erased, finder })];
  const othersMails = await eraseMails(log, { dataDir, erased, finder });
  faultPoint("erasing.swept");
  const topicScrubbed = scrubs && scrubber
    ? await emptyTopic(log, { erased, finder, below, at, scrubber, faultPoint })
    : null;
  await scrubber?.checkpoint();
  const places = await searchRemains({
    config,
    log,
    finder,
    data,
    erased,
    at,
    topicScrubbed: topicScrubbed !== null,
    scrubber,
    othersMails,
    bucket,
  });
  return {
    log: log.kind,
    own: options.own,
    subjects: erased.subjects,
    at: new Date(at).toISOString(),
    records: data.records,
    erasedBefore: timeOf(data.erasedBefore),
    newRecords: data.newRecords,
    topicScrubbed,
    letters: letters.sources.length,
    standInPersons,
    notSearched: data.notRead,
    removed,
    lookedFor: {
      ids: data.ids.length,
      addresses: data.mailboxes.length + data.addresses.length,
      prompts: data.prompts.length,
    },
    places,
    left: places.reduce((sum, place) => sum + place.left, 0),
  };
}

async function emptyTopic(
  log: TopicLog,
  options: Parameters<typeof scrubTopic>[1] & {
    readonly scrubber: LogScrubber;
    readonly faultPoint: FaultPoint;
  },
): Promise<number> {
  const emptied = await scrubTopic(log, options);
  options.faultPoint("erasing.emptied");
  await options.scrubber.rewrite(WEBHOOKS_TOPIC);
  options.faultPoint("erasing.rewritten");
  return emptied;
}

if (import.meta.main) Deno.exit(await runCommand(eraseCommand, Deno.args));
