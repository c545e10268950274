/** Shapes of ingest's HTTP answers. Imports nothing: the page imports it by path. Times are ISO 8601, UTC. */

/** One webhook. `partition` and `offset` are null while it lies in the spool: it has no position yet. */
export type RecentWebhook = {
  readonly id: string | null;
  readonly event: string | null;
  readonly receivedAt: string;
  readonly durable: "log" | "spool";
  readonly partition: number | null;
  readonly offset: number | null;
};

/** Ends of the topic's partitions, and when they were asked; `at` null: the log has not answered yet. */
export type TopicEnds = {
  readonly at: string | null;
  readonly partitions: readonly { readonly partition: number; readonly endOffset: number }[];
};

/** `GET /api/recent`: the last 200 webhooks, newest first. */
export type RecentWebhooksAnswer = {
  readonly recent: readonly RecentWebhook[];
  /** Webhooks that the log has acknowledged since ingest began. */
  readonly published: number;
  /** Those that wait in the spool, and the bytes of its files. */
  readonly spooled: number;
  readonly spoolBytes: number;
  /** Those that the log refused for good, kept in files. */
  readonly refused: number;
  readonly topic: TopicEnds;
};
