import type { FaultPoint } from "../../runtime/fault_point.ts";
import type { LetterSource } from "../../contract/dead_letter.ts";
import type {
  DeadLetterDetail,
  DeadLetterListing,
  DismissAnswer,
  DismissOrder,
  RedriveAnswer,
  RedriveOrder,
  ResendOrder,
} from "../../contract/processor_api.ts";
import type { HeldLock } from "../../runtime/data_dir.ts";
import type { TopicLog } from "../../topic/topic.ts";
import { dismiss } from "./dismiss.ts";
import { countsByReason, type DeadLetterList, findLetter, letterView, type ListedLetter } from "./list.ts";
import { letterRecord, offsetOf } from "./records.ts";
import { redrive, type RedriveOutcome, REDRIVES_MAX, whyNever } from "./redrive.ts";

/** The dead letters as the processor's API shows and redrives them. */
export type DeadLetters = {
  list(options: DeadLetterQuery): Promise<DeadLetterListing>;
  /** Null where there is no such letter; `raw`: whether the record itself may be shown. */
  show(id: string, options: { readonly raw: boolean }): Promise<DeadLetterDetail | null>;
  redrive(order: RedriveOrder): Promise<Result<RedriveAnswer>>;
  /** Redrives one letter with another value. */
  resend(order: ResendOrder): Promise<Result<RedriveAnswer>>;
  /** Sets a letter aside for good. */
  dismiss(order: DismissOrder): Promise<Result<DismissAnswer>>;
  /** Id of the letter of a position; null where it has none. */
  letterAt(source: LetterSource): Promise<string | null>;
};

/** `before`: an id; only older letters. `limit`: letters of a page. */
export type DeadLetterQuery = {
  readonly all: boolean;
  readonly before: string | null;
  readonly limit: number;
};

/** What became of an order; with anything but `done` nothing was published. */
export type Result<T> =
  | { readonly is: "done"; readonly answer: T }
  | { readonly is: "unknown_letter"; readonly id: string }
  /** A replay, an erasure or another redrive holds the lock, or this processor is not the one to do it; in words. */
  | { readonly is: "not_now"; readonly reason: string };

export type DeadLettersOptions = {
  readonly log: TopicLog;
  readonly list: DeadLetterList;
  readonly locks: () => MaintenanceLocks;
  readonly dedupWindow: number;
  readonly now: () => number;
  readonly faultPoint: FaultPoint;
  /** Why this processor must not redrive, in words; null where it may. Default: it may. */
  readonly refusalReason?: () => string | null;
  /** Called when letters have left the list, so that nobody counts them any more. */
  readonly changed?: () => void;
};

/** The part of the dataset's locks that a redrive needs. */
export type MaintenanceLocks = {
  takeMaintenance(what?: string): HeldLock | null;
  maintenanceUnderWay(): string;
  close(): void;
};

/** Outcomes that an answer names one by one; the counts are of all. */
const OUTCOMES_LISTED_MAX = 1_000;

/**
 * The dead letters as a console or command sees them: listed and shown from the list as it is at the call, redriven
 * under the maintenance lock.
 */
export function createDeadLetters(options: DeadLettersOptions): DeadLetters {
  const { list, log } = options;
  return {
    async list(query) {
      await list.catchUp();
      return listing(list, query);
    },
    async show(id, { raw }) {
      await list.catchUp();
      const letter = findLetter(list, id);
      return letter && await detail(log, { letter, raw });
    },
    async redrive(order) {
      if (order.dryRun !== true) {
        return await underLock(options, "a redrive of dead letters", () => redriveChosen(order, options));
      }
      const message = options.refusalReason?.() ?? null;
      if (message !== null) return { is: "not_now", reason: message };
      await list.catchUp();
      const chosen = choose(list, order);
      return "unknown" in chosen
        ? { is: "unknown_letter", id: chosen.unknown }
        : { is: "done", answer: answerOf(chosen.letters.map(foreseen), { dryRun: true }) };
    },
    resend: ({ id, value }) =>
      underLock(options, "a redrive of a dead letter", () => {
        const edits = new Map([[id, new TextEncoder().encode(value)]]);
        return redriveChosen({ ids: [id] }, { ...options, edits });
      }),
    dismiss: ({ id, reason }) =>
      underLock(options, "a dismissal of a dead letter", async () => {
        const letter = findLetter(list, id);
        if (letter === null) return { is: "unknown_letter", id };
        const outcome = await dismiss(letter, { ...options, words: reason, now: options.now() });
        return { is: "done", answer: { id, outcome } };
      }),
    async letterAt(source) {
      await list.catchUp();
      return list.idAt(source);
    },
  };
}

