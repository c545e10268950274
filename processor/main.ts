import { join } from "node:path";
import { systemClock, within } from "../runtime/clock.ts";
import type { Environment } from "../runtime/environment.ts";
import { listen } from "../runtime/listen.ts";
import { type RunningService, runService } from "../runtime/service.ts";
import type { Uncaught } from "../runtime/uncaught.ts";
import { createKeyedHashes } from "../contract/keyed_hash.ts";
import { consoleWarnings } from "../contract/door.ts";
import { DATASET_WRITER_GROUP, DISCOUNT_OFFERS_GROUP, WEBHOOKS_TOPIC } from "../contract/names.ts";
import type { PipelineStatus } from "../contract/processor_api.ts";
import { diskFreeBytes, enterDataDir, pipelineSecret } from "../runtime/data_dir.ts";
import { faultPointFrom } from "../runtime/stop_at_fault_point.ts";
import { groupLag } from "../topic/group_lag.ts";
import { openTopicLog } from "../topic/open_topic.ts";
import { SettingsWatch } from "../topic/settings_watch.ts";
import { LogSetupError, LogUnavailableError, type TopicLog } from "../topic/topic.ts";
import { DEAD_LETTER_TOPIC_SPEC, WEBHOOKS_TOPIC_SPEC } from "../topic/raw_topics.ts";
import { FACTS_TOPIC_SPEC } from "./facts/topic.ts";
import { openDatasetLocks } from "./dataset/files/locks.ts";
import { DatasetView } from "./dataset/files/dataset.ts";
import { openOfferStatus } from "./offers/sqlite/open.ts";
import { type ProcessorConfig, readProcessorConfig, startWarnings } from "./config.ts";
import { deadLetterApi } from "./dead_letters/api.ts";
import { DeadLetterList } from "./dead_letters/list.ts";
import { createDeadLetters } from "./dead_letters/service.ts";
import type { LoopHealth, LoopMessage } from "./loop/loop.ts";
import type { LoopName } from "./loop_messages.ts";
import { type StandingPartition, standingText } from "./loop/standing.ts";
import { readFigures } from "./figures.ts";
import { History } from "./history.ts";
import type { WindowFinding } from "./dataset/core/dedup_window.ts";
import { createLineIds } from "./record/line_id.ts";
import { prepare } from "./prepare.ts";
import { type RunningLoop, startLoop } from "./start_loop.ts";
import { openMailList, readMail } from "./offers/mail/list.ts";
import { createEventLines } from "./status/event_lines.ts";
import { createRebalanceLines, sayWhenCaughtUp } from "./status/group_lines.ts";
import { createProcessorMetrics } from "./status/metrics.ts";
import { topicConsumers } from "./status/consumers.ts";
import { LastHour } from "./status/last_hour.ts";
import { createStatusApi } from "./status/api.ts";
import { TraceStart } from "./trace_start.ts";
import { createTraceHub } from "./status/trace_hub.ts";
import { isLogged, log as say } from "../runtime/log.ts";

/** The composition root of the processor: its loops, each in a Worker, and the status API over what they tell. */

export type RunningProcessor = {
  readonly url: string;
  readonly port: number;
  /** Rejects when a loop had to stop, with its words; resolves after `stop`. */
  readonly ended: Promise<void>;
  /** Lets every loop finish its chunk, then lets go of everything. May be called twice. */
  stop(): Promise<void>;
};

const STATUS_KEPT_MS = 250;
const FIGURES_KEPT_MS = 2_000;
/** So long the log may take for a scrape, in ms: Prometheus gives up after 10 s by default. */
const METRICS_MS_MAX = 3_000;
/** An event stream has no end. */
const SHUTDOWN_MS_MAX = 1_000;

/**
 * Starts the processor on its DATA_DIR: listens at once, and its loops follow when topics and secret are there. Throws
 * where another process holds DATA_DIR, the port is taken, or a file of it cannot be used; nothing is held then.
 */
