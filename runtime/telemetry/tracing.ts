import type { Attributes, Span, SpanContext } from "@opentelemetry/api";

/**
 * Spans of OpenTelemetry, which Deno itself sends to a collector: with `OTEL_DENO=true`. Without it nothing is loaded here,
 * and whoever would begin a span looks at {@link isTracing} alone. A span is known elsewhere, in another process too, by the
 * text of its W3C `traceparent`, so the header of a record is all that is passed on.
 */

/** The header, of a request and of a record, that names the span which something follows from. */
export const TRACEPARENT = "traceparent";

/** Whether spans are sent, decided once per process by the two settings by which Deno decides it. */
export const isTracing = Deno.env.get("OTEL_DENO") === "true" &&
  Deno.env.get("OTEL_SDK_DISABLED") !== "true";

const api = isTracing ? await import("@opentelemetry/api") : null;

/** Version 00 is whole; later ones may say more behind it. https://www.w3.org/TR/trace-context/#traceparent-header */
const FORM = /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-[!-~]*)?$/;
/** Of later versions; what is longer is not looked at. */
const LENGTH_MAX = 256;

export type { Attributes };

export type SpanKind = "internal" | "server" | "client" | "producer" | "consumer";

export type SpanStart = {
  /** Null, or no `traceparent`: the span begins a trace. */
  readonly parent?: string | null | undefined;
  /** Default internal. */
  readonly kind?: SpanKind;
  /** Milliseconds since 1970; default now. */
  readonly at?: number;
  readonly attributes?: Attributes;
};

/** A span that has begun; ended once. */
export type OpenSpan = {
  readonly traceparent: string;
  /** `failed` in a word or two, of no user; `at` in milliseconds since 1970, default now. */
  end(
    more?: { readonly attributes?: Attributes; readonly failed?: string | null; readonly at?: number },
  ): void;
};

/** Begins a span; null where nothing is traced. */
export function beginSpan(
  name: string,
  { parent, kind = "internal", at, attributes }: SpanStart = {},
): OpenSpan | null {
  if (api === null) return null;
  const remote = readTraceparent(parent);
  const context = remote === null
    ? api.ROOT_CONTEXT
    : api.trace.setSpanContext(api.ROOT_CONTEXT, { ...remote, isRemote: true });
  const span = api.trace.getTracer("posthog-pipeline").startSpan(name, {
    kind: api.SpanKind[KINDS[kind]],
    ...(at === undefined ? {} : { startTime: at }),
  }, context);
  set(span, attributes);
  return {
    traceparent: traceparentOf(span.spanContext()),
    end({ attributes, failed = null, at } = {}) {
      set(span, failed === null ? attributes : { ...attributes, "error.type": failed });
      if (failed !== null) span.setStatus({ code: api.SpanStatusCode.ERROR });
      span.end(at);
    },
  };
}

/** Runs something outside of every span: under Deno's own of a request, what follows the request in time would be its part. */
export function outsideSpans<T>(run: () => T): T {
  return api === null ? run() : api.context.with(api.ROOT_CONTEXT, run);
}

const KINDS = {
  internal: "INTERNAL",
  server: "SERVER",
  client: "CLIENT",
  producer: "PRODUCER",
  consumer: "CONSUMER",
} as const;

/** Deno sends every number as a float; only a bigint is an integer, which OpenTelemetry's types do not know. */
function set(span: Span, attributes: Attributes = {}): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined) {
      span.setAttribute(name, Number.isSafeInteger(value) ? BigInt(value as number) as never : value);
    }
  }
}

/** The span that a `traceparent` names; null where the text is none. */
export function readTraceparent(text: string | null | undefined): SpanContext | null {
  const [, version, traceId, spanId, flags, more] = text && text.length <= LENGTH_MAX && FORM.exec(text) ||
    [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return null;
  return version === "00" && more !== undefined ? null : { traceId, spanId, traceFlags: parseInt(flags, 16) };
}

function traceparentOf({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-${(traceFlags & 0xff).toString(16).padStart(2, "0")}`;
}
