/** Shapes of the processor's HTTP answers. Imports nothing: the page imports it by path. Times are ISO 8601, UTC. */

/**
 * How far a group is behind: `lag` in records, `lagSeconds` the age of the oldest record not yet handled, 0 where none
 * waits. `nextOffset` is null where the group has committed nothing.
 */
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
    /** Where the partition stands because something cannot be read; missing where it does not. */
    standing?: StandingAt;
    /** Where a transaction of another client is open: nobody reads from there on until it has ended. */
    openTransactionAt?: number;
    /** No broker leads the partition: its end is not known, and `lag` 0 says nothing. */
    noLeader?: true;
  }[];
};

/** The place in a partition from where on nothing could be read, and why, in words. */
export type StandingAt = { offset: number; reason: string };

/** `GET /api/topic`: who reads the topic. A partition that no consumer names is read by nobody now. */
export type TopicConsumers = {
  groups: {
    group: string;
    /** False: only this processor's own word, as the log itself could not be asked; others may read too. */
    complete: boolean;
    consumers: {
      /** Of this processor: its loop's name; else the member's id, as the log has it. */
      name: string;
      /** It runs in this processor. */
      own: boolean;
      /** Where it runs, as the log says; null where it does not. */
      host: string | null;
      partitions: number[];
    }[];
  }[];
};

/** State of a person's offer; `counting` is a person who has uses and no offer yet. */
export type OfferState = "counting" | "waiting" | "sending" | "offered" | "failed" | "closed";

/** `GET /api/status`. */
export type PipelineStatus = {
  log: "embedded" | "kafka";
  groups: GroupLag[];
  dataset: { records: number; bytes: number; files: number };
  /** Why what is said of the dataset is older than this answer, or 0 where nothing was known yet; missing where it is not. */
  datasetProblem?: string;
  offers: Record<OfferState, number>;
  deadLetters: { total: number; byReason: Record<string, number> };
  /**
   * What became of the topic's records as the dataset's manifests say: each is a line, a repeat, a dead letter or another
   * event. `uncounted`: offsets that an earlier version handled without counting; `letters`: source positions that have had
   * a letter, as the topic of letters says, also those redriven since. `taken`: lines that erasures have taken out, which are
   * among the others now; missing where there are none.
   */
  outcomes?: {
    records: number;
    lines: number;
    duplicates: number;
    deadLetters: number;
    others: number;
    uncounted: number;
    letters: number;
    taken?: number;
  };
  mails: { accepted: number; deferred: number; refused: number; unknown: number };
};

