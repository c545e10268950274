/**
 * Reads an environment into typed settings and gathers every problem, so that a service names all of them at once.
 * Pure: the environment is an argument. Values that may be secrets are never quoted in a problem.
 */

/** The settings of one process could not be read; `problems` lists everything that is wrong. */
export class ConfigurationError extends Error {
  override name = "ConfigurationError";
  constructor(readonly problems: readonly string[]) {
    super(problems.join("\n"));
  }
}

/** Environment variables by name; an empty value counts as unset. */
export type Environment = Readonly<Record<string, string | undefined>>;

const DURATION_UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const FLAGS = new Map([["1", true], ["true", true], ["0", false], ["false", false]]);
const SIZE_UNITS: Readonly<Record<string, number>> = {
  "": 1,
  B: 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
};

/** Milliseconds of `500ms`, `2s`, `2m`, `6h` or `7d`; undefined where the text is none of them. */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text.trim());
  if (!match) return undefined;
  return Number(match[1]) * DURATION_UNITS[match[2] as keyof typeof DURATION_UNITS];
}

/** Bytes of `1048576`, `64KiB`, `1 GiB`; undefined where the text is none of them. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d{1,15})\s*(|B|KiB|MiB|GiB|TiB)$/.exec(text.trim());
  if (!match) return undefined;
  const bytes = Number(match[1]) * SIZE_UNITS[match[2]!]!;
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** One reader per process start: each method reads one variable, notes what is wrong with it and answers its default. */
export class EnvironmentReader {
  readonly problems: string[] = [];
  constructor(private readonly environment: Environment) {}

  /** The text as it stands, or undefined where it is unset or empty. */
  optional(name: string): string | undefined {
    const value = this.environment[name];
    return value === undefined || value === "" ? undefined : value;
  }

  text(name: string, otherwise: string): string {
    return this.optional(name) ?? otherwise;
  }

  /** Whole number within `min` and `max`. */
  integer(name: string, otherwise: number, { min, max }: { min: number; max: number }): number {
    return this.#read(name, otherwise, `a whole number from ${min} to ${max}`, (value) => {
      const number = /^\d{1,16}$/.test(value) ? Number(value) : NaN;
      return number >= min && number <= max ? number : undefined;
    });
  }

  /** A port to listen on; 0 means any free one. */
  port(name: string, otherwise: number): number {
    return this.integer(name, otherwise, { min: 0, max: 65535 });
  }

  /** Milliseconds. */
  duration(name: string, otherwiseMs: number): number {
    return this.#read(name, otherwiseMs, "a duration such as 500ms, 2s, 2m, 6h or 7d", parseDuration);
  }

  /** A comma-separated list of durations, in milliseconds. */
  durations(name: string, otherwiseMs: readonly number[]): readonly number[] {
    return this.#read(name, otherwiseMs, "durations such as 5s,30s,2m", (value) => {
      const parsed = value.split(",").map(parseDuration);
      return parsed.every((ms) => ms !== undefined) ? parsed : undefined;
    });
  }

  /** Bytes. */
  size(name: string, otherwise: number): number {
    return this.#read(name, otherwise, "a size such as 1048576, 64MiB or 1GiB", parseSize);
  }

  oneOf<T extends string>(name: string, values: readonly T[], otherwise: T): T {
    return this.#read(name, otherwise, values.join(" or "), (value) => values.find((one) => one === value));
  }

  /** A comma-separated list without empty entries. */
  list(name: string, otherwise: readonly string[]): readonly string[] {
    return this.#read(name, otherwise, "a comma-separated list", (value) => {
      const entries = value.split(",").map((entry) => entry.trim()).filter((entry) => entry !== "");
      return entries.length > 0 ? entries : undefined;
    });
  }

  /** True for 1 or true, false for 0 or false. */
  flag(name: string, otherwise: boolean): boolean {
    return this.#read(name, otherwise, "1 or 0", (value) => FLAGS.get(value));
  }

  /** An absolute http or https address, without a slash at its end. */
  url(name: string, otherwise: string): string {
    const value = this.optional(name);
    if (value === undefined) return otherwise;
    if (URL.canParse(value) && /^https?:$/.test(new URL(value).protocol)) return value.replace(/\/+$/, "");
    // Not quoted: a password may stand in it.
    this.refuse(`Cannot read ${name}: expected an address such as http://127.0.0.1:3000.`);
    return otherwise;
  }

  /** Notes a problem that spans several variables. */
  refuse(problem: string): void {
    this.problems.push(problem);
  }

  /** Throws {@link ConfigurationError} with everything noted so far, if anything was. */
  finish(): void {
    if (this.problems.length > 0) throw new ConfigurationError(this.problems);
  }

  #read<T>(name: string, otherwise: T, expected: string, parse: (value: string) => T | undefined): T {
    const value = this.optional(name);
    if (value === undefined) return otherwise;
    const read = parse(value);
    if (read === undefined) this.refuse(`Cannot read ${name} "${value}": expected ${expected}.`);
    return read ?? otherwise;
  }
}
