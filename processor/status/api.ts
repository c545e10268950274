import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { Clock } from "../../runtime/clock.ts";
import { ConsoleDoor, type ConsoleSettings, isLocal, refusalAnswer, visitOf } from "../../contract/door.ts";
import type {
  EventDetail,
  Figures,
  MailListing,
  MailSearch,
  NoEvent,
  OfferFilter,
  OfferListing,
  OfferQuery,
  OfferView,
  PipelineStatus,
  TopicConsumers,
} from "../../contract/processor_api.ts";
import { OFFER_FILTERS } from "../../contract/processor_api.ts";
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
  /** Null where this processor has not made its view yet. */
  readonly offers: (query: OfferQuery) => Promise<OfferListing | null>;
  readonly offerOf: (distinctId: string) => Promise<OfferView | null>;
  readonly codeIsValid: (code: string) => boolean;
  /** Answers below `/api/dataset`. */
  readonly dataset: Hono;
  readonly mails: (
    query: { search: string | null; before: string | null; limit: number },
  ) => Promise<MailListing>;
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

/** Offers or mails of a page, at most; and offers unless another number is asked for, of mails as many as there may be. */
const LIMIT_MAX = 200;
const LIMIT = 50;
/** Where a page of offers, or of mails, goes on. */
const OFFER_CURSOR = /^\d{1,15}-\d{1,15}$/;
const MAIL_CURSOR = /^\d{1,16}\/[A-Za-z0-9@._-]{1,1000}$/;
/** A distinct_id has 1,000 bytes at most; so has what is asked for. */
const ID_CHARS_MAX = 1_000;
const SEARCH_CHARS_MAX = 200;
const SEARCH_BYTES_MAX = 8 * 1024;
const NO_VIEW = "The view of the offers is being made from the log's facts; nothing of it can be shown yet.";

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
  app.get("/api/offers", async (c) => {
    const query = offerQuery(c);
    if (query === null) {
      const message =
        `Expected state one of ${OFFER_FILTERS.join(", ")}, before as "older" of a page has it, ` +
        `search of 1 to ${ID_CHARS_MAX} characters, limit from 1 to ${LIMIT_MAX}.`;
      return c.json(problem("bad_request", message), 400);
    }
    const offers = await sources.offers(query);
    return offers ? c.json(offers) : c.json(problem("not_ready", NO_VIEW), 503);
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
  app.route("/api/dataset", sources.dataset);
  const mails = async (c: Context, query: Partial<Record<keyof MailSearch, unknown>>) => {
    const { search = null, before = null, limit = LIMIT_MAX } = query;
    const isRight = isLimit(limit) && isMatch(before, MAIL_CURSOR) && isMatch(search, /\S/) &&
      (search ?? "").length <= SEARCH_CHARS_MAX;
    if (isRight) return c.json(await sources.mails({ search, before, limit }));
    const message =
      `Expected before as "older" of a page has it, and limit from 1 to ${LIMIT_MAX}; to search, ` +
      `POST {"search":"…"} of 1 to ${SEARCH_CHARS_MAX} characters to /api/mails/search.`;
    return c.json(problem("bad_request", message), 400);
  };
  app.get("/api/mails", (c) => {
    const limit = c.req.query("limit");
    const asked = { before: c.req.query("before"), limit: limit === undefined ? LIMIT_MAX : Number(limit) };
    return "search" in c.req.query() ? mails(c, { search: 0 }) : mails(c, asked);
  });
  app.post("/api/mails/search", bodyLimit({ maxSize: SEARCH_BYTES_MAX, onError: tooLarge }), async (c) => {
    const body: unknown = await c.req.json().catch(() => null);
    const isSearch = typeof body === "object" && body !== null && "search" in body;
    return await mails(c, isSearch ? body : { search: 0 });
  });
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

/** Null where it asks for what there is not. */
function offerQuery(c: Context): OfferQuery | null {
  const { state = null, search = null, before = null, limit = String(LIMIT) } = c.req.query();
  const isRight = (state === null || OFFER_FILTERS.includes(state as OfferFilter)) &&
    isMatch(search, /^.+$/s) && (search ?? "").length <= ID_CHARS_MAX && isMatch(before, OFFER_CURSOR) &&
    isLimit(Number(limit));
  return isRight ? { state: state as OfferFilter | null, search, before, limit: Number(limit) } : null;
}

function isLimit(limit: unknown): limit is number {
  return typeof limit === "number" && Number.isInteger(limit) && limit >= 1 && limit <= LIMIT_MAX;
}

/** Nothing at all is right, too. */
function isMatch(value: unknown, pattern: RegExp): value is string | null {
  return value === null || (typeof value === "string" && pattern.test(value));
}

function tooLarge(c: Context): Response {
  return c.json(problem("body_too_large", `The body is longer than ${SEARCH_BYTES_MAX} bytes.`), 413);
}

function problem(code: string, message: string) {
  return { error: { code, message } };
}
