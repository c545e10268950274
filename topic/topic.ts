/**
 * The port of the log. Its comments are the specification; `topic/contract_suite/suite.ts` runs it against every
 * adapter.
 *
 * A log holds topics; a topic holds numbered partitions; a partition is an ordered, append-only row of records. The
 * log knows bytes, not envelopes. Offsets are safe integers, grow by at least one from record to record, and may have
 * gaps: compare them, never count them.
 */

/** Names with values, readable without decoding the record's value. */
export type RecordHeaders = Readonly<Record<string, string>>;

/** One entry of a topic as it is read. */
export type TopicRecord = {
  readonly partition: number;
  readonly offset: number;
  /** Milliseconds since 1970, UTC, as the publisher set it. */
  readonly timestamp: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array;
  readonly headers: RecordHeaders;
};

/** One entry of a topic as it is published. */
export type RecordToPublish = {
  /** Chooses the partition, by {@link partitionOf}, unless `partition` does. */
  readonly key: Uint8Array | null;
  readonly value: Uint8Array;
  readonly headers: RecordHeaders;
  /** Milliseconds since 1970, UTC; read again as it is, whatever time the log itself can take. */
  readonly timestamp: number;
  readonly partition?: number;
};

/** Where one record lies. */
export type RecordPosition = { readonly partition: number; readonly offset: number };

/** What a partition holds: `startOffset` ≤ offsets < `endOffset` (the high watermark); equal where it is empty. */
export type PartitionBounds = {
  readonly partition: number;
  readonly startOffset: number;
  readonly endOffset: number;
};

/** How far one group is behind in one partition. */
export type PartitionLag = {
  readonly partition: number;
  /** The committed one; null where the group has committed nothing yet (lag then counts from the log's start). */
  readonly nextOffset: number | null;
  readonly endOffset: number;
  /** Records not yet handled. */
  readonly lag: number;
  /** Age of the oldest record not yet handled, in seconds; 0 where lag is 0. */
  readonly lagSeconds: number;
  /** Where a transaction of another client is open: nobody reads records from there on until it has ended. */
  readonly openTransactionAt?: number;
  /** No broker leads it now, so nobody can say where it ends: `endOffset` is then the next offset (or 0), and `lag` 0. */
  readonly noLeader?: true;
};

/** A topic as a service needs it at start. */
export type TopicSpec = {
  readonly name: string;
  readonly partitions: number;
  /** True: a topic that has more partitions is refused, as its records need one order. Default: it is used as it is. */
  readonly partitionsExact?: boolean;
  /** Milliseconds a record is kept; null keeps it for ever. */
  readonly retentionMs: number | null;
  /** Bytes a partition may hold before its oldest records go; null sets no bound. */
  readonly retentionBytes: number | null;
  /** True: a retention that an operator has set on the topic itself stays. Default: one that is shorter is raised. */
  readonly retentionMayBeSet?: boolean;
  /** Largest record (key, value and headers together), in bytes. */
  readonly recordBytesMax: number;
};

/** A setting of a topic that breaks a promise. */
export type SettingBreach = {
  /** As the broker names it. */
  readonly topic: string;
  readonly setting: string;
  /** Acknowledged records may get lost, or be read in another order. */
  readonly loses: boolean;
  /** What it is, why it matters, and what mends it. */
  readonly words: string;
};

/** Records that the log holds and that cannot be read here: `offset` ≤ theirs < `nextOffset`. */
export type UnreadableRecords = {
  readonly partition: number;
  readonly offset: number;
  readonly nextOffset: number;
  /** What stands in the way, in words an operator understands (codec, checksum, unpacked size). */
  readonly reason: string;
  /** The bytes as they lie in the log, at most 1 MiB of them; null where they cannot be had. */
  readonly bytes: Uint8Array | null;
};

/**
 * Records of one partition, in order, none missing between them but what the log no longer holds, what an aborted
 * transaction left there, and what was passed over as unreadable. Empty where the position moved on without a record.
 */
export type RecordBatch = {
  readonly partition: number;
  readonly records: readonly TopicRecord[];
  /** The offset to go on from: above the last record, also above gaps behind it. */
  readonly nextOffset: number;
  /** The high watermark as it was known when the batch was polled. */
  readonly endOffset: number;
};

