import { join } from "node:path";
import { systemClock, within } from "../runtime/clock.ts";
import { listen } from "../runtime/listen.ts";
import { once } from "../runtime/remember.ts";
import { createKeyedHashes } from "../contract/keyed_hash.ts";
import { DATASET_WRITER_GROUP, DISCOUNT_OFFERS_GROUP, WEBHOOKS_TOPIC } from "../contract/names.ts";
import type { PipelineStatus } from "../contract/processor_api.ts";
import { diskFreeBytes, enterDataDir, pipelineSecret } from "../runtime/data_dir.ts";
import { faultPointFrom } from "../runtime/fault_point.ts";
import { groupLag } from "../topic/group_lag.ts";
import { openTopicLog } from "../topic/open_topic.ts";
import { SettingsWatch } from "../topic/settings_watch.ts";
import { LogSetupError, LogUnavailableError, type TopicLog } from "../topic/topic.ts";
import { DEAD_LETTER_TOPIC_SPEC, WEBHOOKS_TOPIC_SPEC } from "../topic/raw_topics.ts";
import { FACTS_TOPIC_SPEC } from "./facts/topic.ts";
import { openDatasetLocks } from "./dataset/files/locks.ts";
import { datasetApi, datasetSources } from "./dataset/api.ts";
import { DatasetView } from "./dataset/reading/listing.ts";
import { openCurrent } from "./dataset/reading/open.ts";
import { DatasetReadError } from "./dataset/core/read_error.ts";
import { openOfferStatus } from "./offers/sqlite/open_status.ts";
import type { ProcessorConfig } from "./config.ts";
import { deadLetterApi } from "./dead_letters/api.ts";
import { DeadLetterList } from "./dead_letters/list.ts";
import { createDeadLetters } from "./dead_letters/service.ts";
import type { LoopHealth, LoopMessage } from "./loop/loop.ts";
import { type StandingPartition, standingText } from "./loop/standing.ts";
import { readFigures } from "./figures.ts";
import type { WindowFinding } from "./dataset/core/dedup_window.ts";
import { createLineIdsLater } from "./record/line_id_later.ts";
import { prepare } from "./prepare.ts";
import { type LoadedLoop, type RunningLoop, type Seat, seatsOf, startLoop } from "./start_loop.ts";
import { openMailList, readMail } from "./offers/mail/list.ts";
import { createEventLines } from "./status/event_lines.ts";
import { createRebalanceLines, sayWhenCaughtUp } from "./status/group_lines.ts";
import { createProcessorMetrics, type MetricsNow } from "./status/metrics.ts";
import { topicConsumers } from "./status/consumers.ts";
import { LastHour } from "./status/last_hour.ts";
import { createStatusApi } from "./status/api.ts";
import { createOfferList } from "./status/offer_list.ts";
import { TraceStart } from "./trace_start.ts";
import { createTraceHub } from "./status/trace_hub.ts";
import { isLogged, log as say } from "../runtime/log.ts";

/** The composition of the processor: its loops, each in a Worker, and the status API over what they tell. */

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
 * where another process holds DATA_DIR, the port is taken, or a file of it cannot be used; nothing is held then but
 * `loaded`, the loops' Workers in the order of {@link seatsOf}.
 */
