import process from "node:process";

/** A rate and its price, without the records of the warm-up. */
export type Measured = {
  /** Records that were counted. */
  readonly records: number;
  readonly perSecond: number;
  /** Null where it cannot be told. */
  readonly cpuSecondsPerMillion: number | null;
  /**
   * The same of the whole process by all of its records, start and warm-up included: the one above leaves out what was
   * read ahead while it warmed up. Null where it cannot be told.
   */
  readonly cpuSecondsPerMillionInAll: number | null;
  /** Most resident memory of the process, warm-up included, in MB; null where it cannot be told. */
  readonly rssMbMax: number | null;
  /** The same at each tenth of the records; missing where nobody looked. */
  readonly rssMbAt?: readonly number[];
};

/** User and system time of a process since it started, in microseconds. */
export type CpuMicros = () => number;

export const ownCpuMicros: CpuMicros = () => {
  const { user, system } = process.cpuUsage();
  return user + system;
};

/** Counts from the first look at which `warmUp` records are done and everything is open, to the last record. */
export class Stretch {
  #begin: { readonly records: number; readonly at: number; readonly cpu: number } | null = null;

  constructor(
    private readonly warmUp: number,
    private readonly cpuMicros: CpuMicros,
  ) {
    if (warmUp === 0) this.#begin = { records: 0, at: performance.now(), cpu: cpuMicros() };
  }

  /** `isOpen` is asked only until it says so. */
  passed(records: number, isOpen: () => boolean = () => true): void {
    if (this.#begin !== null || records < this.warmUp || !isOpen()) return;
    this.#begin = { records, at: performance.now(), cpu: this.cpuMicros() };
  }

  /** Throws where the warm-up took all of the records. */
  end(count: number, rssMbMax: number | null): Measured {
    const begin = this.#begin;
    if (begin === null || begin.records >= count) {
      throw new Error(
        `Cannot measure ${count} records: the warm-up took all of them. Give more --records, or less --warm-up.`,
      );
    }
    const records = count - begin.records;
    return {
      records,
      perSecond: Math.round(records / (performance.now() - begin.at) * 1000),
      cpuSecondsPerMillion: Math.round((this.cpuMicros() - begin.cpu) / records * 10) / 10,
      cpuSecondsPerMillionInAll: Math.round(this.cpuMicros() / count * 10) / 10,
      rssMbMax,
    };
  }
}

/** The median of each figure, to a tenth; null where there is none. */
export function medians(rounds: readonly Measured[]): Measured {
  const median = (of: (one: Measured) => number | null): number | null => {
    const sorted = rounds.map(of).filter((value) => value !== null).sort((a, b) => a - b);
    const [low, high] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]];
    return low === undefined || high === undefined ? null : Math.round((low + high) * 5) / 10;
  };
  return {
    records: median(({ records }) => records)!,
    perSecond: median(({ perSecond }) => perSecond)!,
    cpuSecondsPerMillion: median(({ cpuSecondsPerMillion }) => cpuSecondsPerMillion),
    cpuSecondsPerMillionInAll: median(({ cpuSecondsPerMillionInAll }) => cpuSecondsPerMillionInAll),
    rssMbMax: median(({ rssMbMax }) => rssMbMax),
  };
}
