import process from "node:process";
import { LOOKS_PER_CHARACTER_MAX } from "../processor/sanitise/counted_text.ts";
import { type KnownValues, sanitise, SanitiseError } from "../processor/sanitise/mod.ts";
import { type Costly, looksOf, searchGrowth } from "../processor/sanitise/testdata/search_growth.ts";
import { readScriptOptions } from "../runtime/script_options.ts";

/**
 * Whether any text over the rules' own alphabets makes them look more often per character the longer it is, and what the
 * costliest ones cost.
 *
 *     deno run -A bench/sanitise_hostile.ts [--rounds N] [--seed N] [--json]
 *
 * A round tries a text of every pattern, at 3,000 to 48,000 characters; the same seed tries the same ones. The costliest,
 * in looks per character (the unit of the budget), are then sanitised at 1 MB: CPU time, and nanoseconds per look, which
 * tell whether looks are counted honestly. Exit code 1 where a text grows.
 */
const { rounds, seed, json } = readScriptOptions(
  "Usage: deno task bench sanitise_hostile [--rounds N] [--seed N] [--json]",
  { numbers: { rounds: [1, 20, 10_000], seed: [0, 1, 999_999_999] }, flags: ["json"] },
);

type Tried = Costly & { readonly text: (length: number) => string; readonly known: KnownValues };

const COSTLIEST = 8;
let costliest: Tried[] = [];
const { texts, grown } = searchGrowth({
  seed,
  perPattern: rounds,
  look: (costly, text, known) => {
    costliest.push({ ...costly, text, known });
    if (costliest.length > 10 * COSTLIEST) costliest = firstOf(costliest);
  },
});

function firstOf(tried: readonly Tried[]): Tried[] {
  return tried.toSorted((a, b) => b.perCharacter - a.perCharacter).slice(0, COSTLIEST);
}

const rows = firstOf(costliest).map(({ name, perCharacter, text, known }) => {
  // Over the largest text's bytes it would be refused at once.
  const large = text(1_000_000).slice(0, 350_000);
  const start = process.cpuUsage();
  let refused = false;
  try {
    sanitise(large, known);
  } catch (error) {
    refused = error instanceof SanitiseError && error.code === "too_complex";
  }
  const { user, system } = process.cpuUsage(start);
  const cpuMs = (user + system) / 1000;
  return { name, perCharacter, refused, cpuMs, nsPerLook: cpuMs * 1e6 / looksOf(large, known) };
});

if (json) console.log(JSON.stringify({ texts, grown, budget: LOOKS_PER_CHARACTER_MAX, costliest: rows }));
else {
  console.log(`texts tried        ${texts}, of which grow with their length ${grown.length}`);
  for (const name of grown) console.log(`  ${name}`);
  console.log(
    `costliest          looks per character (budget ${LOOKS_PER_CHARACTER_MAX}); at 350,000 characters:`,
  );
  for (const { name, perCharacter, refused, cpuMs, nsPerLook } of rows) {
    console.log(
      `  ${perCharacter.toFixed(0).padStart(5)} ${cpuMs.toFixed(0).padStart(6)} ms ${
        nsPerLook.toFixed(1).padStart(6)
      } ns/look${refused ? " refused" : ""}  ${name}`,
    );
  }
}
if (grown.length > 0) Deno.exit(1);
