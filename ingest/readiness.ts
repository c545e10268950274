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
    /** Webhooks that the log refused for good, kept in files; missing where there are none. */
    readonly refused?: number;
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
  const spoolLooked = createSpoolLook(options);
  return async () => {
    const log = publisher.goesToLog && await logAnswers() && publisher.goesToLog;
    await spoolLooked();
    const state = spool.state;
    const spooled = spool.pendingRecords;
    const words = breaches().map((breach) => breach.words);
    const beside = {
      ...(words.length === 0 ? {} : { warnings: words }),
      ...(spool.refused.records > 0 ? { refused: spool.refused.records } : {}),
    };
    if (log) return { status: "ready", durable: "log", spooled, ...beside };
    return state === "taking"
      ? { status: "ready", durable: "spool", spooled, ...beside }
      : { status: "not_ready", spool: state, spooled, ...beside };
  };
}

/** Who is told that this is not ready sends nothing, and a disk that takes again would show by nothing else. */
function createSpoolLook({ spool, clock }: PublisherOptions): () => Promise<void> {
  let looked: { readonly at: number; readonly done: Promise<void> } | null = null;
  return () => {
    if (looked === null || clock.monotonic() - looked.at > FRESH_MS) {
      if (spool.refused.records > 0) spool.refused.look();
      looked = { at: clock.monotonic(), done: spool.lookAgain() };
    }
    return looked.done;
  };
}

/** Asks the log itself: without traffic nobody else would notice that it is away. */
function createProbe({ log, topic, clock, limits }: PublisherOptions): () => Promise<boolean> {
  let asked: { readonly at: number; readonly answer: Promise<boolean> } | null = null;
  return () => {
    if (asked === null || clock.monotonic() - asked.at > FRESH_MS) {
      const answer = Promise.race([
        log.partitions(topic).then(() => true, () => false),
        clock.wait(limits.publishMsMax).then(() => false),
      ]);
      asked = { at: clock.monotonic(), answer };
    }
    return asked.answer;
  };
}
