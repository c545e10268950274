import type { PipelineStatus } from "../contract/processor_api.ts";
import type { DeliveryStatus } from "./stand_in/deliveries.ts";

/** The demo's proof: what the services say of themselves, side by side, and in words whether it agrees. Pure. */

export const SWITCHES = [
  "kill-processor",
  "kill-ingest",
  "pause-deliveries",
  "deliver-twice",
  "out-of-order",
  "drop-deliveries",
  "mail-refuses",
  "send-broken",
] as const;
export type Switch = (typeof SWITCHES)[number];

/** Totals since this DATA_DIR began; in what is shown none of them ever goes back. */
export type Figures = {
  /** Deliveries that PostHog's stand-in has owed: one per event, and one more for a repeat. */
  readonly sent: number;
  readonly delivered: number;
  /** Given up after three attempts, or dropped on purpose. */
  readonly dropped: number;
  /** Records that the log has acknowledged, which is what a 200 of ingest promises; what waits in the spool comes to it. */
  readonly durable: number;
  /** Sum of the end offsets. */
  readonly records: number;
  /** Also those that an erasure has taken out since. */
  readonly lines: number;
  /** Records that have had a letter, also those redriven since. */
  readonly deadLetters: number;
  /** Records whose event had come before, and that gave no second line. */
  readonly duplicates: number;
  /** Records that are no training data: uses, identifications, erasures, and who had been erased before. */
  readonly counted: number;
  readonly mails: number;
};

/** What one service answered; null: it is away. */
export type Reading = {
  readonly standIn: DeliveryStatus | null;
  readonly ingest: Recent | null;
  readonly processor: PipelineStatus | null;
};

/** Of ingest's `GET /api/recent`. */
export type Recent = {
  readonly spooled: number;
  readonly topic: {
    readonly at: string | null;
    readonly partitions: readonly { readonly endOffset: number }[];
  };
};

const NONE: Figures = {
  sent: 0,
  delivered: 0,
  dropped: 0,
  durable: 0,
  records: 0,
  lines: 0,
  deadLetters: 0,
  duplicates: 0,
  counted: 0,
  mails: 0,
};

/** A state of the whole, as far as it is known. */
export type Standing = {
  readonly figures: Figures;
  /** Deliveries of events that had been delivered before. */
  readonly repeated: number;
  /** Why all does not agree, in words; empty where it does. */
  readonly differs: readonly string[];
  /** True where nothing is on its way any more, so that what is missing is lost. */
  readonly isQuiet: boolean;
  readonly lost: number;
  readonly doubled: number;
};

/**
 * Folds readings into totals that never go back; a service that is away leaves its figures as they were.
 *
 * `lost`: delivered and not in the log, decided as a line or a letter and not there. `doubled`: repeats that were delivered
 * and not dropped as such. What was so before the first quiet reading belongs to another log or an earlier version, and is
 * not counted.
 */
export class Tally {
  #figures = NONE;
  #repeated = 0;
  #gone = 0;
  #taken = 0;
  #forgotten = 0;
  #duplicates = 0;
  #before: { readonly lost: number; readonly doubled: number } | null = null;

