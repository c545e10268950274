/** A collector of OpenTelemetry's that keeps what it is sent: OTLP over HTTP as JSON, the form of `http/json`. */
export type Collector = {
  /** For a service that is to send here, at once. */
  readonly env: Readonly<Record<string, string>>;
  /** Every span so far. */
  spans(): readonly CollectedSpan[];
  /** Everything that came, as it came: spans, logs, metrics. */
  text(): string;
  close(): Promise<void>;
};

export type CollectedSpan = {
  readonly service: string;
  readonly name: string;
  /** As OTLP numbers them: 2 server, 3 client, 4 producer, 5 consumer. */
  readonly kind: number;
  readonly traceId: string;
  readonly spanId: string;
  /** Empty where it begins a trace. */
  readonly parentSpanId: string;
  readonly isError: boolean;
  readonly attributes: Readonly<Record<string, unknown>>;
};

type Wire = {
  readonly resourceSpans?: readonly {
    readonly resource: { readonly attributes: readonly WireAttribute[] };
    readonly scopeSpans: readonly {
      readonly spans: readonly (Omit<CollectedSpan, "attributes" | "service" | "isError"> & {
        readonly attributes: readonly WireAttribute[];
        readonly status: { readonly code: number };
      })[];
    }[];
  }[];
};
type WireAttribute = { readonly key: string; readonly value: WireValue };
type WireValue = { readonly [type: string]: unknown };

export function startCollector(): Collector {
  const bodies: string[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async (request) => {
    bodies.push(await request.text());
    return Response.json({});
  });
  return {
    env: {
      OTEL_DENO: "true",
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${server.addr.port}`,
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_BSP_SCHEDULE_DELAY: "50",
    },
    spans: () => bodies.flatMap(spansIn),
    text: () => bodies.join("\n"),
    close: () => server.shutdown(),
  };
}

function spansIn(body: string): readonly CollectedSpan[] {
  const { resourceSpans = [] } = JSON.parse(body) as Wire;
  return resourceSpans.flatMap(({ resource, scopeSpans }) => {
    const service = String(attributesOf(resource.attributes)["service.name"]);
    return scopeSpans.flatMap(({ spans }) =>
      spans.map(({ attributes, status, ...span }) => ({
        ...span,
        service,
        isError: status.code === 2,
        attributes: attributesOf(attributes),
      }))
    );
  });
}

function attributesOf(attributes: readonly WireAttribute[]): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, valueOf(value)]));
}

/** A 64-bit integer is a text in JSON. */
function valueOf(value: WireValue): unknown {
  if ("intValue" in value) return Number(value.intValue);
  if ("arrayValue" in value) return (value.arrayValue as { values: WireValue[] }).values.map(valueOf);
  return Object.values(value)[0];
}
