import { drawer } from "./samples.ts";

/**
 * Hostile texts over every pattern: units of one to four tokens of the pattern's own alphabet, repeated and nested, alone
 * and with known values that nearly stand in them. Alphabets are read from the rules' sources, so that a pattern that is
 * added tomorrow is attacked tomorrow.
 */
export type HostileText = {
  /** The pattern, and the unit. */
  readonly name: string;
  /** The text at a length, in UTF-16 units; what it is made of repeats more often in a longer one. */
  readonly at: (length: number) => string;
  readonly names: readonly string[];
  readonly phones: readonly string[];
};

/** Characters for what a pattern leaves open. */
const OPEN: Readonly<Record<string, readonly string[]>> = {
  d: ["7", "0", "13"],
  w: ["a", "A", "_", "x1"],
  s: [" ", "\n", "\t"],
  S: ["x"],
  D: ["-"],
  W: ["."],
  "0": ["\0"],
  n: ["\n"],
  r: ["\r"],
  t: ["\t"],
};
const SCRIPTS: Readonly<Record<string, readonly string[]>> = {
  "sc=Han": ["电", "話"],
  "sc=Hiragana": ["は"],
  "sc=Hangul": ["저"],
  Lu: ["A", "É"],
  Ll: ["a", "é"],
  L: ["a", "é", "电", "𐍈"],
  M: ["\u0301"],
  N: ["1", "①"],
};

/** A regular expression between slashes, or a text in quotes; whatever else is taken for one does no harm. */
const LITERALS = /\/(?![*/\s])((?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+)\/|"((?:\\.|[^"\\\n])+)"|`([^`]+)`/g;
const ATOM =
  /\(\?(?:<?[=!]|:)|\\[pP]\{([^}]*)\}|\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})|\\(.)|\[\^?((?:\\.|[^\]\\])*)\]|([\p{L}\p{N}]+|[^\p{L}\p{N}])/gu;

/** Pieces of texts that a pattern knows: its words, and samples of what it leaves open, also as often as it asks for. */
export function tokensOf(pattern: string): readonly string[] {
  const tokens = new Set<string>();
  let last: readonly string[] = [];
  for (const match of pattern.matchAll(ATOM)) {
    const [, script, unicode, hex, escaped, members, plain] = match;
    const times = plain !== undefined && /^\d+$/.test(plain) && pattern.includes(`{${plain}`)
      ? Number(plain)
      : 0;
    if (times > 1 && times <= 100) last.forEach((token) => tokens.add(token.repeat(times)));
    else if (script !== undefined) last = SCRIPTS[script] ?? ["é"];
    else if (unicode !== undefined || hex !== undefined) {
      last = [String.fromCharCode(parseInt(unicode ?? hex!, 16))];
    } else if (escaped !== undefined) last = OPEN[escaped] ?? (/[a-zA-Z1-9]/.test(escaped) ? [] : [escaped]);
    else if (members !== undefined) last = samplesOf(members);
    else if (plain !== undefined && !/[()|?*+^${}]/.test(plain)) {
      last = plain === "." ? ["x"] : [plain];
    } else continue;
    last.forEach((token) => tokens.add(token));
  }
  return [...tokens];
}

/** Ends of the ranges, and every sign, of a class. */
function samplesOf(members: string): readonly string[] {
  const open = [...members.matchAll(/\\(.)/g)].flatMap(([, escaped]) => OPEN[escaped!] ?? []);
  const plain = members.replaceAll(/\\[pP]\{[^}]*\}|\\u[0-9a-fA-F]{4}|\\[a-zA-Z0-9]/g, "").replaceAll(
    "\\",
    "",
  );
  return [...open, ...plain.replace(/(.)-(.)/gu, "$1$2")];
}

/** Every pattern and word list of the rules, and every sample of their tests, as its tokens. */
export function alphabetsOf(rules: URL): ReadonlyMap<string, readonly string[]> {
  const alphabets = new Map<string, readonly string[]>();
  for (const { name, isDirectory } of Deno.readDirSync(rules)) {
    const url = new URL(isDirectory ? `${name}/` : name, rules);
    if (isDirectory && name !== "testdata") {
      for (const [pattern, tokens] of alphabetsOf(url)) alphabets.set(pattern, tokens);
    }
    if (isDirectory || !name.endsWith(".ts")) continue;
    for (const [, regex, quoted, template] of Deno.readTextFileSync(url).matchAll(LITERALS)) {
      const pattern = regex ?? quoted ?? template!;
      // Texts of the rules and of their tests also whole: what is found makes rules do what follows a find.
      const whole = regex === undefined && pattern.length <= 64 ? [pattern] : [];
      const tokens = [...whole, ...whole, ...tokensOf(pattern)];
      if (tokens.length > 0) alphabets.set(pattern, tokens);
    }
  }
  return new Map([...alphabets].sort(([a], [b]) => a < b ? -1 : 1));
}

/** `perPattern` texts of every alphabet, the same for the same seed. */
export function* hostileTexts(
  alphabets: ReadonlyMap<string, readonly string[]>,
  { seed, perPattern }: { readonly seed: number; readonly perPattern: number },
): Generator<HostileText> {
  const next = drawer(seed);
  const below = (limit: number) => Math.floor(next() * limit);
  const patterns = [...alphabets.keys()];
  for (const pattern of patterns) {
    for (let i = 0; i < perPattern; i++) {
      // Now and then a token of another pattern: rules meet in one text.
      const token = () => {
        const tokens = alphabets.get(next() < 0.15 ? patterns[below(patterns.length)]! : pattern)!;
        return tokens[below(tokens.length)]!;
      };
      const unit = () => {
        const glue = ["", "", " ", "-", ": ", "\n"][below(6)]!;
        return Array.from({ length: 1 + below(4) }, token).join(glue) + glue;
      };
      yield textOf(pattern, [unit(), unit(), unit()], below(5));
    }
  }
}

type Units = readonly [string, string, string];

function textOf(pattern: string, [a, b, c]: Units, form: number): HostileText {
  const times = (unit: string, length: number) => unit.repeat(Math.max(1, Math.floor(length / unit.length)));
  const forms: readonly ((length: number) => string)[] = [
    (length) => times(a, length),
    // Nested: all that opens, then all that closes.
    (length) => times(a, length / 2) + times(b, length / 2),
    // A beginning without an end, an end without a beginning.
    (length) => a + times(b, length) + c,
    (length) => times(a + times(b, 40), length),
    (length) => times(a, length / 2) + c + times(b, length / 2),
  ];
  const near = times(a.trim() || "a", 280).trim().slice(0, 300);
  return {
    name: `${JSON.stringify(pattern).slice(0, 60)} ${form}: ${JSON.stringify([a, b, c])}`,
    at: forms[form]!,
    // What repeats in the text, and what no text holds behind it.
    names: form % 2 === 0 ? [`${near}b`, near, `${near.split(/\s+/).join(" ")} b`] : [],
    phones: form % 2 === 0 ? ["+17777777", "7070707070"] : [],
  };
}
