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
    const value = this.optional(name);
    if (value === undefined) return otherwise;
    const number = /^\d{1,16}$/.test(value) ? Number(value) : NaN;
    if (number >= min && number <= max) return number;
    return this.#problem(
      otherwise,
      `Cannot read ${name} "${value}": expected a whole number from ${min} to ${max}.`,
    );
  }

  /** A port to listen on; 0 means any free one. */
  port(name: string, otherwise: number): number {
    return this.integer(name, otherwise, { min: 0, max: 65535 });
  }

  /** Milliseconds. */
  duration(name: string, otherwiseMs: number): number {
    const value = this.optional(name);
    if (value === undefined) return otherwiseMs;
    return parseDuration(value) ??
      this.#problem(
        otherwiseMs,
        `Cannot read ${name} "${value}": expected a duration such as 500ms, 2s, 2m, 6h or 7d.`,
      );
  }

  /** A comma-separated list of durations, in milliseconds. */
  durations(name: string, otherwiseMs: readonly number[]): readonly number[] {
    const value = this.optional(name);
    if (value === undefined) return otherwiseMs;
    const parsed = value.split(",").map(parseDuration);
    if (parsed.every((ms) => ms !== undefined)) return parsed as number[];
    return this.#problem(
      otherwiseMs,
      `Cannot read ${name} "${value}": expected durations such as 5s,30s,2m.`,
    );
  }

  /** Bytes. */
  size(name: string, otherwise: number): number {
    const value = this.optional(name);
    if (value === undefined) return otherwise;
    return parseSize(value) ??
      this.#problem(
        otherwise,
        `Cannot read ${name} "${value}": expected a size such as 1048576, 64MiB or 1GiB.`,
      );
  }

  oneOf<T extends string>(name: string, values: readonly T[], otherwise: T): T {
    const value = this.optional(name);
    if (value === undefined) return otherwise;
    if ((values as readonly string[]).includes(value)) return value as T;
    return this.#problem(otherwise, `Cannot read ${name} "${value}": expected ${values.join(" or ")}.`);
  }

  /** A comma-separated list without empty entries. */
  list(name: string, otherwise: readonly string[]): readonly string[] {
    const value = this.optional(name);
    if (value === undefined) return otherwise;
    const entries = value.split(",").map((entry) => entry.trim()).filter((entry) => entry !== "");
    return entries.length > 0
      ? entries
      : this.#problem(otherwise, `Cannot read ${name} "${value}": expected a comma-separated list.`);
  }

  /** True for 1 or true, false for 0 or false. */
  flag(name: string, otherwise: boolean): boolean {
    const value = this.optional(name);
    if (value === undefined) return otherwise;
    if (value === "1" || value === "true") return true;
    if (value === "0" || value === "false") return false;
    return this.#problem(otherwise, `Cannot read ${name} "${value}": expected 1 or 0.`);
  }

  /** An absolute http or https address, without a slash at its end. */
  url(name: string, otherwise: string): string {
    const value = this.optional(name);
    if (value === undefined) return otherwise;
    if (URL.canParse(value) && /^https?:$/.test(new URL(value).protocol)) return value.replace(/\/+$/, "");
    return this.#problem(
      otherwise,
      `Cannot read ${name}: expected an address such as http://127.0.0.1:3000.`,
    );
  }

  /** Notes a problem that spans several variables. */
  refuse(problem: string): void {
    this.problems.push(problem);
  }

  /** Throws {@link ConfigurationError} with everything noted so far, if anything was. */
  finish(): void {
    if (this.problems.length > 0) throw new ConfigurationError(this.problems);
  }

  #problem<T>(otherwise: T, problem: string): T {
    this.problems.push(problem);
    return otherwise;
  }
}
