import * as z from "zod";
import type { Clock } from "../../runtime/clock.ts";
import { PRIVATE, readIfThere, replaceFile } from "../../runtime/durable_file.ts";
import type { Log } from "../../runtime/log.ts";
import { addLatencies, type LatencyCounts, NO_LATENCIES } from "../loop/latency.ts";

/**
 * What this processor has seen in the minutes of the last hour, and no log holds: how far groups were behind, and how long
 * events took. Kept in a file of DATA_DIR and not in the dataset's manifests: those are a function of the records alone, so that
 * a replay makes the same. A kill loses what came since the file was written last.
 */
export type SeenMinute = {
  /** Since 1970. */
  readonly minute: number;
  /** Seconds, the most of that minute, by group. */
  readonly lagSeconds: Readonly<Record<string, number>>;
  readonly latencies: LatencyCounts;
};

/** The minute that goes on, and the hour before it. */
export const MINUTES_SHOWN = 61;
/** Between two writings of the file, in ms. */
const KEPT_EVERY_MS = 5_000;

const count = z.int().min(0);
const stored = z.object({
  minutes: z.array(z.object({
    minute: count,
    lagSeconds: z.record(z.string(), z.number().min(0)),
    latencies: z.array(count).length(NO_LATENCIES.length),
  })),
});

export class LastHour {
  readonly #minutes = new Map<number, SeenMinute>();
  #isKept = true;

  /** Begins with what the file has; where it is damaged, anew. */
  constructor(
    private readonly path: string,
    private readonly options: { readonly clock: Clock; readonly say: Log },
  ) {
    const bytes = readIfThere(path);
    if (bytes === null) return;
    const found = stored.safeParse(parse(bytes));
    if (!found.success) {
      options.say("warn", `Cannot read "${path}": it is damaged. The figures of the last hour begin anew.`);
      return;
    }
    for (const one of found.data.minutes) this.#minutes.set(one.minute, one);
    this.#forget();
  }

  sawLag(group: string, seconds: number): void {
    this.#add(({ lagSeconds }) => ({
      lagSeconds: { ...lagSeconds, [group]: Math.max(seconds, lagSeconds[group] ?? 0) },
    }));
  }

  sawLines(counts: LatencyCounts): void {
    this.#add(({ latencies }) => ({ latencies: addLatencies(latencies, counts) }));
  }

  /** Of the last {@link MINUTES_SHOWN} those in which something was seen. */
  minutes(): ReadonlyMap<number, SeenMinute> {
    this.#forget();
    return this.#minutes;
  }

  /** Writes the file every 5 s where there is news, and when the signal aborts. */
  async keep(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.options.clock.wait(KEPT_EVERY_MS, signal);
      await this.save();
    }
    // While the last one was written, more may have come.
    await this.save();
  }

  async save(): Promise<void> {
    if (this.#isKept) return;
    this.#isKept = true;
    this.#forget();
    const text = JSON.stringify({ minutes: [...this.#minutes.values()] }) + "\n";
    try {
      await replaceFile(this.path, new TextEncoder().encode(text), PRIVATE);
    } catch (error) {
      // A full disk has worse to say; what is in memory is shown all the same.
      this.#isKept = false;
      this.options.say("debug", `Cannot keep the figures of the last hour: ${(error as Error).message}`);
    }
  }

  #add(change: (before: SeenMinute) => Partial<SeenMinute>): void {
    const minute = minuteOf(this.options.clock.now());
    const before = this.#minutes.get(minute) ?? { minute, lagSeconds: {}, latencies: NO_LATENCIES };
    this.#minutes.set(minute, { ...before, ...change(before) });
    if (this.#minutes.size > MINUTES_SHOWN) this.#forget();
    this.#isKept = false;
  }

  /** A clock that was set back leaves minutes that are still to come. */
  #forget(): void {
    const now = minuteOf(this.options.clock.now());
    for (const minute of this.#minutes.keys()) {
      if (minute > now || minute <= now - MINUTES_SHOWN) this.#minutes.delete(minute);
    }
  }
}

/** The minute since 1970 in which a time lies, given in milliseconds. */
export function minuteOf(time: number): number {
  return Math.floor(time / 60_000);
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}
