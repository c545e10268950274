import { join } from "node:path";
import { systemClock } from "../../runtime/clock.ts";
import {
  decodeJson,
  parseEnvelope,
  type PosthogEnvelope,
  readLabel,
  recordId,
  toRecord,
} from "../../contract/envelope.ts";
import { type HeldLock, tryLockFile } from "../../runtime/data_dir.ts";
import { isThere } from "../../runtime/durable_file.ts";
import { EnvironmentReader } from "../../runtime/environment.ts";
import { BODY_BYTES_MAX, WEBHOOKS_TOPIC } from "../../contract/names.ts";
import { EMAIL_UNSUBSCRIBED, FEATURE_USED } from "../../contract/product_events.ts";
import { type ProcessorConfig, readCommandConfig } from "../../processor/config.ts";
import { DeadLetterIndex } from "../../processor/dead_letters/mod.ts";
import { writesOptOut } from "../../processor/offers/mod.ts";
import { WEBHOOKS_TOPIC_SPEC } from "../../topic/raw_topics.ts";
import type { RecordToPublish, TopicLog } from "../../topic/topic.ts";
import { fileSource } from "./file.ts";
import { createProgress, type Progress } from "./progress.ts";
import { type BackfillSource, querySource } from "./sources.ts";
import {
  type Command,
  CommandFailedError,
  type CommandLine,
  grouped,
  print,
  printError,
  printJson,
  runCommand,
  UsageError,
  withLog,
} from "../command.ts";

/** `deno task backfill`: events that PostHog has and the topic lacks, through the same envelope as a webhook. */
export const backfillCommand: Command = {
  help: `Publishes events that PostHog has and the topic does not hold yet.

Usage: deno task backfill --from T --until T [--json]
       deno task backfill --file F [--all-events] [--json]

  --from, --until  event times, ISO 8601 (2025-11-30 or 2025-11-30T12:00:00Z; until is exclusive): events are read from
                   PostHog's query API with POSTHOG_PERSONAL_API_KEY, POSTHOG_PROJECT_ID and POSTHOG_API_HOST
  --file           events are read from a file of a batch export: JSON Lines, as it is or in gzip or zstd, or Parquet
                   (known by what it begins with, not by its name); - is standard input
  --all-events     of a file all events are published, not only those that the pipeline uses (TRAINING_EVENTS, uses,
                   opt-outs, and who a person is)
  --json           the result as JSON: {"read":0,"published":0,"held":0,"unused":0,"refused":0}

First the ids that the topic holds are read (from 24 h before --from on, by received time), so an event is published once,
whatever DEDUP_WINDOW is, and the command may be called again after it was stopped. Backfilled events become training
data and count, but never arm a mail and never change an address. A file that ends in the middle of a line, or is damaged,
gives all that lies before; the exit code is then 1.
`,
  options: {
    from: { type: "string" },
    until: { type: "string" },
    file: { type: "string" },
    "all-events": { type: "boolean" },
  },
  async run(line) {
    const wish = wishOf(line);
    line.ifStopped(() =>
      "what was published until then is in the topic. The same command again publishes the rest."
    );
    const config = readCommandConfig(Deno.env.toObject());
    const used = [...new Set([...config.trainingEvents, ...ALWAYS_READ])];
    // Looked at before a log is made: with a mistyped FILE nothing is.
    const source = wish.kind === "file"
      ? await fileSource(wish.path)
      : querySource(queryApi(), { ...wish.range, events: used });
    const isUsed = wish.kind === "file" && !wish.allEvents
      ? ({ event, properties }: PosthogEnvelope) => used.includes(event) || writesOptOut(properties)
      : () => true;
    const receivedFrom = wish.kind === "file" ? 0 : Date.parse(wish.range.from) - DAY_MS;
    const result = await backfill(config, { source, isUsed, receivedFrom });
    const { read, published, held, unused, refused } = result;
    const counted = `${grouped(read)} read, ${grouped(published)} published, ${
      grouped(held)
    } in the topic already, ${grouped(refused)} refused`;
    if (line.json) printJson(result);
    else {
      const rest = unused === 0 ? "" : `, ${grouped(unused)} not used here (--all-events takes them too)`;
      print(counted + rest);
    }
    if (refused > 0) {
      throw new CommandFailedError(
        `Cannot publish ${refused} of ${read}: they are named above; the others are in the topic.`,
      );
    }
  },
};