/** What a group file brings; the adapter calls it. */
export type PartitionHandler = {
  /**
   * A partition has come to this member. Answers the offset to start at; null means the committed one, or the log's
   * start where nothing is committed. One beyond the log's end ends the consumption ({@link LogSetupError}): the state
   * was made from another log, and waiting there would skip this one's records. May take as long as it must (waiting
   * for a lock): meanwhile heartbeats go on and other partitions flow. `signal` aborts when the partition is taken away
   * before that; what it answers then is ignored, and `revoked` is called all the same.
   */
  assigned(partition: number, control: { readonly signal: AbortSignal }): Promise<number | null>;
  /**
   * Handles a batch; at most one is in flight per partition, batches of different partitions may overlap. When it
   * resolves with `handled` its effects are durable and `nextOffset` of the batch is committed. `pending`: its effects are
   * not durable yet, so nothing is committed for it before {@link Consumption.commit} says so; the next batch comes all the
   * same. `reassign` commits nothing and begins the partition anew with `assigned`. `heartbeat` is called between the
   * steps of a long batch. `signal` aborts when the partition is taken away or the consumption stops: what it waits for
   * then may never come. A rejection is a bug: it ends the consumption, whose `ended` rejects with it.
   */
  handle(
    batch: RecordBatch,
    control: { readonly signal: AbortSignal; heartbeat(): Promise<void> },
  ): Promise<"handled" | "pending" | "reassign">;
  /**
   * The partition stands at records that cannot be read. `skip` passes over them; `wait` (also where this is missing)
   * leaves it standing, seen in `state()`, and asks again every 5 s, when they are also read again. Other partitions flow.
   */
  unreadable?(records: UnreadableRecords): Promise<"skip" | "wait">;
  /**
   * The partition has gone from this member, or the consumption stops; awaited, and never during its `handle`. What it
   * gives to {@link Consumption.commit} is committed still where the partition is this member's.
   */
  revoked(partition: number): Promise<void>;
};

/** What a consumption reads, for which group, and how large its batches are. */
export type ConsumeOptions = {
  readonly topic: string;
  readonly group: string;
  readonly handler: PartitionHandler;
  /** Most records in one batch; default 500. */
  readonly batchRecordsMax?: number;
  /** A batch ends with the record that reaches this many bytes of values; default 4 MiB. */
  readonly batchBytesMax?: number;
};

/** A member of a group as the group itself knows it. */
export type GroupMember = {
  readonly memberId: string;
  /** Where it runs, as the log sees it. */
  readonly host: string;
  readonly partitions: readonly number[];
};

/** A running membership in a consumer group. */
export type Consumption = {
  /** `joining` until the first assignment; `away` while the log cannot be reached, with its words. */
  state(): {
    readonly is: "joining" | "joined" | "away";
    readonly partitions: readonly number[];
    readonly reason?: string;
    /** Partitions that stand at records which cannot be read; missing where there are none. */
    readonly standing?: readonly UnreadableRecords[];
  };
  /**
   * The effects of everything handled below `nextOffset` are durable now: it is committed soon, with the rest, and before
   * the group is left. Ignored where the partition is not this member's (any more), and where it is not above what was
   * committed since the partition was assigned.
   */
  commit(partition: number, nextOffset: number): void;
  /**
   * Begins a partition anew with `assigned` between two batches, as `reassign` of its handler does after one; what was
   * handled and is not durable is thus handled again also where no other record comes. Ignored where the partition is
   * not this member's, and while it is being assigned.
   */
  reassign(partition: number): void;
  /** Lets batches in flight finish, commits them, revokes every partition and leaves the group. May be called twice. */
  stop(): Promise<void>;
  /** Resolves after `stop`; rejects if a handler threw. */
  readonly ended: Promise<void>;
};

/** Which records of one partition are read, outside any group. */
export type ReadOptions = {
  readonly partition: number;
  /** First offset wanted; one below the log's start begins at the start. */
  readonly from: number;
  /** Ends when everything below it has been read (or is gone); undefined follows the partition until `signal` aborts. */
  readonly until?: number;
  readonly signal?: AbortSignal;
  /** Most records in one batch; default 500. */
  readonly batchRecordsMax?: number;
  /** Where another client's transaction is open, what lies behind is given when it has ended: true ends there instead. */
  readonly endsAtOpenTransaction?: boolean;
  /** What to do at records that cannot be read: `skip` passes over them, else {@link UnreadableRecordsError}. */
  readonly unreadable?: (records: UnreadableRecords) => Promise<"skip" | "wait">;
};

