import { Hono } from "hono";
import type { Clock } from "../../runtime/clock.ts";
import { ConsoleDoor, type ConsoleSettings, isLocal, refusalAnswer, visitOf } from "../../contract/door.ts";
import type {
  DatasetPage,
  DatasetTail,
  EventDetail,
  Figures,
  MailListing,
  NoEvent,
  OfferView,
  PipelineStatus,
  TopicConsumers,
} from "../../contract/processor_api.ts";
import { eventStream } from "./event_stream.ts";
import type { TraceHub } from "./trace_hub.ts";

/** What the status API shows; every part is asked at the time of the request. */
export type StatusSources = {
  readonly hub: TraceHub;
  /** Which loops are not ready, and why; empty where all are. */
  readonly notReady: () => readonly string[];
  /** Groups that this processor stays out of for good, in words. */
  readonly staysOut: () => readonly string[];
  /** Settings of topics that break a promise, in words. */
  readonly warnings: () => readonly string[];
  /** Partitions that stand at what cannot be read, in words; the others flow, so that the processor is ready. */
  readonly standing: () => readonly string[];
  readonly status: () => Promise<PipelineStatus>;
  /** Who reads the topic. */
  readonly consumers: () => Promise<TopicConsumers>;
  readonly figures: () => Promise<Figures>;
  /** What has become of one event. */
  readonly eventOf: (uuid: string, options: { readonly withRaw: boolean }) => Promise<EventDetail | NoEvent>;
  readonly offerOf: (distinctId: string) => Promise<OfferView | null>;
  readonly codeIsValid: (code: string) => boolean;
  readonly dataset: (query: { limit: number; before: string | null; after: string | null }) => DatasetPage;
  readonly tail: (file: string, lines: number) => DatasetTail | null;
  readonly mails: () => Promise<MailListing>;
  /** The `.eml` of one message; null where there is none. */
  readonly mailSource: (messageId: string) => Uint8Array | null;
  /** Answers below `/api/dead-letters`. */
  readonly deadLetters: Hono;
  readonly metrics: () => Promise<string>;
  /** `SHOW_RAW`: steps carry prompts before sanitising, so only this machine's own pages may read them. */
  readonly showsRaw: boolean;
  /** Who may ask. */
  readonly console: ConsoleSettings;
  readonly clock: Clock;
};

/** Open without a password to this machine: what looks after the service has none. */
const HEALTH_PATHS = ["/healthz", "/readyz", "/metrics"];
const EVENT_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const NO_SUCH_EVENT = "Nothing is known of this event in what was looked at: see lookedAt.";
const TAIL_LINES_MAX = 1_000;
/** Dataset partitions of a page, at most and unless another number is asked for. */
const DATASET_LIMIT_MAX = 500;
const DATASET_LIMIT = 50;
/** Where a page of the dataset goes on: a date and an event's name as its directory has it. */
const DATASET_CURSOR = /^\d{4}-\d\d-\d\d\/.{1,1000}$/s;

/**
 * The processor's HTTP API: health, metrics, status, trace steps as server-sent events, offers, dataset, mails and
 * dead letters. All of it is the operator's console. Every error is JSON with a code; what a source throws is a 503. With
 * raw prompts shown, `/api/events` answers this machine only.
 */
