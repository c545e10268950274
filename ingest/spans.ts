import type { EnvelopeRecord } from "../contract/envelope.ts";
import { WEBHOOKS_TOPIC } from "../contract/names.ts";
import { beginSpan, TRACEPARENT } from "../runtime/telemetry/tracing.ts";
import { beginPublish } from "../topic/record_spans.ts";
import type { PublishOutcome } from "./publisher.ts";

/** What OpenTelemetry is told of a webhook: when, how it was answered, and the event's uuid. Nothing of who sent it or of its body. */

/** Answers a webhook under a span that follows from the request's `traceparent`, if it has one. */
export async function underRequestSpan(
  headers: Headers,
  answer: (trace: string | null) => Promise<Response>,
): Promise<Response> {
  const span = beginSpan("POST /api/webhooks", {
    parent: headers.get(TRACEPARENT),
    kind: "server",
    attributes: {
      "http.request.method": "POST",
      "http.route": "/api/webhooks",
      "url.path": "/api/webhooks",
      "url.scheme": "http",
    },
  });
  let status = 500;
  try {
    const response = await answer(span?.traceparent ?? null);
    status = response.status;
    return response;
  } finally {
    const attributes = { "http.response.status_code": status };
    span?.end({ attributes, failed: status >= 500 ? String(status) : null });
  }
}

/** Publishes a record that names the span of its publishing, for whoever handles it: also after days in the spool. */
export async function publishUnderSpan(
  record: EnvelopeRecord & { readonly id: string },
  { trace, publish }: {
    readonly trace: string | null;
    readonly publish: (record: EnvelopeRecord) => Promise<PublishOutcome>;
  },
): Promise<PublishOutcome> {
  const span = beginPublish(WEBHOOKS_TOPIC, { parent: trace, id: record.id });
  if (span === null) return await publish(record);
  const outcome = await publish({
    ...record,
    headers: { ...record.headers, [TRACEPARENT]: span.traceparent },
  });
  const isDurable = outcome.is === "published" || outcome.is === "spooled";
  span.end({ attributes: { "pipeline.outcome": outcome.is }, failed: isDurable ? null : outcome.is });
  return outcome;
}
