/**
 * What the processor tells about one event as it happens: the messages of `GET /api/events`, joined by `id` (the event's
 * uuid). Imports nothing: the page imports it by path.
 */

/**
 * Times are ISO 8601, UTC. `fromLog`: told by a processor that has started since, from the topics' ends and the manifest; `at` is
 * then when it was read, and says nothing of when it happened, but for `earned` and `mail`, whose facts have a time of their
 * own. `position` is `partition:offset` in the raw topic. */
export type TraceStep =
  | {
    readonly step: "polled";
    readonly id: string;
    readonly event: string;
    /** As the dataset has it: a pseudonym where the id itself is personal. */
    readonly distinctId: string;
    readonly position: string;
    readonly eventAt: string | null;
    readonly receivedAt: string;
    readonly at: string;
    /** The prompt before sanitising: only with `SHOW_RAW`. */
    readonly rawPrompt?: string;
    readonly fromLog?: true;
  }
  | {
    readonly step: "written";
    readonly id: string;
    /** Path below DATASET_DIR. */
    readonly file: string;
    /** Number of the line in its file, from 1. */
    readonly line: number;
    /** The prompt as it stands in the dataset. */
    readonly prompt: string;
    readonly at: string;
    readonly fromLog?: true;
  }
  | {
    readonly step: "duplicate";
    readonly id: string;
    readonly position: string;
    readonly at: string;
    readonly fromLog?: true;
  }
  | {
    readonly step: "dead_lettered";
    readonly id: string;
    readonly position: string;
    readonly reason: string;
    readonly at: string;
    readonly fromLog?: true;
  }
  | {
    /** Handled, and no line: no training event, set aside before, or its line is no more. */
    readonly step: "ignored";
    readonly id: string;
    readonly reason: "other_event" | "has_letter" | "no_line";
    readonly at: string;
    readonly fromLog?: true;
  }
  | {
    /** What the offers note of an event beside a counted use; empty: nothing that was not known. */
    readonly step: "noted";
    readonly id: string;
    readonly what: readonly Noted[];
    readonly at: string;
  }
  | {
    readonly step: "counted";
    readonly id: string;
    readonly uses: number;
    readonly threshold: number;
    readonly at: string;
  }
  | {
    /** `distinctId` as in `polled`; null where only its hash is known. From here on steps are about an offer. */
    readonly step: "earned";
    readonly id: string;
    readonly offer: string;
    readonly distinctId: string | null;
    readonly dueAt: string;
    readonly addressKnown: boolean;
    readonly at: string;
    readonly fromLog?: true;
  }
  | {
    readonly step: "mail";
    readonly offer: string;
    readonly distinctId: string | null;
    readonly outcome: "accepted" | "deferred" | "refused" | "unknown" | "closed";
    /** What the mail server or the rule said, without addresses. */
    readonly words: string;
    readonly messageId: string | null;
    readonly nextAttemptAt: string | null;
    readonly at: string;
    readonly fromLog?: true;
  };

/** `not_counted`: a use that is known already, or beyond those that an offer takes. */
export type Noted = "address" | "join" | "opt_out" | "unproven" | "not_counted";
