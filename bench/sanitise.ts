import process from "node:process";
import { type KnownValues, NO_KNOWN_VALUES, sanitise, SanitiseError } from "../processor/sanitise/mod.ts";
import { HOSTILE } from "../processor/sanitise/testdata/samples.ts";
import { readScriptOptions } from "../runtime/script_options.ts";
import { promptsOf } from "./support/prompts.ts";

/**
 * How fast the sanitiser is on prompts, beside what every line costs anyway, and what the worst text costs.
 *
 *     deno run -A bench/sanitise.ts [--prompts N] [--seed N] [--json]
 *
 * Prompts (`bench/support/prompts.ts`), and READMEs and source of this project's packages: MB/s, MB/s of `JSON.parse` and
 * `JSON.stringify` over the same lines, in turn, and how many times longer the sanitiser takes; of all rounds the
 * fastest, as others use the machine too. A prompt of 1 KB: p50 and p99. Known values: microseconds per prompt more.
 * Hostile: every unit and shape at 100 KB and 1 MB (of UTF-8), and the ratio of the two (10 is linear; a time below 5 ms
 * at 100 KB is too short for one).
 */
const { prompts: count, seed, json } = readScriptOptions(
  "Usage: deno task bench sanitise [--prompts N] [--seed N] [--json]",
  { numbers: { prompts: [100, 6000, 1_000_000], seed: [0, 1, 999_999_999] }, flags: ["json"] },
);

const encoder = new TextEncoder();

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

function timed(work: () => void): number {
  const start = cpuMs();
  work();
  return cpuMs() - start;
}

const ROUNDS = 12, WARM_UP = 3;

/** The fastest round of each, all of them in turn. */
function inTurn<Name extends string>(works: Readonly<Record<Name, () => void>>): Record<Name, number> {
  const best = {} as Record<Name, number>;
  for (let round = 0; round < ROUNDS; round++) {
    for (const name of Object.keys(works) as Name[]) {
      const ms = timed(works[name]);
      if (round >= WARM_UP) best[name] = Math.min(best[name] ?? Infinity, ms);
    }
  }
  return best;
}

function throughput(texts: readonly string[]) {
  const lines = texts.map((text) => JSON.stringify({ input_prompt: text }));
  const bytes = texts.reduce((sum, text) => sum + encoder.encode(text).length, 0);
  const { sanitiser, lines: parsed } = inTurn({
    sanitiser: () => texts.forEach((text) => sanitise(text)),
    lines: () => lines.forEach((line) => JSON.stringify(JSON.parse(line))),
  });
  return {
    megabytes: bytes / 1e6,
    mbPerSecond: bytes / sanitiser / 1000,
    jsonMbPerSecond: bytes / parsed / 1000,
    ratio: sanitiser / parsed,
  };
}

/** READMEs and source of the packages that are installed here, in pieces of up to 4 KB. */
function packaged(ending: RegExp, bytesMax: number): string[] {
  const pieces: string[] = [];
  let left = bytesMax;
  for (const path of filesBelow(new URL("../node_modules/.deno/", import.meta.url), ending)) {
    const text = Deno.readTextFileSync(path).slice(0, 40_000);
    for (let at = 0, size = 60; at < text.length; at += size, size = size * 7 % 4037 + 60) {
      // As a line that was read gives it: no part of a longer text.
      pieces.push(JSON.parse(JSON.stringify(text.slice(at, at + size).toWellFormed())));
    }
    if ((left -= text.length) < 0) break;
  }
  return pieces;
}

function* filesBelow(folder: URL, ending: RegExp): Generator<URL> {
  for (
    const { name, isDirectory, isFile } of [...Deno.readDirSync(folder)].sort((a, b) =>
      a.name < b.name ? -1 : 1
    )
  ) {
    if (isDirectory) yield* filesBelow(new URL(`${encodeURIComponent(name)}/`, folder), ending);
    else if (isFile && ending.test(name)) yield new URL(encodeURIComponent(name), folder);
  }
}

function kilobytes(prompts: readonly string[]): { p50: number; p99: number } {
  const text = prompts.join("\n\n");
  const times = Array.from({ length: 20_000 }, (_, i) => {
    const prompt = text.slice(i * 97 % (text.length - 1000)).slice(0, 1000);
    const start = performance.now();
    sanitise(prompt);
    return performance.now() - start;
  }).slice(2000).sort((a, b) => a - b);
  return { p50: times[Math.floor(times.length / 2)]!, p99: times[Math.floor(times.length * 0.99)]! };
}