/** Records that are there cannot be read; others of the partition may lie behind them. */
export class UnreadableRecordsError extends Error {
  override name = "UnreadableRecordsError";
  readonly code = "unreadable_records";
  constructor(readonly records: UnreadableRecords, topic: string) {
    super(
      `Cannot read "${topic}" at ${records.partition}:${records.offset}: ${records.reason}. ` +
        `"deno task skip ${records.partition}:${records.offset} --reason TEXT" sets a webhook aside as a dead letter.`,
    );
  }
}

/** The log cannot be reached or is busy now; the same call may succeed later. What was in flight may have landed. */
export class LogUnavailableError extends Error {
  override name = "LogUnavailableError";
  readonly code = "log_unavailable";
}

/** No broker leads this partition now, and others may go on. Of the call that it rejects nothing was published. */
export class NoLeaderError extends LogUnavailableError {
  override name = "NoLeaderError";
  constructor(readonly partition: number, doing: string) {
    super(
      `Cannot ${doing}: partition ${partition} has no leader now. Start the broker that holds it; other partitions go on.`,
    );
  }
}

/** The log will never take this record as it is (too large, or not permitted). */
export class RecordRefusedError extends Error {
  override name = "RecordRefusedError";
  constructor(
    readonly code: "record_too_large" | "not_authorised" | "timestamp_refused" | "record_invalid",
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** A topic, group or permission that must be there is not; an operator has to act. */
export class LogSetupError extends Error {
  override name = "LogSetupError";
  readonly code = "log_setup";
}

/**
 * The port to the log: topics of records in partitions, published durably and consumed by groups, at least once. Both
 * adapters pass `topic/contract_suite/`.
 */
export interface TopicLog {
  readonly kind: "embedded" | "kafka";

  /**
   * Makes the topic where it is missing; raises what is too low, never lowers an existing setting. Rejects with
   * {@link LogSetupError} where a setting breaks a promise and is not this program's to change.
   */
  ensureTopic(spec: TopicSpec): Promise<void>;

  /** What of the topic's settings breaks a promise now; a log whose topics nobody else can change may not know the question. */
  breaches?(spec: TopicSpec): Promise<readonly SettingBreach[]>;

  /**
   * What tells a topic from another one of the same name: a topic that was deleted and made again has another id. Null
   * where the log gives none (an old broker; an embedded topic made before there were ids); a log may not know the
   * question. Rejects with {@link LogSetupError} where the topic is missing.
   */
  topicId?(topic: string): Promise<string | null>;

  /**
   * Appends records and resolves, with their positions in the same order, when all of them are durable (SQLite:
   * fsynced; Kafka: acks = all). Records of one call and one partition keep their order. Calls made at the same time
   * share one commit or one send. Rejects with {@link RecordRefusedError} (nothing of the call was published) or
   * {@link LogUnavailableError} (any part of it may have been; nothing where it is a {@link NoLeaderError}).
   */
  publish(topic: string, records: readonly RecordToPublish[]): Promise<readonly RecordPosition[]>;

  /** Joins a consumer group. At-least-once: after a crash a batch comes again from the last committed offset on. */
  consume(options: ConsumeOptions): Consumption;

  /** Reads one partition by position: joins no group that anybody sees and commits nothing. */
  read(topic: string, options: ReadOptions): AsyncIterable<RecordBatch>;

  /** How many partitions the topic has now, asked anew. Rejects with {@link LogSetupError} where it is missing. */
  partitions(topic: string): Promise<number>;

  /**
   * What each partition holds, by partition number: all of them, or a rejection. Rejects with {@link LogSetupError} where
   * the topic is missing.
   */
  bounds(topic: string): Promise<readonly PartitionBounds[]>;

  /**
   * What one partition holds, whatever becomes of the others. Rejects with {@link NoLeaderError} where nobody leads it, and
   * with {@link LogSetupError} where it or its topic is missing.
   */
  boundsOf(topic: string, partition: number): Promise<PartitionBounds>;

  /** Next offsets that a group has committed, by partition number; null where there is none. */
  committed(topic: string, group: string): Promise<readonly (number | null)[]>;

  /** Who reads the topic for a group now; none while it rebalances. A log of one process does not know the question. */
  members?(topic: string, group: string): Promise<readonly GroupMember[]>;

  /** How far a group is behind, by partition number. `now` in milliseconds since 1970. */
  lag(topic: string, group: string, now: number): Promise<readonly PartitionLag[]>;

  /** Waits for publishes in flight, stops consumptions, lets go of everything. */
  close(): Promise<void>;
}