/** Letters to redrive, or the first id that names none. */
type Chosen = { readonly letters: readonly ListedLetter[] } | { readonly unknown: string };

function choose(list: DeadLetterList, order: RedriveOrder): Chosen {
  if ("all" in order) return { letters: list.letters({ all: false }) };
  const known = new Map(list.letters({ all: true }).map((letter) => [letter.id, letter]));
  const ids = [...new Set(order.ids)];
  const unknown = ids.find((id) => !known.has(id));
  return unknown !== undefined ? { unknown } : { letters: ids.map((id) => known.get(id)!) };
}

/** A second click, or a list that was read before somebody else's redrive, makes no second copy. */
async function underLock<T>(
  { locks: openLocks, list, refusalReason, changed }: DeadLettersOptions,
  what: string,
  work: () => Promise<Result<T>>,
): Promise<Result<T>> {
  const message = refusalReason?.() ?? null;
  if (message !== null) return { is: "not_now", reason: message };
  const locks = openLocks();
  try {
    const lock = locks.takeMaintenance(what);
    if (!lock) return { is: "not_now", reason: `${capital(locks.maintenanceUnderWay())} is under way.` };
    try {
      await list.catchUp();
      const result = await work();
      await list.catchUp();
      if (result.is === "done") changed?.();
      return result;
    } finally {
      lock.release();
    }
  } finally {
    locks.close();
  }
}

/** The caller holds the lock. */
async function redriveChosen(
  order: RedriveOrder,
  options: DeadLettersOptions & { readonly edits?: ReadonlyMap<string, Uint8Array> },
): Promise<Result<RedriveAnswer>> {
  const chosen = choose(options.list, order);
  if ("unknown" in chosen) return { is: "unknown_letter", id: chosen.unknown };
  const before = chosen.letters.filter(({ redriven }) => redriven);
  const willing = chosen.letters.filter(({ redriven }) => !redriven);
  const outcomes = await redrive(willing, { ...options, now: options.now() });
  return { is: "done", answer: answerOf([...before.map(alreadyThere), ...outcomes], { dryRun: false }) };
}

function alreadyThere(letter: ListedLetter): RedriveOutcome {
  return { letter, is: "already_there", why: null };
}

function foreseen(letter: ListedLetter): RedriveOutcome {
  if (letter.redriven) return alreadyThere(letter);
  const why = whyNever(letter);
  return why === null ? { letter, is: "redriven", why } : { letter, is: "refused", why };
}

function answerOf(outcomes: readonly RedriveOutcome[], { dryRun }: { dryRun: boolean }): RedriveAnswer {
  const count = (is: RedriveOutcome["is"]) => outcomes.filter((outcome) => outcome.is === is).length;
  return {
    dryRun,
    redriven: count("redriven"),
    alreadyThere: count("already_there"),
    refused: count("refused"),
    letters: outcomes.slice(0, OUTCOMES_LISTED_MAX)
      .map(({ letter: { id }, is: outcome, why }) => ({ id, outcome, why })),
  };
}

function listing(list: DeadLetterList, { all, before, limit }: DeadLetterQuery): DeadLetterListing {
  const letters = list.letters({ all });
  const from = before === null ? Infinity : offsetOf({ id: before });
  const older = letters.filter((letter) => offsetOf(letter) < from);
  const page = older.slice(-limit).reverse();
  return {
    total: letters.length,
    byReason: countsByReason(letters),
    redrivable: letters.filter((letter) => !letter.redriven && whyNever(letter) === null).length,
    redrivesMax: REDRIVES_MAX,
    letters: page.map(letterView),
    older: older.length > page.length ? page.at(-1)!.id : null,
  };
}

async function detail(
  log: TopicLog,
  { letter, raw }: { readonly letter: ListedLetter; readonly raw: boolean },
): Promise<DeadLetterDetail> {
  const view = { ...letterView(letter), redrivesMax: REDRIVES_MAX };
  if (!raw) return { ...view, record: null, withheld: "raw_not_shown" };
  const record = await letterRecord(log, letter);
  if (record === null) return { ...view, record: null, withheld: "gone" };
  const key = record.key === null ? null : new TextDecoder().decode(record.key);
  const { value } = record;
  return {
    ...view,
    record: { key, headers: { ...letter.headers }, ...textOf(value), valueBytes: value.length },
    withheld: null,
  };
}

function textOf(bytes: Uint8Array): { readonly value: string; readonly utf8: boolean } {
  try {
    return { value: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes), utf8: true };
  } catch {
    return { value: new TextDecoder().decode(bytes), utf8: false };
  }
}

function capital(message: string): string {
  return message.charAt(0).toUpperCase() + message.slice(1);
}