/** `GET /api/offers/:distinct_id`. */
export type OfferView = {
  distinctId: string | null;
  /** Which of the person's offers this is: the id in trace steps; null while there is none. */
  offer?: string | null;
  state: OfferState;
  reason: string | null;
  /** Attempts that failed since it was earned or last reopened, and what the mail server said last; `words` only of one person's. */
  failedTries?: number;
  lastWords?: string | null;
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

/** What became of an offer that ended without a mail, and why one failed. */
export const CLOSED_REASONS = ["opted_out", "mailbox_rewarded", "state_lost"] as const;
export const FAILED_REASONS = ["refused", "attempts_exhausted", "delivery_unknown"] as const;

/** Which offers a list has: those of a state, or of those that are closed whose person wants no mail. */
export type OfferFilter = OfferState | "opted_out";
export const OFFER_FILTERS: readonly OfferFilter[] = [
  "counting",
  "waiting",
  "sending",
  "offered",
  "opted_out",
  "failed",
  "closed",
];

/** What `GET /api/offers` takes; `search`: a distinct_id, or `person-` and its subject. */
export type OfferQuery = {
  readonly state: OfferFilter | null;
  readonly search: string | null;
  readonly before: string | null;
  readonly limit: number;
};

/** One person of {@link OfferListing}: somebody who has used, earned, or opted out. */
export type ListedPerson = Omit<OfferView, "timeline"> & {
  /** `person-` and a subject: takes the place of the distinct_id everywhere. */
  person: string;
  /** When something was last noted of it; null where nothing is kept that says so. */
  changedAt: string | null;
  /** Only where `distinctId` is null: why. `log_away`: it could not be read just now. */
  distinctIdWithheld?: "personal" | "record_gone" | "log_away";
};

/** `GET /api/offers?state=failed&search=ID&before=CURSOR&limit=50`: everybody's offer, whose changed last first. */
export type OfferListing = {
  /** Of everybody, whatever the list is asked for: the same as in `/api/status`. */
  counts: Record<OfferState, number>;
  /** People of `counting` by their uses, from 1 to the threshold; the last is that many or more. */
  counting: { uses: number; people: number }[];
  /** People of `closed` and of `failed` by reason. */
  closed: Record<typeof CLOSED_REASONS[number], number>;
  failed: Record<typeof FAILED_REASONS[number], number>;
  threshold: number;
  /** How many people the list has, all pages together. */
  total: number;
  offers: ListedPerson[];
  /** What `before` takes for the next page; null on the last one. */
  older: string | null;
  /** All this is as of the first `applied` of `end` facts; `end` is null where the log does not say it just now. */
  facts: { applied: number; end: number | null };
};

/** A dataset's partitions with their files. */
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

/**
 * `GET /api/dataset?before=CURSOR&limit=50`: a page of the dataset's partitions, the newest date first; counts are of the
 * whole dataset. A partition names its 24 newest files at most, first the one that was written last.
 */
export type DatasetPage = DatasetListing & {
  /** What `before` takes for the next page; null on the last one. */
  older: string | null;
  /** What `after` takes for the page before; null on the first one. */
  newer: string | null;
};

/**
 * `GET /api/dataset?file=…&lines=50`: the end of one file, whole lines, oldest first; with `before=LINE` those below that
 * line, with `around=LINE` those about it.
 */
export type DatasetTail = {
  file: string;
  records: number;
  bytes: number;
  lines: string[];
  firstLine: number;
};

/**
 * `GET /api/dataset/search?q=TEXT&from=CURSOR`: lines that hold the text in prompt, reason, distinct_id or event, in any case
 * of letters, newest day and newest lines of a file first.
 */
export type LineHits = {
  /** At most 50. */
  hits: LineHit[];
  /** Bytes of lines that were looked through so far, also by the looks before. */
  searchedBytes: number;
  /** What `from` takes to look on; null where all lines have been looked through. */
  next: string | null;
};

/** A line that holds what was searched: where, and the text about it, each side cut to 120 characters. */
export type LineHit = {
  file: string;
  line: number;
  /** The line's own time. */
  at: string;
  field: "input_prompt" | "failure_reason" | "distinct_id" | "event";
  before: string;
  found: string;
  after: string;
};

/** Formats of `GET /api/dataset/export?format=…`: `jsonl` is the lines as they are, the others are the command's. */
export const DOWNLOAD_FORMATS = ["parquet", "chat-jsonl", "hf", "jsonl"] as const;
export type DownloadFormat = typeof DOWNLOAD_FORMATS[number];

/**
 * `GET /api/mails?before=CURSOR&limit=200`, and by `POST /api/mails/search` (a {@link MailSearch}; a search for an address
 * belongs into no URL): a page of what the `.eml` mailer wrote, newest first; empty where mail goes out by SMTP.
 */
export type MailListing = {
  mailer: "maildir" | "smtp";
  /** `rank`: how many newer ones there are. */
  mails: { messageId: string; to: string; subject: string; sentAt: string; rank: number }[];
  /** Of all mails that are kept. */
  total: number;
  /** How many were looked at for this page: a search looks at 500 at most, and goes on behind `older`. */
  lookedAt: number;
  /** What `before` takes for the next page; null on the last one. */
  older: string | null;
};

/** Body of `POST /api/mails/search`, as JSON: words of recipient, subject or text, at most 200 characters, in any case. */
export type MailSearch = { search: string; before?: string; limit?: number };

/** One letter of `GET /api/dead-letters`: nothing of the record itself. */
export type DeadLetterView = {
  /** `partition:offset` in the dead-letter topic. */
  id: string;
  reason: string;
  step: string;
  topic: string;
  partition: number;
  offset: number;
  firstSeen: string;
  redrives: number;
  redriven: boolean;
  /** Only of a redriven letter whose copy somebody had edited. */
  edited?: true;
  /** Only of a letter whose record is itself an edited copy: the letter in which it was edited. */
  editedIn?: string;
  /** Only of a letter that was set aside for good: the operator's words. */
  dismissed?: { words: string };
  /** Only of what was set aside unread: where the topic was read on, what stood in the way, the operator's words. */
  unread?: { nextOffset: number; why: string; words: string };
};

/** `GET /api/dead-letters?all=1&before=ID&limit=50`: a page of letters, newest first. */
export type DeadLetterListing = {
  /** Of the whole list, not of this page: the letters that wait, with `all` those redriven too. */
  total: number;
  /** The same letters by reason, the most frequent first. */
  byReason: Record<string, number>;
  /** Letters that a redrive of all would take: not redriven, not dismissed, and not worn out. */
  redrivable: number;
  /** A letter with so many redrives is refused. */
  redrivesMax: number;
  letters: DeadLetterView[];
  /** What `before` takes for the next page; null on the last one. */
  older: string | null;
};

/** `GET /api/dead-letters/:id`. */
export type DeadLetterDetail = DeadLetterView & {
  redrivesMax: number;
  /** As it came; null where raw values are not shown (`SHOW_RAW`, loopback names), or the log has it no more. */
  record: {
    key: string | null;
    /** The source's own. */
    headers: Record<string, string>;
    value: string;
    valueBytes: number;
    /** False where the bytes are no UTF-8: `value` then has U+FFFD in it. */
    utf8: boolean;
  } | null;
  /** Why `record` is null. */
  withheld: "raw_not_shown" | "gone" | null;
};

/** Body of `POST /api/dead-letters/redrive`, as JSON. */
export type RedriveOrder = ({ ids: string[] } | { all: true }) & { dryRun?: boolean };

/**
 * Body of `POST /api/dead-letters/resend`, as JSON: a redrive of one letter with this text in place of its own. Answered as
 * a redrive is; only where raw values are shown.
 */
export type ResendOrder = { id: string; value: string };

/** Body of `POST /api/dead-letters/dismiss`, as JSON. */
export type DismissOrder = { id: string; reason: string };

/** Its answer; `redriven`, `half_redriven`: nothing was set aside, as its event goes on already (of a half one the end is missing). */
export type DismissAnswer = {
  id: string;
  outcome: "dismissed" | "already_dismissed" | "redriven" | "half_redriven";
};

/** `GET /api/dead-letters/at/:position`, `partition:offset` in the raw topic: the letter of what lies there. */
export type LetterAt = { id: string };

/** Characters of the words with which a letter is set aside for good: they lie in a header. */
export const DISMISSAL_WORDS_MAX = 1_000;
/** Bytes of an edited record: as much as ingest takes. */
export const EDITED_BYTES_MAX = 1024 * 1024;

/** Its answer; with `dryRun` what would be done, and nothing was. */
export type RedriveAnswer = {
  dryRun: boolean;
  redriven: number;
  /** The event goes on in another record, or the letter has been redriven before. */
  alreadyThere: number;
  refused: number;
  /** At most 1,000. */
  letters: { id: string; outcome: "redriven" | "already_there" | "refused"; why: string | null }[];
};

/**
 * What became of one delivery of an event: `waiting` is not handled yet. `ignored` gave neither line nor use: another event, or
 * its person was erased.
 */
export type DeliveryOutcome = "line" | "duplicate" | "dead_letter" | "counted" | "ignored" | "waiting";

/** `GET /api/events/:uuid`: what is known of one event, as far as was looked. */
export type EventDetail = {
  uuid: string;
  event: string | null;
  /** As the dataset has it; null where its person was erased. */
  distinctId: string | null;
  /** In the order of partition and offset, at most 100. */
  deliveries: {
    receivedAt: string;
    partition: number;
    offset: number;
    outcome: DeliveryOutcome;
    /** Of a dead letter: why. */
    reason?: string;
    redrives: number;
    headers: Record<string, string>;
    /** The envelope as it came: only with `SHOW_RAW`, to this machine; the first mebibyte of it. */
    raw?: string;
  }[];
  /** `line` counts from 1; null where it lies further from its file's end than was looked. */
  line: { file: string; line: number | null; text: string | null } | null;
  /** As they stand in `discount.facts`: keyed hashes only. */
  facts: Record<string, unknown>[];
  /** Offsets `from` ≤ o < `to` of each partition, and of the facts, in which it was looked for; all that lies there was seen. */
  lookedAt: {
    partitions: { partition: number; from: number; to: number; startOffset: number }[];
    facts: { from: number; to: number } | null;
  };
};

/** Beside the error of a 404: where it was looked for in vain. */
export type NoEvent = Pick<EventDetail, "lookedAt">;

/**
 * `GET /api/figures`: what happened in the last hour, and what the whole dataset comes to. `minutes`' records, `days`, `reasons`,
 * `promptLengths` and `uncounted` are of all partitions of the dataset beside this processor, whoever writes them; lag and latency are
 * what this processor has seen.
 */
export type Figures = {
  /** The minute now and the 60 before it, the oldest first; `at` is where a minute begins. */
  minutes: {
    at: string;
    /** Records of the raw topic received in it; null: not known. */
    records: number | null;
    /** The most in that minute, by group; null: nobody looked then, or a partition had no leader. */
    lagSeconds: Record<string, number | null>;
  }[];
  /**
   * From the event's own time to its line being durable, of the lines of those minutes, without backfilled ones. Quantiles are
   * estimated within their bucket, and null where there is no line, or they lie in the last bucket, which has no end.
   */
  latency: {
    count: number;
    p50Ms: number | null;
    p99Ms: number | null;
    /** Each without those below it; `upToMs` null: all above. */
    buckets: { upToMs: number | null; count: number }[];
  };
  /** The newest 90 that have lines, the oldest first, by the lines' own UTC day. */
  days: { date: string; lines: number; placeholders: Record<string, number> }[];
  /** At most 20, the most frequent first; null: lines without a reason. A long one is cut, and ends in `…`. */
  reasons: { reason: string | null; lines: number }[];
  /** Lines of all other reasons. */
  otherReasons: number;
  /** Lines by the length of their prompt as it stands in the line, in UTF-16 units; each without those below it. */
  promptLengths: { upTo: number | null; lines: number }[];
  /** Lines that an earlier version wrote without counting: `reasons`, `otherReasons` and `promptLengths` lack them. */
  uncounted: number;
};
