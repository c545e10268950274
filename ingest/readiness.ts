import type { SettingBreach } from "../topic/topic.ts";
import type { Publisher, PublisherOptions } from "./publisher.ts";

/** What `/readyz` answers: where the next envelope becomes durable, or that it cannot. */
export type Readiness =
  & (
    | { readonly status: "ready"; readonly durable: "log" | "spool"; readonly spooled: number }
    | { readonly status: "not_ready"; readonly spool: "full" | "failing"; readonly spooled: number }
  )
  & {
    /** Settings of the topic that break a promise, in words; missing where there are none. */
    readonly warnings?: readonly string[];
  };

/** Milliseconds for which an answer of the log is taken for granted, so that nobody can load it by asking. */
const FRESH_MS = 1_000;

/**
 * What `/readyz` asks: ready while an envelope can become durable in the log or, with the log away, in the spool. The
 * log is asked at most once a second.
 */
export function createReadiness(
  publisher: Publisher,
  options: PublisherOptions & { readonly breaches: () => readonly SettingBreach[] },
): () => Promise<Readiness> {
  const { spool, breaches } = options;
  const logAnswers = createProbe(options);
  return async () => {
    const log = publisher.goesToLog && await logAnswers() && publisher.goesToLog;
    const state = spool.state;
    const spooled = spool.pendingRecords;
    const words = breaches().map((breach) => breach.words);
    const warnings = words.length === 0 ? {} : { warnings: words };
    if (log) return { status: "ready", durable: "log", spooled, ...warnings };
    return state === "taking"
      ? { status: "ready", durable: "spool", spooled, ...warnings }
      : { status: "not_ready", spool: state, spooled, ...warnings };
  };
}

/** Asks the log itself: without traffic nobody else would notice that it is away. */
function createProbe({ log, topic, clock, limits }: PublisherOptions): () => Promise<boolean> {
  let asked: { readonly at: number; readonly answer: Promise<boolean> } | null = null;
  return () => {
    if (asked === null || clock.monotonic() - asked.at > FRESH_MS) {
      const answer = Promise.race([
        log.bounds(topic).then(() => true, () => false),
        clock.wait(limits.publishMsMax).then(() => false),
      ]);
      asked = { at: clock.monotonic(), answer };
    }
    return asked.answer;
  };
}
