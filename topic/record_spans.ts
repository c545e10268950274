import {
  type Attributes,
  beginSpan,
  isTracing,
  type OpenSpan,
  TRACEPARENT,
} from "../runtime/telemetry/tracing.ts";
import type { TopicRecord } from "./topic.ts";

/**
 * What OpenTelemetry is told of records, by its conventions for messaging: nothing of key and value. A record is known by its
 * uuid and its place, as in the log. Whoever handles a record is the child of who published it, and no link away from it: then
 * one trace leads from the webhook to line and mail, and each record has a trace of its own, however many a chunk holds.
 */

/** Newest records of a chunk that have a span; Deno's queue, `OTEL_BSP_MAX_QUEUE_SIZE`, holds 2,048 spans of all loops. */
export const SPANNED_PER_CHUNK_MAX = 200;

const SYSTEM = isTracing && Deno.env.get("KAFKA_BROKERS") ? "kafka" : "sqlite";
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The span of publishing to a topic; null where nothing is traced. */
export function beginPublish(
  topic: string,
  { parent, id, at }: {
    readonly parent: string | null;
    readonly id?: string | undefined;
    readonly at?: number;
  },
): OpenSpan | null {
  return beginSpan(`publish ${topic}`, {
    parent,
    kind: "producer",
    ...(at === undefined ? {} : { at }),
    attributes: {
      ...messaging(topic, id),
      "messaging.operation.name": "publish",
      "messaging.operation.type": "send",
    },
  });
}

/** What became of a record, and what was done for it under the span of its handling. */
export type HandledRecord = {
  readonly record: TopicRecord;
  readonly attributes: Attributes;
  readonly then?: (parent: string) => OpenSpan | null;
};

/** Spans of the newest records of a chunk that were published with one; times in milliseconds since 1970. */
export function traceHandled(
  handled: readonly HandledRecord[],
  { topic, group, from, to }: {
    readonly topic: string;
    readonly group: string;
    readonly from: number;
    readonly to: number;
  },
): void {
  for (const { record, attributes, then } of handled.slice(-SPANNED_PER_CHUNK_MAX)) {
    const { partition, offset, headers } = record;
    const parent = headers[TRACEPARENT];
    if (parent === undefined) continue;
    const span = beginSpan(`process ${topic}`, {
      parent,
      kind: "consumer",
      at: from,
      attributes: {
        ...messaging(topic, headers.id),
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.consumer.group.name": group,
        "messaging.destination.partition.id": String(partition),
        "messaging.kafka.offset": offset,
      },
    });
    if (span === null) return;
    then?.(span.traceparent)?.end({ at: to });
    span.end({ attributes, at: to });
  }
}

/** An id that is no uuid was chosen by another program, and may say who. */
function messaging(topic: string, id: string | undefined): Attributes {
  return {
    "messaging.system": SYSTEM,
    "messaging.destination.name": topic,
    ...(id !== undefined && UUID.test(id) ? { "messaging.message.id": id } : {}),
  };
}