/** Microseconds per prompt more than without, by what is known. */
function knownValues(prompts: readonly string[]) {
  let people = 0;
  const person = (id: number): KnownValues => ({
    emails: [`user.${id}@example.com`],
    names: [`Given${id} Surname`],
    phones: [`+1415${1_000_000 + id}`],
    ips: [],
  });
  const names = (id: number): KnownValues => ({
    ...NO_KNOWN_VALUES,
    names: Array.from({ length: 10 }, (_, i) => `Given${id} Surname${i}`),
  });
  const ms = inTurn({
    none: () => prompts.forEach((prompt) => sanitise(prompt)),
    one: () => prompts.forEach((prompt, i) => sanitise(prompt, person(i % 300))),
    distinct: () => prompts.forEach((prompt) => sanitise(prompt, person(people++))),
    tenNames: () => prompts.forEach((prompt) => sanitise(prompt, names(people++))),
  });
  const more = (of: number) => (of - ms.none) * 1000 / prompts.length;
  return {
    none: ms.none * 1000 / prompts.length,
    one: more(ms.one),
    distinct: more(ms.distinct),
    tenNames: more(ms.tenNames),
  };
}

const LINE_OF_BASE64 = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo0NTY3ODkwQUJDREVGR0hJSktMTU5P";
/** What is repeated, and what stands before it once. */
const SHAPES: readonly (readonly [unit: string, head?: string])[] = [
  ...HOSTILE.map((unit) => [unit] as const),
  ["key: "],
  ["pw="],
  [LINE_OF_BASE64, "-----BEGIN RSA PRIVATE KEY-----\n"],
  [`${LINE_OF_BASE64}\n`, "-----BEGIN RSA PRIVATE KEY-----\n"],
  [`-----BEGIN RSA PRIVATE KEY-----\n${LINE_OF_BASE64}\n`],
  ["-----BEGIN RSA PRIVATE KEY-----\n"],
  ["a@a@a@"],
  ["1234567890"],
  ["deadbeef01"],
  ["Cookie: a="],
  ["a=b; ", "Cookie: "],
  ["| a | password | b |\n|---|---|---|\n| x | y | z |\n"],
  ["| password "],
  ["user,password,secret\nx,hunter2,y\n"],
  ["<password>x</password>\n"],
  ["<password>"],
  ["- name: DB_PASSWORD\n  value: x\n"],
  ["kind: Secret\ndata:\n  a: b\n"],
  ["curl -u a:b "],
  ['getConnection("a","b","c")'],
  ["account 12345678 "],
  ["call 415 555 0132, "],
];

function hostile() {
  return SHAPES.map(([unit, head = ""]) => {
    const cost = (bytes: number) => {
      const text = head + unit.repeat(Math.floor((bytes - head.length) / encoder.encode(unit).length));
      return Math.min(...[0, 1].map(() =>
        timed(() => {
          try {
            sanitise(text);
          } catch (error) {
            if (!(error instanceof SanitiseError && error.code === "too_complex")) throw error;
          }
        })
      ));
    };
    return { unit: head + unit, small: cost(100_000), large: cost(1_000_000) };
  }).sort((a, b) => b.large - a.large);
}

const prompts = promptsOf(seed, count).map((prompt) => JSON.parse(JSON.stringify(prompt)) as string);
const corpora = {
  prompts: throughput(prompts),
  readmes: throughput(packaged(/\.md$/i, 2_000_000)),
  source: throughput(packaged(/\.[mc]?[jt]s$/, 2_000_000)),
};
const kilobyteMs = kilobytes(prompts);
const knownUs = knownValues(prompts.filter(({ length }) => length < 400));
const costs = hostile();
const ratio = Math.max(...costs.filter(({ small }) => small >= 5).map(({ small, large }) => large / small));

if (json) {
  const worst = costs.slice(0, 8).map(({ unit, large }) => ({ unit, ms: large }));
  console.log(JSON.stringify({ corpora, kilobyteMs, knownUs, hostile: { worst, ratio } }));
} else {
  for (const [name, { megabytes, mbPerSecond, jsonMbPerSecond, ratio }] of Object.entries(corpora)) {
    console.log(
      `${name.padEnd(18)} ${mbPerSecond.toFixed(1).padStart(5)} MB/s of CPU time; parse and stringify ${
        jsonMbPerSecond.toFixed(0)
      } MB/s, ${ratio.toFixed(1)} times that (${megabytes.toFixed(1)} MB)`,
    );
  }
  console.log(`prompt of 1 KB     p50 ${kilobyteMs.p50.toFixed(3)} ms, p99 ${kilobyteMs.p99.toFixed(3)} ms`);
  console.log(
    `known values       ${knownUs.none.toFixed(1)} µs a prompt without; one of 300 people +${
      knownUs.one.toFixed(1)
    }, another one each +${knownUs.distinct.toFixed(1)}, ten names each +${knownUs.tenNames.toFixed(1)}`,
  );
  console.log(`hostile, 1 MB      worst ratio to 100 KB ${ratio.toFixed(1)}; slowest:`);
  for (const { unit, small, large } of costs.slice(0, 10)) {
    console.log(
      `  ${large.toFixed(0).padStart(5)} ms, ${(large / small).toFixed(1).padStart(5)} times  ${
        JSON.stringify(unit).slice(0, 80)
      }`,
    );
  }
}