type Wish =
  | { readonly kind: "file"; readonly path: string; readonly allEvents: boolean }
  | { readonly kind: "api"; readonly range: { readonly from: string; readonly until: string } };

/** Of `read` each is one of the others; `unused`: of no use to the pipeline. */
export type BackfillResult = {
  read: number;
  published: number;
  held: number;
  unused: number;
  refused: number;
};

/** Beside the training events. */
const ALWAYS_READ = [
  FEATURE_USED,
  EMAIL_UNSUBSCRIBED,
  "$identify",
  "$create_alias",
  "$merge_dangerously",
  "$set",
];
const DAY_MS = 86_400_000;
const PUBLISHED_AT_ONCE_MAX = 100;
/** Refused events that are named one by one. */
const NAMED_MAX = 20;

function wishOf({ positionals, values }: CommandLine): Wish {
  const { from, until, file, "all-events": allEvents = false } = values;
  const byTime = typeof from === "string" && typeof until === "string";
  if (
    positionals.length > 0 || (typeof file === "string") === byTime ||
    (typeof from === "string") !== (typeof until === "string")
  ) {
    throw new UsageError("Expected --from T and --until T, or --file F.");
  }
  if (typeof file === "string") return { kind: "file", path: file, allEvents: allEvents === true };
  if (allEvents) {
    throw new UsageError("Expected --all-events with --file: PostHog is asked for what is used alone.");
  }
  const range = { from: timeOf("--from", from as string), until: timeOf("--until", until as string) };
  if (range.from >= range.until) throw new UsageError("Expected --until behind --from.");
  return { kind: "api", range };
}

function timeOf(option: string, text: string): string {
  const zoned = /^\d{4}-\d{2}-\d{2}$/.test(text)
    ? `${text}T00:00:00Z`
    : /[zZ]|[+-]\d{2}:?\d{2}$/.test(text)
    ? text
    : `${text}Z`;
  const time = Date.parse(zoned);
  if (Number.isNaN(time) || !/^\d{4}-\d{2}-\d{2}/.test(text)) {
    throw new UsageError(`Cannot read ${option} "${text}": expected a time such as 2025-11-30T12:00:00Z.`);
  }
  return new Date(time).toISOString();
}

function queryApi() {
  const env = new EnvironmentReader(Deno.env.toObject());
  const needed = (name: string, what: string) => {
    const value = env.optional(name);
    if (value === undefined) env.refuse(`Cannot ask PostHog: ${name} is not set (${what}).`);
    return value ?? "";
  };
  const host = env.url("POSTHOG_API_HOST", appHost(env.url("POSTHOG_HOST", "https://us.posthog.com")));
  const api = {
    host,
    personalApiKey: needed("POSTHOG_PERSONAL_API_KEY", "a personal API key with the scope query:read"),
    projectId: needed("POSTHOG_PROJECT_ID", "the number in the project's address"),
    fetch,
    clock: systemClock,
  };
  env.finish();
  return api;
}

/** Events go to `us.i.posthog.com`, the API answers at `us.posthog.com`. */
function appHost(captureHost: string): string {
  return captureHost.replace(/^(https:\/\/[a-z]+)\.i\.posthog\.com$/, "$1.posthog.com");
}

type Work = {
  readonly source: BackfillSource;
  readonly isUsed: (envelope: PosthogEnvelope) => boolean;
};

function backfill(
  config: ProcessorConfig,
  { receivedFrom, ...work }: Work & { readonly receivedFrom: number },
): Promise<BackfillResult> {
  return withLog(config, async (log) => {
    const place = takePlace(config.dataDir);
    try {
      await log.ensureTopic(WEBHOOKS_TOPIC_SPEC);
      const held = await withProgress(
        "looking at the topic",
        (progress) => heldIds(log, { receivedFrom, progress }),
      );
      return await withProgress("publishing", (progress) => publishMissing(log, { ...work, held, progress }));
    } finally {
      place?.release();
    }
  });
}

