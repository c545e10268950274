import type { Clock } from "../../runtime/clock.ts";
import { grouped, printable } from "../command.ts";

/** How far a replay is, on standard error: a bar on a terminal, a plain line now and then elsewhere. */
export type Progress = {
  /** Begins a stretch of work of a known size. */
  begin(what: string, total: { readonly records: number }): void;
  add(done: { readonly records: number; readonly bytes: number }): void;
  /** Ends the stretch with its last state. */
  end(): void;
  /** One line about something else. */
  say(text: string): void;
};

/** A progress that can be asked. */
export type ToldProgress = Progress & {
  /** Where the stretch that is under way stands, or the last one stood, in words; null before the first. */
  state(): string | null;
};

/** Adds records that are done. */
export function addRecords(progress: Progress, records: readonly { readonly value: Uint8Array }[]): void {
  progress.add({
    records: records.length,
    bytes: records.reduce((sum, { value }) => sum + value.length, 0),
  });
}

/** Where a stretch stands. */
export type Stretch = {
  readonly what: string;
  readonly total: { readonly records: number };
  readonly done: { readonly records: number; readonly bytes: number };
  readonly elapsedMs: number;
};

const BAR_EVERY_MS = 100;
const LINE_EVERY_MS = 5_000;
const BAR_CELLS_MAX = 40;

/** A progress that writes by `write`: a bar where there is a terminal, else a line every few seconds. */
export function createProgress(
  { write, columns, clock }: {
    readonly write: (text: string) => void;
    /** Width of the terminal; null where there is none. */
    readonly columns: number | null;
    readonly clock: Clock;
  },
): ToldProgress {
  let last: Stretch | null = null;
  let now: { stretch: Stretch; beganAt: number; shownAt: number } | null = null;
  const show = (isLast: boolean) => {
    if (!now) return;
    now.shownAt = clock.monotonic();
    const text = progressText(now.stretch);
    if (columns === null) write(`replay: ${text}\n`);
    else write(`\r\x1b[2K${barText(now.stretch, text, columns)}${isLast ? "\n" : ""}`);
  };
  return {
    begin(what, total) {
      const at = clock.monotonic();
      now = {
        stretch: { what, total, done: { records: 0, bytes: 0 }, elapsedMs: 0 },
        beganAt: at,
        shownAt: at,
      };
    },
    add({ records, bytes }) {
      if (!now) return;
      const { done } = now.stretch;
      const elapsedMs = clock.monotonic() - now.beganAt;
      const sum = { records: done.records + records, bytes: done.bytes + bytes };
      now.stretch = { ...now.stretch, done: sum, elapsedMs };
      if (clock.monotonic() - now.shownAt >= (columns === null ? LINE_EVERY_MS : BAR_EVERY_MS)) show(false);
    },
    end() {
      if (now && now.stretch.done.records > 0) show(true);
      last = now?.stretch ?? last;
      now = null;
    },
    say(text) {
      const shown = `replay: ${printable(text)}\n`;
      write(columns === null || !now ? shown : `\r\x1b[2K${shown}`);
    },
    state() {
      const stretch = now?.stretch ?? last;
      if (stretch === null) return null;
      const { what, total, done } = stretch;
      return `${what}, ${grouped(done.records)} of ${grouped(Math.max(total.records, done.records))} records`;
    },
  };
}

/** `building 61 %  610,000 of 1,000,000 records  31.4 MB/s  21,000 records/s  ETA 0:18`. A MB is 1,000,000 bytes. */
export function progressText({ what, total, done, elapsedMs }: Stretch): string {
  const seconds = Math.max(elapsedMs, 1) / 1000;
  const perSecond = done.records / seconds;
  const left = Math.max(0, total.records - done.records);
  const known = total.records > 0 && total.records >= done.records;
  return [
    known ? `${what} ${Math.floor(done.records / total.records * 100)} %` : what,
    known
      ? `${grouped(done.records)} of ${grouped(total.records)} records`
      : `${grouped(done.records)} records`,
    `${(done.bytes / 1e6 / seconds).toFixed(1)} MB/s`,
    `${grouped(Math.round(perSecond))} records/s`,
    ...(known ? [left === 0 ? `took ${duration(elapsedMs)}` : `ETA ${eta(left, perSecond)}`] : []),
  ].join("  ");
}

/** The text with a bar before it, as wide as the terminal lets it be. */
export function barText({ total, done }: Stretch, text: string, columns: number): string {
  const cells = Math.min(BAR_CELLS_MAX, columns - text.length - 4);
  if (cells < 5 || total.records === 0) return text.slice(0, Math.max(0, columns - 1));
  const full = Math.min(cells, Math.floor(done.records / total.records * cells));
  return `[${"#".repeat(full)}${".".repeat(cells - full)}] ${text}`;
}

function eta(records: number, perSecond: number): string {
  return perSecond === 0 ? "unknown" : duration(records / perSecond * 1000);
}

/** `0:18`, `12:05`, `1:02:33`. */
function duration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (n: number) => String(n).padStart(2, "0");
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}