export function createStatusApi(sources: StatusSources): Hono {
  const app = new Hono();
  const door = new ConsoleDoor(sources.clock.monotonic);
  app.use(async (c, next) => {
    const visit = visitOf(c.req.raw, c.env);
    if (HEALTH_PATHS.includes(c.req.path) && isLocal(visit)) return await next();
    const refusal = door.refusal(visit, sources.console);
    return refusal ? refusalAnswer(refusal) : await next();
  });
  app.get("/healthz", (c) => c.json({ status: "ok" }));
  app.get("/readyz", (c) => {
    const waitsFor = sources.notReady();
    const beside = {
      staysOut: sources.staysOut(),
      standing: sources.standing(),
      warnings: sources.warnings(),
    };
    return waitsFor.length === 0
      ? c.json({ status: "ready", ...beside })
      : c.json({ status: "not_ready", waitsFor, ...beside }, 503);
  });
  app.get(
    "/metrics",
    async (c) => c.text(await sources.metrics(), 200, { "content-type": "text/plain; version=0.0.4" }),
  );
  app.get("/api/status", async (c) => c.json(await sources.status()));
  app.get("/api/topic", async (c) => c.json(await sources.consumers()));
  app.get("/api/figures", async (c) => c.json(await sources.figures()));
  app.get("/api/events", (c) => {
    if (sources.showsRaw && !isLocal(visitOf(c.req.raw, c.env))) {
      return c.json(problem("forbidden", "Raw prompts are shown to this machine only: unset SHOW_RAW."), 403);
    }
    return eventStream(sources.hub, {
      lastEventId: c.req.header("last-event-id") ?? null,
      clock: sources.clock,
    });
  });
  app.get("/api/events/:uuid", async (c) => {
    const uuid = c.req.param("uuid");
    if (!EVENT_ID.test(uuid)) {
      return c.json(problem("bad_request", "Expected an event's uuid."), 400);
    }
    const withRaw = sources.showsRaw && isLocal(visitOf(c.req.raw, c.env));
    const event = await sources.eventOf(uuid, { withRaw });
    return "uuid" in event
      ? c.json(event)
      : c.json({ ...problem("not_found", NO_SUCH_EVENT), ...event }, 404);
  });
  app.get("/api/offers/:id", async (c) => {
    const offer = await sources.offerOf(c.req.param("id"));
    return offer
      ? c.json(offer)
      : c.json(problem("not_found", "Nobody of this id has used anything yet."), 404);
  });
  app.get("/api/discounts/:code", (c) => {
    const valid = sources.codeIsValid(c.req.param("code"));
    return c.json({ valid }, valid ? 200 : 404);
  });
  app.get("/api/dataset", (c) => {
    const file = c.req.query("file");
    if (file === undefined) {
      const limit = Number(c.req.query("limit") ?? DATASET_LIMIT);
      const [before = null, after = null] = [c.req.query("before"), c.req.query("after")];
      const isKnown = [before, after].every((cursor) => cursor === null || DATASET_CURSOR.test(cursor));
      if (
        Number.isInteger(limit) && limit >= 1 && limit <= DATASET_LIMIT_MAX && isKnown && !(before && after)
      ) {
        return c.json(sources.dataset({ limit, before, after }));
      }
      const message =
        `Expected limit from 1 to ${DATASET_LIMIT_MAX}, and before or after as "older" and "newer" ` +
        "of a page have it.";
      return c.json(problem("bad_request", message), 400);
    }
    const lines = Number(c.req.query("lines") ?? "50");
    if (!Number.isInteger(lines) || lines < 1 || lines > TAIL_LINES_MAX) {
      return c.json(
        problem("bad_request", `lines: expected a whole number from 1 to ${TAIL_LINES_MAX}.`),
        400,
      );
    }
    const tail = sources.tail(file, lines);
    return tail ? c.json(tail) : c.json(problem("not_found", "The dataset has no such file."), 404);
  });
  app.get("/api/mails", async (c) => c.json(await sources.mails()));
  app.get("/api/mails/:messageId", (c) => {
    const source = sources.mailSource(c.req.param("messageId"));
    if (!source) return c.json(problem("not_found", "There is no such mail."), 404);
    return c.body(new Uint8Array(source), 200, { "content-type": "message/rfc822" });
  });
  app.route("/api/dead-letters", sources.deadLetters);
  app.notFound((c) => c.json(problem("not_found", "There is nothing at this path."), 404));
  app.onError((error, c) => c.json(problem("unavailable", error.message), 503));
  return app;
}

function problem(code: string, message: string) {
  return { error: { code, message } };
}