/**
 * Of two at once each would publish what the other does, and beyond DEDUP_WINDOW both would count. Null where DATA_DIR is
 * missing (on Kafka, away from the services): nobody else works in it.
 */
function takePlace(dataDir: string): HeldLock | null {
  if (!isThere(dataDir)) return null;
  const place = tryLockFile(join(dataDir, "backfill.lock"));
  if (place !== null) return place;
  throw new CommandFailedError(
    `Cannot backfill now: another backfill is under way on DATA_DIR "${dataDir}". Wait for its end.`,
  );
}

async function withProgress<T>(what: string, work: (progress: Progress) => Promise<T>): Promise<T> {
  const encoder = new TextEncoder();
  const progress = createProgress({
    what,
    write: (text) => void Deno.stderr.writeSync(encoder.encode(text)),
    columns: Deno.stderr.isTerminal() ? columnsOr(80) : null,
    clock: systemClock,
  });
  try {
    return await work(progress);
  } finally {
    progress.clear();
  }
}

function columnsOr(otherwise: number): number {
  try {
    return Deno.consoleSize().columns;
  } catch {
    return otherwise;
  }
}

/** Ids of the records that were received at or after a time (milliseconds since 1970). */
async function heldIds(
  log: TopicLog,
  { receivedFrom, progress }: { readonly receivedFrom: number; readonly progress: Progress },
): Promise<Set<string>> {
  const held = new Set<string>();
  // What stands unread may hold any event. Once it is set aside its events are missing, and this brings them back.
  const { unreadable } = new DeadLetterIndex(log);
  const bounds = await log.bounds(WEBHOOKS_TOPIC);
  const total = bounds.reduce((sum, { startOffset, endOffset }) => sum + endOffset - startOffset, 0);
  let read = 0;
  for (const { partition, startOffset, endOffset } of bounds) {
    const range = { partition, from: startOffset, until: endOffset, unreadable };
    for await (const { records } of log.read(WEBHOOKS_TOPIC, range)) {
      progress.at(read += records.length, read / total);
      for (const { timestamp, headers, value } of records) {
        if (timestamp >= receivedFrom) held.add(recordId(readLabel(headers), value));
      }
    }
  }
  return held;
}

async function publishMissing(
  log: TopicLog,
  { source, isUsed, held, progress }: Work & { readonly held: Set<string>; readonly progress: Progress },
): Promise<BackfillResult> {
  const result: BackfillResult = { read: 0, published: 0, held: 0, unused: 0, refused: 0 };
  let waiting: RecordToPublish[] = [];
  const flush = async () => {
    if (waiting.length > 0) await log.publish(WEBHOOKS_TOPIC, waiting);
    result.published += waiting.length;
    waiting = [];
  };
  const refuse = (where: string, reason: string) => {
    if (++result.refused > NAMED_MAX) return;
    progress.clear();
    printError(`${where}: ${reason}`);
  };
  for await (const event of source.events) {
    progress.at(++result.read, source.share());
    if (!event.ok) {
      refuse(event.where, event.reason);
      continue;
    }
    const outcome = parseEnvelope(decodeJson(event.body));
    if (!outcome.ok) refuse(`event ${result.read}`, outcome.reason);
    else if (!isUsed(outcome.envelope)) result.unused++;
    else if (event.body.length > BODY_BYTES_MAX) {
      refuse(`event ${result.read}`, `larger than ${BODY_BYTES_MAX} bytes`);
    } else {
      const { id, ...record } = toRecord(event.body, outcome, { receivedAt: Date.now(), source: "backfill" });
      if (held.has(id)) result.held++;
      else {
        held.add(id);
        waiting.push(record);
        if (waiting.length >= PUBLISHED_AT_ONCE_MAX) await flush();
      }
    }
  }
  await flush();
  return result;
}

if (import.meta.main) Deno.exit(await runCommand(backfillCommand, Deno.args));
