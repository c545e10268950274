import type { Clock } from "../../runtime/clock.ts";
import { grouped } from "../command.ts";

/** How far a backfill is, on standard error: one line that changes on a terminal, a line now and then elsewhere. */
export type Progress = {
  /** Called as work goes on; writes now and then. */
  at(read: number, share: number | null): void;
  /** Makes room for another line. */
  clear(): void;
};

const SHOWN_EVERY_MS = 200;
const LINE_EVERY_MS = 5_000;

export function createProgress(
  { what, write, columns, clock }: {
    readonly what: string;
    readonly write: (text: string) => void;
    /** Width of the terminal; null where there is none. */
    readonly columns: number | null;
    readonly clock: Clock;
  },
): Progress {
  const beganAt = clock.monotonic();
  let shownAt = beganAt;
  let isShown = false;
  return {
    at(read, share) {
      const now = clock.monotonic();
      if (now - shownAt < (columns === null ? LINE_EVERY_MS : SHOWN_EVERY_MS)) return;
      shownAt = now;
      const text = `backfill: ${what} ${progressText({ read, share, elapsedMs: now - beganAt })}`;
      if (columns === null) return write(`${text}\n`);
      write(`\r\x1b[2K${text.slice(0, Math.max(0, columns - 1))}`);
      isShown = true;
    },
    clear() {
      if (isShown) write("\r\x1b[2K");
      isShown = false;
    },
  };
}

/** `61 %  610,000 read  21,000/s  ETA 0:18`; without a share what is known alone. */
export function progressText(
  { read, share, elapsedMs }: {
    readonly read: number;
    readonly share: number | null;
    readonly elapsedMs: number;
  },
): string {
  const known = share === null ? null : Math.min(1, Math.max(0, share));
  const perSecond = Math.round(read / Math.max(elapsedMs, 1) * 1000);
  return [
    ...(known === null ? [] : [`${Math.floor(known * 100)} %`]),
    `${grouped(read)} read`,
    `${grouped(perSecond)}/s`,
    ...(known === null ? [] : [`ETA ${known === 0 ? "unknown" : duration(elapsedMs / known * (1 - known))}`]),
  ].join("  ");
}

/** `0:18`, `12:05`, `1:02:33`. */
function duration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (n: number) => String(n).padStart(2, "0");
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}