export async function startProcessor(
  config: ProcessorConfig,
  { uncaught = () => 0 }: { readonly uncaught?: () => number } = {},
): Promise<RunningProcessor> {
  const place = enterDataDir(config.dataDir, "processor");
  await using held = new AsyncDisposableStack();
  held.defer(() => place.release());
  const secret = pipelineSecret(config.dataDir, config.pipelineSecret ?? undefined);
  const hashes = createKeyedHashes(secret);
  const log = await openTopicLog(config.log, "processor");
  held.defer(() => log.close());

  const hub = createTraceHub(Date.now().toString(36));
  const trace = new TraceStart(hub);
  const settings = new SettingsWatch(log, {
    specs: [WEBHOOKS_TOPIC_SPEC, DEAD_LETTER_TOPIC_SPEC, FACTS_TOPIC_SPEC],
    clock: systemClock,
    report: say,
  });
  const metrics = createProcessorMetrics({ uncaught, breaches: () => settings.breaches });
  const health = new Map<string, LoopHealth>();
  const starting: { message: string | null } = { message: "the log's topics and the pipeline's secret" };
  const offers = openOfferStatus(config, { hashes });
  held.defer(() => offers.close());
  const list = new DeadLetterList(log);
  const dataset = new DatasetView(config.datasetDir);
  const standing = (group: string) => standingIn(group, { config, health });
  const status = statusSource({ log, letters: list, dataset, offers: () => offers.status(), standing });

  const lastHour = new LastHour(join(config.dataDir, "figures.json"), { clock: systemClock, say });
  const figures = kept(() => readFigures({ log, dataset, lastHour, clock: systemClock }), FIGURES_KEPT_MS);

  const letters = createDeadLetters({
    log,
    list,
    locks: () => openDatasetLocks(config.datasetDir),
    dedupWindow: config.dedupWindow,
    now: systemClock.now,
    faultPoint: faultPointFrom(config.faultPoint ?? undefined),
    refusalReason: () => whyNoRedrive(config, health),
    changed: status.forget,
  });
  const loops: RunningLoop[] = [];
  const history = new History({
    log,
    datasetDir: config.datasetDir,
    trainingEvents: config.trainingEvents,
    dedupWindow: config.dedupWindow,
    hashes,
    lineId: createLineIds(hashes.subject),
    letters: list,
    lookFor: (ids) => lookInWindows(loops, ids),
    showRaw: config.showRaw,
  });
  const app = createStatusApi({
    hub,
    notReady: () => notReady(config, { health, starting: starting.message }),
    staysOut: () =>
      [...health].filter(([, { is }]) => is === "stays_out").map(([name, { message }]) =>
        `${name}: ${message ?? ""}`
      ),
    warnings: () => settings.breaches.map(({ words }) => words),
    standing: () =>
      [...health].flatMap(([name, { standing = [] }]) =>
        standing.map((one) => `${name}: ${standingText(one)}`)
      ),
    status: status.look,
    consumers: () =>
      topicConsumers(log, {
        topic: WEBHOOKS_TOPIC,
        groups: [DATASET_WRITER_GROUP, DISCOUNT_OFFERS_GROUP],
        own: (group) =>
          seatsOf(config).filter(({ loop }) => loop === group).map(({ name }) => ({
            name,
            partitions: health.get(name)?.partitions ?? [],
          })),
      }),
    figures: figures.look,
    eventOf: (uuid, options) => history.eventOf(uuid, options),
    offerOf: (distinctId) => offers.offerOf(distinctId),
    codeIsValid: (code) => offers.codeIsValid(code),
    dataset: (query) => dataset.page(query),
    tail: (file, lines) => dataset.tail({ file, lines }),
    mails: openMailList(config.dataDir, config.smtp === null || config.mailbox ? "maildir" : "smtp"),
    mailSource: (messageId) => readMail(config.dataDir, messageId),
    deadLetters: deadLetterApi({ letters, showsRaw: config.showRaw }),
    metrics: async () => {
      // A log that is away is no reason to say nothing of the rest.
      const looking = status.look().catch((error) => {
        if (error instanceof LogUnavailableError || error instanceof LogSetupError) return null;
        throw error;
      });
      const now = await within(looking, { ms: METRICS_MS_MAX });
      return await metrics.text({
        status: now === "late" ? null : now,
        ...dataset.figures(),
        lettersByStep: list.everByStep(),
        diskFreeBytes: diskFreeBytes(config.dataDir),
      });
    },
    showsRaw: config.showRaw,
    console: config.console,
    clock: systemClock,
  });
  const answer = async (request: Request, info: object) => {
    const begun = performance.now();
    const response = await app.fetch(request, info);
    metrics.request(response.status, (performance.now() - begun) / 1_000);
    return response;
  };
  const { server, port, url } = listen(answer, {
    host: config.host,
    port: config.port,
    portSetting: "PROCESSOR_PORT",
    report: (text) => say("error", text),
  });
  held.defer(async () => void await within(server.shutdown(), { ms: SHUTDOWN_MS_MAX }));

  const stopping = new AbortController();
  const events = createEventLines({ clock: systemClock, say });
  const rebalances = createRebalanceLines(say, { rebalanced: metrics.rebalanced });
  const onMessage = ({ loop, name }: Seat) => (message: LoopMessage) => {
    if (message.kind === "steps") {
      trace.add(message.steps);
      if (isLogged("debug")) events.tell(message.steps);
    } else if (message.kind === "forget") trace.forget();
    else if (message.kind === "health") {
      health.set(name, message.health);
      // Whoever stops lets go of everything, which is no news.
      if (!stopping.signal.aborted) rebalances.look(name, message.health);
      // Where a record is refused, a setting may have changed.
      if (message.health.is === "failing") settings.lookSoon();
    } else if (message.kind === "latencies") {
      lastHour.sawLines(message.counts);
      metrics.lines(message.counts, message.sumMs);
    } else if (message.kind === "count") metrics.count(message.counter, message.by, message.label ?? loop);
    else say(message.level, `${name}: ${message.text}`, { loop: name, ...message.about });
  };
  const keeping = lastHour.keep(stopping.signal);
  const running = prepare(config, { log, hashes, signal: stopping.signal, starting }).then(() => {
    starting.message = null;
    if (stopping.signal.aborted) return;
    void settings.run(stopping.signal);
    void sayWhenCaughtUp(log, {
      groups: config.groups,
      clock: systemClock,
      say,
      saw: ({ group, lagSeconds }) => lastHour.sawLag(group, lagSeconds),
      signal: stopping.signal,
    });
    for (const seat of seatsOf(config)) {
      loops.push(startLoop(seat.loop, { config, pipelineSecret: secret, report: onMessage(seat) }));
    }
    void trace.begin(history, {
      clock: systemClock,
      signal: stopping.signal,
      isReady: () =>
        notReady(config, { health, starting: null }).every((words) =>
          !words.startsWith(DATASET_WRITER_GROUP)
        ),
    });
    return allEnded(loops);
  });
  const everything = held.move();
  let stopped: Promise<void> | null = null;
  const stop = async () => {
    stopping.abort();
    for (const loop of loops) loop.drain();
    await running.catch(() => {});
    await keeping;
    // Loops that drained have written lines since.
    await lastHour.save();
    await everything.disposeAsync();
  };
  return { url, port, ended: running, stop: () => stopped ??= stop() };
}

