import { parseArgs, type ParseArgsOptionsConfig } from "node:util";

/** Arguments that cannot be read: one sentence that names the option, the nearest that there is, and `--help`. */
export class ArgumentsError extends Error {
  override name = "ArgumentsError";
}

export type ReadArguments = {
  readonly values: Readonly<Record<string, string | boolean | undefined>>;
  readonly positionals: readonly string[];
};

type Token = {
  readonly name: string;
  readonly rawName: string;
  readonly value: string | undefined;
  readonly inline: boolean;
};

/** Reads options as `node:util` does, and says in our own words what cannot be read; throws {@link ArgumentsError}. */
export function readArguments(args: readonly string[], options: ParseArgsOptionsConfig): ReadArguments {
  const { values, positionals, tokens } = parseArgs({
    args: [...args],
    options,
    // Its own refusals name neither a near option nor --help.
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const valued = new Set<string>();
  for (const token of tokens) {
    if (token.kind !== "option") continue;
    const { name, rawName, value, inlineValue: inline = false } = token;
    // Of two values one would be passed over, and nobody told.
    const again = valued.has(name) ? "it is given twice, and takes one value." : null;
    const why = whyNot({ name, rawName, value, inline }, options) ?? again;
    if (value !== undefined) valued.add(name);
    if (why !== null) throw new ArgumentsError(`Cannot read the option "${rawName}": ${why} See --help.`);
  }
  return { values: values as ReadArguments["values"], positionals };
}

function whyNot(
  { name, rawName, value, inline }: Token,
  options: ParseArgsOptionsConfig,
): string | null {
  if (!Object.hasOwn(options, name)) {
    if (!rawName.startsWith("--")) {
      return 'there is no such option. An argument that begins with a dash comes behind "--".';
    }
    const near = nearest(name, Object.keys(options));
    return near === null ? "there is no such option." : `there is no such option; did you mean --${near}?`;
  }
  if (options[name]!.type === "boolean") return value === undefined ? null : "it takes no value.";
  if (value === undefined) return "it needs a value.";
  // What looks like the next option is one: its own value was left out.
  return !inline && value.length > 1 && value.startsWith("-")
    ? `it needs a value; one that begins with a dash is given as ${rawName}=….`
    : null;
}

/** The known name that most likely was meant; null where none is near. */
export function nearest(name: string, known: readonly string[]): string | null {
  const wanted = name.toLowerCase().slice(0, NAME_CHARACTERS_MAX);
  const beginsSo = known.find((one) => wanted.length >= 2 && one.startsWith(wanted));
  if (beginsSo !== undefined) return beginsSo;
  const [best] = known.map((one) => ({ one, distance: distanceOf(wanted, one) }))
    .sort((a, b) => a.distance - b.distance);
  if (best === undefined) return null;
  // Two letters that changed places are two.
  const distanceMax = best.one.length < 4 ? 1 : Math.max(2, Math.floor(best.one.length / 3));
  return best.distance <= distanceMax ? best.one : null;
}

/** Characters of a name that are compared: it came from outside. */
const NAME_CHARACTERS_MAX = 64;

/** Characters to insert, take out or replace (Levenshtein). */
function distanceOf(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, n) => n);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length]!;
}
