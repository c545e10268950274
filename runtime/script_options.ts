import { ArgumentsError, readArguments } from "./arguments.ts";
import { logError } from "./printable.ts";

/** What a script takes beside `--help`. */
export type ScriptOptions<N extends string, T extends string, F extends string> = {
  /** Whole numbers: the least, the one where none is given, the most. */
  readonly numbers?: Readonly<Record<N, readonly [min: number, otherwise: number, max: number]>>;
  /** Texts, with what stands where none is given. */
  readonly texts?: Readonly<Record<T, string>>;
  readonly flags?: readonly F[];
};

type Given<N extends string, T extends string, F extends string> =
  & Readonly<Record<N, number>>
  & Readonly<Record<T, string>>
  & Readonly<Record<F, boolean>>;

/** Reads a script's arguments; ends the process after `--help`, and with exit code 2 where it cannot read them. */
export function readScriptOptions<
  N extends string = never,
  T extends string = never,
  F extends string = never,
>(
  usage: string,
  options: ScriptOptions<N, T, F>,
): Given<N, T, F> {
  try {
    const given = parse(options);
    if (!given.help) return given;
    console.log(usage);
  } catch (error) {
    const { message } = error as Error;
    logError(error instanceof ArgumentsError ? message : `${message} See --help.`);
    Deno.exit(2);
  }
  Deno.exit(0);
}

function parse<N extends string, T extends string, F extends string>(
  { numbers, texts, flags = [] }: ScriptOptions<N, T, F>,
): Given<N, T, F | "help"> {
  const bounds = Object.entries<readonly [number, number, number]>(numbers ?? {});
  const named = [
    ...bounds.map(([name, [, otherwise]]) => [name, String(otherwise)]),
    ...Object.entries(texts ?? {}),
  ];
  const { values, positionals } = readArguments(
    Deno.args,
    Object.fromEntries([
      ...named.map(([name, text]) => [name, { type: "string", default: text }]),
      ...[...flags, "help"].map((name) => [name, { type: "boolean", default: false }]),
    ]),
  );
  if (positionals.length > 0) throw new Error(`Cannot read "${positionals[0]}": expected options only.`);
  const read = bounds.map(([name, [min, , max]]) => [name, whole(name, String(values[name]), { min, max })]);
  return { ...values, ...Object.fromEntries(read) } as Given<N, T, F | "help">;
}

function whole(name: string, text: string, { min, max }: { readonly min: number; readonly max: number }) {
  const number = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  if (number >= min && number <= max) return number;
  throw new Error(`Cannot read --${name} "${text}": expected a whole number from ${min} to ${max}.`);
}