  /** `isMoving`: its figures may be of different moments, so that what is missing in one is not lost. */
  add({ standIn, ingest, processor }: Reading, { isMoving = false } = {}): Standing {
    const raw = { ...this.#figures, repeated: this.#repeated };
    const onItsWay = standIn === null ? 0 : standIn.waiting + standIn.inFlight;
    if (standIn !== null) {
      raw.delivered = standIn.delivered;
      raw.dropped = standIn.dropped + standIn.failed;
      raw.sent = raw.delivered + raw.dropped + onItsWay;
      raw.repeated = standIn.repeated;
    }
    if (ingest !== null && ingest.topic.at !== null) {
      raw.records = ingest.topic.partitions.reduce((sum, { endOffset }) => sum + endOffset, 0);
      raw.durable = raw.records;
    }
    const { outcomes } = processor ?? {};
    const spooled = ingest?.spooled ?? 0;
    const handled = outcomes ? outcomes.records + outcomes.uncounted : raw.records;
    const behind = processor === null ? 0 : Math.max(
      ...processor.groups.map(({ lag }) => lag),
      processor.log === "embedded" ? raw.records - handled : 0,
    );
    const waits = [
      ...onItsWay > 0 ? [`${onItsWay} on ${onItsWay === 1 ? "its" : "their"} way from PostHog`] : [],
      ...spooled > 0 ? [`${waiting(spooled)} in ingest's spool`] : [],
      ...behind > 0 ? [`${waiting(behind)} for the processor`] : [],
    ];
    const isQuiet = !isMoving && standIn !== null && ingest !== null && processor !== null &&
      waits.length === 0 &&
      handled <= raw.records;
    if (processor !== null) {
      if (outcomes && outcomes.records > 0) this.#takeOut(outcomes.taken ?? 0);
      if (outcomes && isQuiet) this.#forget(outcomes.duplicates);
      raw.lines = processor.dataset.records + this.#gone;
      raw.deadLetters = outcomes?.letters ?? processor.deadLetters.total;
      raw.duplicates = (outcomes?.duplicates ?? 0) + this.#forgotten;
      // A replay decides no letter a second time: its record is one of the others then.
      const lettersBefore = outcomes ? Math.max(0, outcomes.letters - outcomes.deadLetters) : 0;
      raw.counted = Math.max(0, (outcomes?.others ?? 0) - lettersBefore - this.#gone - this.#forgotten);
      raw.mails = processor.mails.accepted;
    }
    const { repeated, ...figures } = raw;
    this.#figures = higher(this.#figures, figures);
    this.#repeated = Math.max(this.#repeated, repeated);

    let lost = Math.max(0, raw.delivered - raw.records - spooled);
    if (processor && outcomes) {
      const held = processor.dataset.records;
      // Lines from before the counting are in the files too.
      lost += Math.max(0, outcomes.lines - held) + Math.max(0, outcomes.deadLetters - raw.deadLetters);
      if (outcomes.uncounted === 0) lost += Math.max(0, held - outcomes.lines);
    }
    let doubled = Math.max(0, repeated - raw.duplicates);
    if (isQuiet) this.#before ??= { lost, doubled };
    lost = isQuiet ? Math.max(0, lost - this.#before!.lost) : 0;
    doubled = isQuiet ? Math.max(0, doubled - this.#before!.doubled) : 0;
    const differs = [
      ...waits,
      ...lost > 0 ? [`${lost} lost`] : [],
      ...doubled > 0 ? [`${doubled} doubled`] : [],
    ];
    return { figures: this.#figures, repeated: this.#repeated, differs, isQuiet, lost, doubled };
  }

  /** A replay gives the erased no line, so that of what was taken before it nothing is known any more. */
  #takeOut(taken: number): void {
    this.#gone += Math.max(0, taken - this.#taken);
    this.#taken = taken;
  }

  /** Only a replay makes fewer of them: repeats of the erased are among the others then. */
  #forget(duplicates: number): void {
    this.#forgotten += Math.max(0, this.#duplicates - duplicates);
    this.#duplicates = duplicates;
  }
}

function higher(a: Figures, b: Figures): Figures {
  const all = Object.entries(b).map(([name, figure]) => [name, Math.max(figure, a[name as keyof Figures])]);
  return Object.fromEntries(all) as Figures;
}

/** Something was broken on purpose, at `from`; `until` is the state when it was whole again, null: it is broken still. */
export type Episode = {
  readonly what: Switch;
  readonly from: Figures;
  readonly until: Figures | null;
};

const WHILE: Readonly<Record<Switch, string>> = {
  "kill-processor": "while the processor was dead",
  "kill-ingest": "while ingest was dead",
  "pause-deliveries": "while deliveries were paused",
  "deliver-twice": "while everything was delivered twice",
  "out-of-order": "while deliveries came out of order",
  "drop-deliveries": "while a share of the deliveries was dropped",
  "mail-refuses": "while the mail server answered 451",
  "send-broken": "that was broken",
};

const DONE: Readonly<Record<Switch, string>> = {
  "kill-processor": "The processor was killed",
  "kill-ingest": "Ingest was killed",
  "pause-deliveries": "Deliveries were paused",
  "deliver-twice": "Every delivery was doubled",
  "out-of-order": "Deliveries were put out of order",
  "drop-deliveries": "Dropping deliveries was begun",
  "mail-refuses": "The mail server was told to answer 451",
  "send-broken": "Something broken was sent",
};

/** What was done `seconds` ago, while not all agrees again. */
export function begunWords({ what, from }: Episode, { figures }: Standing, seconds: number): string {
  return `${DONE[what]} ${seconds} s ago, ${figures.sent - from.sent} sent since`;
}

/** What came of what was sent since it was broken, as one sentence: "7 sent while the processor was dead: 7 lines, 0 lost, 0 doubled". */
export function episodeWords({ what, from, until }: Episode, { figures, lost, doubled }: Standing): string {
  const since = (name: keyof Figures) => figures[name] - from[name];
  const meanwhile = (until ?? figures).sent - from.sent;
  const later = since("sent") - meanwhile;
  const parts = [
    counted(since("lines"), "line"),
    ...some(since("counted"), `${since("counted")} counted`),
    ...some(since("deadLetters"), counted(since("deadLetters"), "dead letter")),
    ...some(since("duplicates"), `${counted(since("duplicates"), "repeat")} dropped as such`),
    ...some(since("dropped"), `${since("dropped")} dropped by PostHog`),
    ...some(since("mails"), counted(since("mails"), "mail")),
    `${lost} lost`,
    `${doubled} doubled`,
  ];
  const sent = `${meanwhile} sent ${WHILE[what]}${later > 0 ? `, and ${later} since` : ""}`;
  return `${sent}: ${parts.join(", ")}`;
}

/** All totals in one sentence, where nothing was broken yet. */
export function totalWords({ figures, lost, doubled }: Standing): string {
  const { sent, lines, counted: others, deadLetters, duplicates, dropped } = figures;
  const parts = [
    counted(lines, "line"),
    `${others} counted`,
    ...some(deadLetters, counted(deadLetters, "dead letter")),
    ...some(duplicates, `${counted(duplicates, "repeat")} dropped as such`),
    ...some(dropped, `${dropped} dropped by PostHog`),
    `${lost} lost`,
    `${doubled} doubled`,
  ];
  return `${sent} sent: ${parts.join(", ")}`;
}

function waiting(count: number): string {
  return `${count} ${count === 1 ? "waits" : "wait"}`;
}

function counted(count: number, name: string): string {
  return `${count} ${name}${count === 1 ? "" : "s"}`;
}

function some(count: number, words: string): readonly string[] {
  return count > 0 ? [words] : [];
}
