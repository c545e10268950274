/** Figures of a processor that has been at work for an hour and for three days. */
import type { Figures } from "../../contract/processor_api.ts";

export function fullFigures({ endsAt = "2026-01-01T14:00:00.000Z" }: { endsAt?: string } = {}): Figures {
  const end = Date.parse(endsAt);
  return {
    minutes: Array.from({ length: 61 }, (_, i) => ({
      at: new Date(end - (60 - i) * 60_000).toISOString(),
      records: i === 20 ? null : (i * 37) % 50,
      lagSeconds: { "dataset-writer": i < 5 ? null : i % 7, "discount-offers": i % 11 / 2 },
    })),
    latency: {
      count: 100,
      p50Ms: 42,
      p99Ms: null,
      buckets: [
        { upToMs: 50, count: 60 },
        { upToMs: 100, count: 25 },
        { upToMs: 1_000, count: 13 },
        { upToMs: null, count: 2 },
      ],
    },
    days: [
      { date: "2025-12-29", lines: 4, placeholders: { EMAIL_ADDRESS: 3 } },
      { date: "2025-12-31", lines: 1_200, placeholders: { EMAIL_ADDRESS: 900, PHONE_NUMBER: 31 } },
      { date: "2026-01-01", lines: 88, placeholders: { PERSON: 12 } },
    ],
    reasons: [
      { reason: "timeout", lines: 1_000 },
      {
        reason: "<b>content</b> policy: the prompt was refused by the provider for a long reason",
        lines: 200,
      },
      { reason: null, lines: 90 },
    ],
    otherReasons: 2,
    promptLengths: [
      { upTo: 64, lines: 1_100 },
      { upTo: 1_024, lines: 190 },
      { upTo: null, lines: 2 },
    ],
    uncounted: 7,
  };
}