/** A writer that is in the middle of a chunk answers behind it: so long it is waited for, in ms. */
const WINDOWS_MS_MAX = 2_000;

async function lookInWindows(
  loops: readonly RunningLoop[],
  ids: readonly string[],
): Promise<readonly WindowFinding[]> {
  const found = await within(Promise.all(loops.map((loop) => loop.find(ids))), { ms: WINDOWS_MS_MAX });
  return found === "late" ? [] : found.flat();
}

/** A loop that runs here, by the name that its health and its log lines carry. */
type Seat = { readonly loop: LoopName; readonly name: string };

/** Where the members of a group that run here stand. */
function standingIn(
  group: string,
  { config, health }: { readonly config: ProcessorConfig; readonly health: ReadonlyMap<string, LoopHealth> },
): readonly StandingPartition[] {
  return seatsOf(config).filter(({ loop }) => loop === group).flatMap(({ name }) =>
    health.get(name)?.standing ?? []
  );
}

/** The view runs in every processor: any of them answers for an offer. */
function seatsOf({ groups, datasetWriters }: ProcessorConfig): readonly Seat[] {
  const one = (loop: LoopName): Seat => ({ loop, name: loop });
  const writers = Array.from(
    { length: groups.includes(DATASET_WRITER_GROUP) ? datasetWriters : 0 },
    (_, i): Seat =>
      i === 0 ? one("dataset-writer") : { loop: "dataset-writer", name: `dataset-writer ${i + 1}` },
  );
  const offers = groups.includes(DISCOUNT_OFFERS_GROUP) ? [one("discount-offers"), one("offer-sender")] : [];
  return [...writers, one("offer-view"), ...offers];
}

