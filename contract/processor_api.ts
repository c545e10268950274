/** Shapes of the processor's HTTP answers. Imports nothing: the page imports it by path. Times are ISO 8601, UTC. */

export type GroupLag = {
  group: string;
  topic: string;
  lag: number;
  lagSeconds: number;
  partitions: {
    partition: number;
    nextOffset: number | null;
    endOffset: number;
    lag: number;
    lagSeconds: number;
  }[];
};

export type OfferState = "counting" | "waiting" | "sending" | "offered" | "failed" | "closed";

/** `GET /api/status`. */
export type PipelineStatus = {
  log: "embedded" | "kafka";
  groups: GroupLag[];
  dataset: { records: number; bytes: number; files: number };
  offers: Record<OfferState, number>;
  deadLetters: { total: number; byReason: Record<string, number> };
  mails: { accepted: number; deferred: number; refused: number; unknown: number };
};

/** `GET /api/offers/:distinct_id`. */
export type OfferView = {
  distinctId: string | null;
  state: OfferState;
  reason: string | null;
  uses: number;
  threshold: number;
  addressKnown: boolean;
  earnedAt: string | null;
  dueAt: string | null;
  sentAt: string | null;
  code: string | null;
  messageId: string | null;
  timeline: { at: string; what: string }[];
};

/** `GET /api/dataset`. */
export type DatasetListing = {
  records: number;
  bytes: number;
  files: number;
  sanitiserVersion: string;
  partitions: {
    event: string;
    date: string;
    records: number;
    bytes: number;
    files: number;
    placeholders: Record<string, number>;
    paths: string[];
  }[];
};

/** `GET /api/dataset?file=…`: the end of one file, whole lines, oldest first. */
export type DatasetTail = {
  file: string;
  records: number;
  bytes: number;
  lines: string[];
  firstLine: number;
};

/** `GET /api/mails`: what the `.eml` mailer wrote, newest first; empty where mail goes out by SMTP. */
export type MailListing = {
  mailer: "maildir" | "smtp";
  mails: { messageId: string; to: string; subject: string; sentAt: string }[];
};
