import { Hono } from "hono";
import type { EnvelopeRecord } from "../contract/envelope.ts";
import type { Clock } from "../runtime/clock.ts";
import {
  ConsoleDoor,
  type ConsoleSettings,
  hostNameIn,
  hostRefusal,
  refusalAnswer,
  visitOf,
} from "../contract/door.ts";
import type { Room } from "../runtime/room.ts";
import type { Handler } from "../runtime/http/connection.ts";
import { type HeaderReader, headersIn } from "../runtime/http/request.ts";
import { remembering } from "../runtime/remember.ts";
import { isTracing } from "../runtime/telemetry/tracing.ts";
import { stackOf } from "../runtime/uncaught.ts";
import { json, refusalResponse } from "./answer.ts";
import type { Authenticity } from "./authenticity.ts";
import { type BodyReader, tooBusy } from "./body.ts";
import type { IngestLimits } from "./config.ts";
import type { IngestMetrics } from "./metrics.ts";
import type { Publisher } from "./publisher.ts";
import type { Readiness } from "./readiness.ts";
import type { Report } from "./seldom.ts";
import { publishUnderSpan, underRequestSpan } from "./spans.ts";
import { checkContent, readWebhook, type Refusal } from "./webhook.ts";

export type IngestAppOptions = {
  readonly authenticity: Authenticity;
  readonly publisher: Publisher;
  readonly inFlight: Room;
  readonly bodies: BodyReader;
  readonly metrics: IngestMetrics;
  readonly readiness: () => Promise<Readiness>;
  readonly unsubscribe: (request: Request, from: string | null) => Promise<Response>;
  readonly recent: () => Promise<unknown>;
  readonly console: ConsoleSettings;
  readonly limits: IngestLimits;
  readonly clock: Clock;
  readonly report: Report;
};

/** What each address takes; HEAD goes where GET does. */
const METHODS: ReadonlyMap<string, string> = new Map([
  ["/api/webhooks", "POST"],
  ["/unsubscribe", "GET, HEAD, POST"],
  ...["/healthz", "/readyz", "/metrics", "/api/recent"].map((path) => [path, "GET, HEAD"] as const),
]);

/** Host headers whose verdict is remembered. */
const HOSTS_REMEMBERED = 1_000;

/** What the server knows of a connection. */
type Peer = { readonly Bindings: { readonly remoteAddr?: { readonly hostname?: string } } };

/** The addresses of ingest and what they answer, as CONTRACT has them. */
export function createIngestApp(options: IngestAppOptions): Handler {
  const { clock, metrics } = options;
  // Not strict: a trailing slash is the same address. PostHog takes a redirect for a failure.
  const app = new Hono<Peer>({ strict: false });

  app.post("/api/webhooks", async ({ req, env }) => {
    const began = clock.monotonic();
    const take = (trace: string | null) => takeWebhook(req.raw, { from: peerOf(env), trace }, options);
    const response = await (isTracing ? underRequestSpan(req.raw.headers, take) : take(null));
    metrics.webhook(response.status, (clock.monotonic() - began) / 1000);
    return response;
  });

  app.on(["GET", "POST"], "/unsubscribe", async ({ req, env }) => {
    const response = await options.unsubscribe(req.raw, peerOf(env));
    metrics.unsubscribe(response.status);
    return response;
  });

  app.get("/healthz", () => json(200, { status: "ok" }));
  app.get("/readyz", async () => {
    const readiness = await options.readiness();
    return json(readiness.status === "ready" ? 200 : 503, readiness);
  });
  app.get(
    "/metrics",
    async () => new Response(await metrics.text(), { headers: { "content-type": metrics.contentType } }),
  );
  const door = new ConsoleDoor(clock.monotonic);
  app.get("/api/recent", async ({ req, env }) => {
    const refusal = door.refusal(visitOf(req.raw, env), options.console);
    return refusal
      ? refusalAnswer(refusal)
      : json(200, await options.recent(), { "cache-control": "no-store" });
  });

  // Not a route of their own for all other methods: an address with two routes costs each webhook Hono's chain of handlers.
  app.notFound(({ req }) => {
    const methods = METHODS.get(req.path);
    return refusalResponse(
      methods === undefined
        ? { status: 404, code: "not_found", message: "webhooks go to POST /api/webhooks" }
        : notAllowed(methods),
    );
  });
  app.onError((error) => {
    options.report("error", `a request failed: ${stackOf(error)}`);
    return refusalResponse({ status: 500, code: "internal", message: "ingest failed: see its log" });
  });
  // Not a middleware of the app, which would cost each webhook as much as reading it.
  const misdirected = remembering((host) => hostRefusal({ host: hostNameIn(host) }, options.console), {
    entriesMax: HOSTS_REMEMBERED,
  });
  return (request, peer) => {
    const refusal = misdirected(headersIn(request).get("host") ?? "");
    return refusal === null ? app.fetch(request, peer) : refusalResponse(refusal);
  };
}

function peerOf(env: Peer["Bindings"] | undefined): string | null {
  return env?.remoteAddr?.hostname ?? null;
}

/** Everything that the headers alone can say comes first: who sends nothing good gets no byte of the body read. */
async function takeWebhook(
  request: Request,
  { from, trace }: { readonly from: string | null; readonly trace: string | null },
  options: IngestAppOptions,
): Promise<Response> {
  const { authenticity, limits } = options;
  const headers = headersIn(request);
  const early = authenticity.checkHeaders(headers) ?? checkContent(headers, limits);
  if (early) return refusalResponse(early);
  const place = options.inFlight.enter({ from, proven: authenticity.headersProve });
  if (place === null) return refusalResponse(tooBusy);
  try {
    const body = await options.bodies.read(request, place, { bytesMax: limits.bodyBytesMax });
    if (body.refusal) return refusalResponse(body.refusal);
    const wrong = authenticity.checkBody(headers, body.bytes) ?? (place.prove() ? null : tooBusy);
    if (wrong) return refusalResponse(wrong);
    return await publish({ headers, bytes: body.bytes, trace }, options);
  } finally {
    place.leave();
  }
}

async function publish(
  { headers, bytes, trace }: {
    readonly headers: HeaderReader;
    readonly bytes: Uint8Array;
    readonly trace: string | null;
  },
  { clock, publisher }: IngestAppOptions,
): Promise<Response> {
  const webhook = readWebhook(headers, bytes, { receivedAt: clock.now() });
  if (webhook.is === "refused") return refusalResponse(webhook.refusal);
  const publish = (record: EnvelopeRecord) => publisher.publish(record);
  const outcome =
    await (isTracing
      ? publishUnderSpan(webhook.record, { trace, publish })
      : publisher.publish(webhook.record));
  switch (outcome.is) {
    case "published":
    case "spooled":
      return webhook.is === "event"
        ? json(200, { status: "ok", id: webhook.record.id })
        : json(202, { status: "dead_letter", reason: webhook.reason });
    case "refused":
      return refusalResponse(refusedByLog);
    case "unavailable":
      return refusalResponse(unavailable);
  }
}

const unavailable: Refusal = {
  status: 503,
  code: "unavailable",
  message: "neither log nor spool can take a webhook now: try again later",
};

const refusedByLog: Refusal = {
  status: 503,
  code: "refused_by_log",
  message:
    "the log is set up so that it does not take this webhook: its operator has been told, try again later",
};

function notAllowed(allow: string): Refusal {
  return { status: 405, code: "method_not_allowed", message: `expected ${allow}`, allow };
}
