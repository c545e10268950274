import { Hono } from "hono";
import type { Clock } from "../runtime/clock.ts";
import { hostRefusal, type HostSettings, visitOf } from "../contract/door.ts";
import { json, refusalResponse, refuseUnread } from "./answer.ts";
import type { Authenticity } from "./authenticity.ts";
import { type BodyOptions, readBody, tooBusy } from "./body.ts";
import type { IngestLimits } from "./config.ts";
import type { InFlight } from "./in_flight.ts";
import type { IngestMetrics } from "./metrics.ts";
import type { Publisher, Report } from "./publisher.ts";
import type { Readiness } from "./readiness.ts";
import { checkContent, readWebhook, type Refusal, tooLarge } from "./webhook.ts";

export type IngestAppOptions = {
  readonly authenticity: Authenticity;
  readonly publisher: Publisher;
  readonly inFlight: InFlight;
  readonly body: Omit<BodyOptions, "bytesMax">;
  readonly metrics: IngestMetrics;
  readonly readiness: () => Promise<Readiness>;
  readonly unsubscribe: (request: Request) => Promise<Response>;
  readonly hosts: HostSettings;
  readonly limits: IngestLimits;
  readonly clock: Clock;
  readonly report: Report;
};

/** The addresses of ingest and what they answer, as CONTRACT has them. */
export function createIngestApp(options: IngestAppOptions): Hono {
  const { clock, metrics } = options;
  // Not strict: a trailing slash is the same address. PostHog takes a redirect for a failure.
  const app = new Hono({ strict: false });

  app.use(async ({ req }, next) => {
    const misdirected = hostRefusal(visitOf(req.raw, null), options.hosts);
    return misdirected ? await refuseUnread(req.raw, misdirected) : await next();
  });

  app.post("/api/webhooks", async ({ req }) => {
    const began = clock.monotonic();
    const response = await takeWebhook(req.raw, options);
    metrics.webhook(response.status, (clock.monotonic() - began) / 1000);
    return response;
  });
  app.all("/api/webhooks", ({ req }) => refuseUnread(req.raw, notAllowed("POST")));

  app.on(["GET", "POST"], "/unsubscribe", async ({ req }) => {
    const response = await options.unsubscribe(req.raw);
    metrics.unsubscribe(response.status);
    return response;
  });
  app.all("/unsubscribe", ({ req }) => refuseUnread(req.raw, notAllowed("GET, HEAD, POST")));

  app.get("/healthz", () => json(200, { status: "ok" }));
  app.get("/readyz", async () => {
    const readiness = await options.readiness();
    return json(readiness.status === "ready" ? 200 : 503, readiness);
  });
  app.get(
    "/metrics",
    async () => new Response(await metrics.text(), { headers: { "content-type": metrics.contentType } }),
  );
  for (const path of ["/healthz", "/readyz", "/metrics"]) {
    app.all(path, ({ req }) => refuseUnread(req.raw, notAllowed("GET, HEAD")));
  }

  app.notFound(({ req }) =>
    refuseUnread(req.raw, { status: 404, code: "not_found", message: "webhooks go to POST /api/webhooks" })
  );
  app.onError((error, { req }) => {
    options.report("error", `a request failed: ${error.stack ?? error.message}`);
    return refuseUnread(req.raw, { status: 500, code: "internal", message: "ingest failed: see its log" });
  });
  return app;
}

/** Everything that the headers alone can say comes first: who sends nothing good gets no byte of the body read. */
async function takeWebhook(request: Request, options: IngestAppOptions): Promise<Response> {
  const { authenticity, inFlight, limits } = options;
  const early = authenticity.checkHeaders(request.headers) ?? checkContent(request.headers, limits);
  if (early) return await refuseUnread(request, early);
  if (!inFlight.enter()) return await refuseUnread(request, tooBusy);
  let taken = 0;
  try {
    const body = await readBody(request, { ...options.body, bytesMax: limits.bodyBytesMax });
    taken = body.taken;
    if (body.refusal) return await refuseUnread(request, body.refusal, body.rest);
    const wrong = authenticity.checkBody(request.headers, body.bytes);
    return wrong ? refusalResponse(wrong) : await publish(request.headers, body.bytes, options);
  } finally {
    inFlight.leave(taken);
  }
}

async function publish(headers: Headers, bytes: Uint8Array, options: IngestAppOptions): Promise<Response> {
  const webhook = readWebhook(headers, bytes, { receivedAt: options.clock.now() });
  if (webhook.is === "refused") return refusalResponse(webhook.refusal);
  const outcome = await options.publisher.publish(webhook.record);
  switch (outcome.is) {
    case "published":
    case "spooled":
      return webhook.is === "event"
        ? json(200, { status: "ok", id: webhook.record.id })
        : json(202, { status: "dead_letter", reason: webhook.reason });
    case "too_large":
      return refusalResponse(tooLarge(options.limits.bodyBytesMax));
    case "unavailable":
      return refusalResponse(unavailable);
  }
}

const unavailable: Refusal = {
  status: 503,
  code: "unavailable",
  message: "neither log nor spool can take a webhook now: try again later",
};

function notAllowed(allow: string): Refusal {
  return { status: 405, code: "method_not_allowed", message: `expected ${allow}`, allow };
}