export async function startProcessor(
  config: ProcessorConfig,
  { loaded, uncaught }: { readonly loaded: readonly LoadedLoop[]; readonly uncaught: () => number },
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
  const starting: { message: string | null } = {
    message: "waits for the log's topics and the pipeline's secret",
  };
  const offers = openOfferStatus(config, { hashes });
  held.defer(() => offers.close());
  const lineId = createLineIdsLater(hashes.subject);
  const offerList = createOfferList({ page: offers.page, log, hashes, lineId, clock: systemClock });
  const list = new DeadLetterList(log);
  const current = await openCurrent(config);
  held.defer(() => current.close());
  const dataset = new DatasetView(current);
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
  // What tells of the past comes with the first question.
  const history = once(async () => {
    const [{ History }, { createLineIds }] = await Promise.all([
      import("./history.ts"),
      import("./record/line_id.ts"),
    ]);
    return new History({
      log,
      dataset: current,
      trainingEvents: config.trainingEvents,
      dedupWindow: config.dedupWindow,
      hashes,
      lineId: createLineIds(hashes.subject),
      letters: list,
      offerById: (id) => offers.offerById(id),
      lookFor: (ids) => lookInWindows(loops, ids),
      showRaw: config.showRaw,
    });
  });
  const app = createStatusApi({
    hub,
    notReady: () => notReady(config, { health, starting: starting.message }),
    staysOut: () =>
      [...health].filter(([, { is }]) => is === "stays_out").map(([name, { message }]) =>
        `${name}: ${message ?? ""}`
      ),
    warnings: () => [
      ...settings.breaches.map(({ words }) => words),
      ...dataset.problem() === null ? [] : [dataset.problem()!],
    ],
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
    eventOf: async (uuid, options) => (await history()).eventOf(uuid, options),
    offers: offerList.list,
    offerOf: (distinctId) => offers.offerOf(distinctId),
    codeIsValid: (code) => offers.codeIsValid(code),
    dataset: datasetApi(datasetSources(current, { view: dataset, clock: systemClock })),
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
        ...await figuresKnown(dataset),
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
    } else if (message.kind === "forget") {
      trace.forget();
      offerList.forget();
    } else if (message.kind === "health") {
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
    for (const [i, seat] of seatsOf(config).entries()) {
      const report = onMessage(seat);
      loops.push(startLoop(seat.loop, { config, pipelineSecret: secret, report, loaded: loaded[i] }));
    }
    void trace.begin({ newestSteps: async (told, at) => (await history()).newestSteps(told, at) }, {
      clock: systemClock,
      signal: stopping.signal,
      isReady: () =>
        notReady(config, { health, starting: null }).every((words) =>
          !words.startsWith(DATASET_WRITER_GROUP) && !words.startsWith("offer-view")
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

/** Where the members of a group that run here stand. */
function standingIn(
  group: string,
  { config, health }: { readonly config: ProcessorConfig; readonly health: ReadonlyMap<string, LoopHealth> },
): readonly StandingPartition[] {
  return seatsOf(config).filter(({ loop }) => loop === group).flatMap(({ name }) =>
    health.get(name)?.standing ?? []
  );
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
    const known = await Promise.all([dataset.totals(), dataset.outcomes()]).catch(unlessAway(dataset));
    const byReason = letters.byReason();
    const total = Object.values(byReason).reduce((sum, count) => sum + count, 0);
    return {
      log: log.kind,
      groups,
      dataset: known?.[0] ?? { records: 0, bytes: 0, files: 0 },
      ...dataset.problem() === null ? {} : { datasetProblem: dataset.problem()! },
      ...offers(),
      deadLetters: { total, byReason },
      ...known === null ? {} : { outcomes: { ...known[1], letters: letters.ever } },
    };
  };
  return kept(read, STATUS_KEPT_MS);
}

/** Null where nothing is known of the dataset because its bucket is away; any other error is thrown on. */
function unlessAway(dataset: DatasetView): (error: unknown) => null {
  return (error) => {
    if (error instanceof DatasetReadError && dataset.problem() !== null) return null;
    throw error;
  };
}

async function figuresKnown(
  dataset: DatasetView,
): Promise<Pick<MetricsNow, "ever" | "placeholders" | "promptLengths">> {
  return await dataset.figures().catch(unlessAway(dataset)) ??
    { ever: null, placeholders: {}, promptLengths: [] };
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
  if (starting !== null) return [starting];
  return seatsOf(config).flatMap(({ name }) => {
    const now = health.get(name);
    if (now?.is === "ready" || now?.is === "stays_out") return [];
    return [`${name}: ${now?.message ?? now?.is ?? "starting"}`];
  });
}
