import { DATASET_WRITER_GROUP, DEAD_LETTER_TOPIC, WEBHOOKS_TOPIC } from "../../contract/names.ts";
import { beginSpan } from "../../runtime/telemetry/tracing.ts";
import { beginPublish, traceHandled } from "../../topic/record_spans.ts";
import type { Decided } from "./chunk.ts";

/** Tells OpenTelemetry what became of a chunk that is durable; times in milliseconds since 1970. */
export function traceWritten(
  decided: readonly Decided[],
  { from, to }: { readonly from: number; readonly to: number },
): void {
  const handled = decided.map(({ record, decision: { id, outcome } }) => ({
    record,
    attributes: {
      "pipeline.outcome": outcome.is,
      ...("reason" in outcome ? { "pipeline.reason": outcome.reason } : {}),
    },
    then: (parent: string) => {
      if (outcome.is === "line") {
        const attributes = { "pipeline.dataset.file": outcome.path };
        return beginSpan("write line", { parent, at: from, attributes });
      }
      return outcome.is === "dead_letter" ? beginPublish(DEAD_LETTER_TOPIC, { parent, id, at: from }) : null;
    },
  }));
  traceHandled(handled, { topic: WEBHOOKS_TOPIC, group: DATASET_WRITER_GROUP, from, to });
}
