/** What is known of the topic: by the processor, by ingest, and since when by neither. Pure. */
import type { TopicEnds } from "../../contract/ingest_api.ts";
import type { Figures, GroupLag, TopicConsumers } from "../../contract/processor_api.ts";
import { ago, bytes, count, plural } from "./format.ts";
import { lastSeen } from "./stations.ts";

/** Ingest's own word. Null: it does not tell (an older one, or one that turns this page away). */
export type SpoolKnown = {
  readonly published: number | null;
  readonly spooled: number | null;
  readonly bytes: number | null;
  readonly refused: number | null;
  readonly ends: TopicEnds | null;
};

/** `GET /api/topic` of web: what each service said when it was asked just now; null where it did not answer. */
export type TopicAnswer = {
  readonly groups: readonly GroupLag[] | null;
  readonly consumers: TopicConsumers["groups"] | null;
  readonly figures: Figures | null;
  readonly ingest: SpoolKnown | null;
  /** When each last answered web, ISO 8601; null: not since web began. */
  readonly seen: { readonly ingest: string | null; readonly processor: string | null };
};

/** What a page shows: the newest answer of each, which may be an old one. */
export type TopicShown = {
  readonly answer: TopicAnswer;
  /** Which of it is of the last look, and not of one before. */
  readonly isNow: Readonly<Record<"groups" | "consumers" | "figures" | "ingest", boolean>>;
};

/** What is not answered now stays as it was said before, marked as old. `next` null: web itself does not answer. */
export function shownAfter(before: TopicShown | null, next: TopicAnswer | null): TopicShown {
  const was = before?.answer ?? NOTHING;
  const said = next ?? NOTHING;
  return {
    answer: {
      groups: said.groups ?? was.groups,
      consumers: said.consumers ?? was.consumers,
      figures: said.figures ?? was.figures,
      ingest: said.ingest ?? was.ingest,
      seen: next?.seen ?? was.seen,
    },
    isNow: {
      groups: said.groups !== null,
      consumers: said.consumers !== null,
      figures: said.figures !== null,
      ingest: said.ingest !== null,
    },
  };
}

const NOTHING: TopicAnswer = {
  groups: null,
  consumers: null,
  figures: null,
  ingest: null,
  seen: { ingest: null, processor: null },
};

/** Why what is shown of one service may have changed, in words; null while it is as it is shown. */
export function oldWords(
  isNow: boolean,
  { name, at, now, webSeenAt, tellsMore = false }: {
    readonly name: string;
    /** It has answered another question just now. */
    readonly tellsMore?: boolean;
    readonly at: string | null;
    readonly now: number;
    readonly webSeenAt?: string | null;
  },
): string | null {
  if (webSeenAt !== undefined) return `Web does not answer, ${lastSeen(webSeenAt, now)}.`;
  if (isNow) return null;
  return tellsMore
    ? `${name} does not tell this now.`
    : `${name} does not answer this page, ${lastSeen(at, now)}.`;
}

/** A row of a group's table; null is not known. */
export type PartitionRow = {
  readonly partition: number;
  readonly next: string;
  readonly end: string;
  readonly lag: string;
  readonly seconds: string;
  readonly reader: string;
  readonly detail: string;
  readonly state: string;
  readonly tone: "ok" | "warn" | "bad" | "quiet";
};

const UNKNOWN = "not known";

export function partitionRows(
  { group, partitions }: GroupLag,
  consumers: TopicConsumers["groups"] | null,
): PartitionRow[] {
  const known = consumers?.find((one) => one.group === group);
  return partitions.map((one) => {
    const reader = known?.consumers.find(({ partitions }) => partitions.includes(one.partition));
    return {
      partition: one.partition,
      next: one.nextOffset === null ? "none yet" : count(one.nextOffset),
      end: one.noLeader ? UNKNOWN : count(one.endOffset),
      lag: one.noLeader ? UNKNOWN : count(one.lag),
      seconds: one.noLeader ? UNKNOWN : `${count(Math.round(one.lagSeconds))} s`,
      reader: reader ? readerText(reader) : known?.complete ? "nobody now" : UNKNOWN,
      detail: reader ? [reader.name, reader.host].filter((part) => part !== null).join(" at ") : "",
      ...stateOf(one),
    };
  });
}

type Consumer = TopicConsumers["groups"][number]["consumers"][number];

function readerText({ own, name, host }: Consumer): string {
  return own ? `this processor (${name})` : host === null ? name : `another, at ${host.replace(/^\//, "")}`;
}

function stateOf(one: GroupLag["partitions"][number]): Pick<PartitionRow, "state" | "tone"> {
  const { partition, standing, openTransactionAt, noLeader, lag } = one;
  if (noLeader) return { tone: "bad", state: "no broker leads it: its records wait" };
  if (standing) {
    return { tone: "bad", state: `stands at p${partition} @ ${standing.offset}: ${standing.reason}` };
  }
  if (openTransactionAt !== undefined) {
    return {
      tone: "warn",
      state: `waits at p${partition} @ ${openTransactionAt}: another program's transaction is open`,
    };
  }
  return lag > 0 ? { tone: "warn", state: "records wait" } : { tone: "ok", state: "everything is read" };
}

/** How far a group is behind in all; nobody knows it of partitions that no broker leads. */
export function behindText({ lag, lagSeconds, partitions }: GroupLag): string {
  const alone = partitions.filter(({ noLeader }) => noLeader).length;
  const known = `${count(lag)} ${plural(lag, "record")} behind, ${count(Math.round(lagSeconds))} s`;
  return alone === 0 ? known : `${known}, without ${count(alone)} that no broker leads`;
}

/** Rows of one table; a topic may have a thousand partitions. */
export const ROWS_MAX = 100;

/** As many as a page shows: of too many those first that are not as they should be. */
export function rowsShown(rows: readonly PartitionRow[]): { shown: readonly PartitionRow[]; left: number } {
  if (rows.length <= ROWS_MAX) return { shown: rows, left: 0 };
  const order = ["bad", "warn", "quiet", "ok"];
  const shown = rows.toSorted((a, b) => order.indexOf(a.tone) - order.indexOf(b.tone)).slice(0, ROWS_MAX);
  return { shown, left: rows.length - shown.length };
}

/** Rows of the topic's ends, as ingest has them of the log. */
export function endRows(ends: TopicEnds | null): { partition: number; end: string }[] {
  return (ends?.partitions ?? []).map(({ partition, endOffset }) => ({ partition, end: count(endOffset) }));
}

/** When the log said where it ends. */
export function endsWords(ends: TopicEnds | null, now: number): string {
  return ends?.at ? `the log said so ${ago(ends.at, now)}` : "the log has not said so yet";
}

/** Ingest's spool in words. */
export function spoolRows(
  { published, spooled, bytes: bytesOnDisk, refused }: SpoolKnown,
): { name: string; text: string; warns: boolean }[] {
  const text = (value: number | null, of: string) =>
    value === null ? UNKNOWN : `${count(value)} ${plural(value, of)}`;
  const size = bytesOnDisk === null ? "" : `, ${bytes(bytesOnDisk)} of files`;
  return [
    { name: "Waits in the spool", text: text(spooled, "record") + size, warns: (spooled ?? 0) > 0 },
    { name: "Refused by the log for good", text: text(refused, "record"), warns: (refused ?? 0) > 0 },
    { name: "Published since ingest began", text: text(published, "record"), warns: false },
  ];
}