/** When one loop has to stop the others drain: half a processor would look alive. */
async function allEnded(loops: readonly RunningLoop[]): Promise<void> {
  try {
    await Promise.all(loops.map(({ ended }) => ended));
  } catch (error) {
    for (const loop of loops) loop.drain();
    await Promise.allSettled(loops.map(({ ended }) => ended));
    throw error;
  }
}

/** `/api/status`; one look at the log serves everybody who asks within a quarter of a second. */
function statusSource(
  { log, letters, dataset, offers, standing }: {
    readonly log: TopicLog;
    readonly letters: DeadLetterList;
    readonly dataset: DatasetView;
    readonly offers: () => Pick<PipelineStatus, "offers" | "mails">;
    /** Where this process's members of a group stand. */
    readonly standing: (group: string) => readonly StandingPartition[];
  },
): { readonly look: () => Promise<PipelineStatus>; readonly forget: () => void } {
  const read = async (): Promise<PipelineStatus> => {
    const now = Date.now();
    const [groups] = await Promise.all([
      Promise.all(
        [DATASET_WRITER_GROUP, DISCOUNT_OFFERS_GROUP].map((group) =>
          groupLag(log, { topic: WEBHOOKS_TOPIC, group, now, standing: () => standing(group) })
        ),
      ),
      letters.catchUp(),
    ]);
    const byReason = letters.byReason();
    const total = Object.values(byReason).reduce((sum, count) => sum + count, 0);
    return {
      log: log.kind,
      groups,
      dataset: dataset.totals(),
      ...offers(),
      deadLetters: { total, byReason },
      outcomes: { ...dataset.outcomes(), letters: letters.ever },
    };
  };
  return kept(read, STATUS_KEPT_MS);
}

/** One look serves everybody who asks within `ms`; one that failed, nobody else. */
function kept<T>(read: () => Promise<T>, ms: number) {
  let last: { readonly at: number; readonly found: Promise<T> } | null = null;
  const forget = () => last = null;
  const look = (): Promise<T> => {
    const at = performance.now();
    if (last === null || at - last.at > ms) {
      last = { at, found: read() };
      last.found.catch(forget);
    }
    return last.found;
  };
  return { look, forget };
}

/** The lock that keeps redrive, replay and erasure apart lies beside the dataset that the group writes. */
function whyNoRedrive({ groups }: ProcessorConfig, health: ReadonlyMap<string, LoopHealth>): string | null {
  const writes = groups.includes(DATASET_WRITER_GROUP) && health.get("dataset-writer")?.is !== "stays_out";
  return writes ? null : "This processor does not write the dataset: redrive where it is written.";
}

function notReady(
  config: ProcessorConfig,
  { health, starting }: {
    readonly health: ReadonlyMap<string, LoopHealth>;
    readonly starting: string | null;
  },
): string[] {
  if (starting !== null) return [`waits for ${starting}`];
  return seatsOf(config).flatMap(({ name }) => {
    const now = health.get(name);
    if (now?.is === "ready" || now?.is === "stays_out") return [];
    return [`${name}: ${now?.message ?? now?.is ?? "starting"}`];
  });
}

const USAGE = `Usage: deno task processor

Reads the raw topic in two consumer groups: dataset-writer writes training data, discount-offers counts uses and sends
the one discount e-mail. Configured by the environment: DATA_DIR, DATASET_DIR, HOST, PROCESSOR_PORT, KAFKA_BROKERS,
PROCESSOR_GROUPS, SMTP_URL, CONSOLE_PASSWORD, ALLOWED_HOSTS and more: see README.md.`;

async function run(environment: Environment, uncaught: Uncaught): Promise<RunningService> {
  const config = readProcessorConfig(environment);
  warn(config);
  const { url, ended, stop } = await startProcessor(config, { uncaught: () => uncaught.count });
  return { line: `${url} (${config.log.kind === "embedded" ? "embedded log" : "Kafka"})`, ended, stop };
}

function warn(config: ProcessorConfig): void {
  for (const words of [...startWarnings(config), ...consoleWarnings(config.console, config.host)]) {
    say("warn", words);
  }
}

if (import.meta.main) Deno.exit(await runService({ name: "processor", usage: USAGE }, run));
