import process from "node:process";
import { sanitise } from "../processor/sanitise/mod.ts";
import { readScriptOptions } from "../runtime/script_options.ts";
import { HOSTILE } from "../processor/sanitise/testdata/samples.ts";

/**
 * How fast the sanitiser is on prompts, and what the worst text costs.
 *
 *     deno run -A bench/sanitise.ts [--json]
 *
 * Prompts: MB/s of CPU time, and the wall time of a 1 KB prompt. Hostile: each unit of
 * `processor/sanitise/testdata/samples.ts`, repeated to 100 KB and 1 MB; the worst CPU time at 1 MB, and the worst
 * ratio of the two (10 is linear; times below 5 ms at 100 KB are too short for a ratio).
 */
const { json } = readScriptOptions("Usage: deno task bench sanitise [--json]", { flags: ["json"] });

const PROMPTS = [
  "Write a marketing email for new users of our analytics product. Keep it short, friendly and under 120 words, and end with a call to action that invites them to start the free trial today.",
  "Explain the difference between TCP and UDP to a 12 year old, with three examples from everyday life.",
  "Fix this function:\n```ts\nexport function sum(values: number[]): number {\n  let total = 0;\n  for (const value of values) total += value;\n  return total;\n}\n```\nIt returns NaN for empty input, and I want it to throw a RangeError instead. Add a unit test that covers 1, 2 and 1000 values.",
  "Summarise the meeting notes below in 5 bullet points. Jane asked for the Q3 budget (1,250,000 USD), Tom will deliver the plan by 2024-05-12, and the team agreed to move the launch to September.",
  "Schreibe eine höfliche Antwort auf diese Beschwerde: Die Lieferung kam drei Tage zu spät, und das Gehäuse hatte einen Kratzer.",
  "write to jane.doe@example.com or call +1 415 555 0132 and ask about the invoice",
];

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

function throughput(): number {
  const bytes = PROMPTS.reduce((sum, prompt) => sum + new TextEncoder().encode(prompt).length, 0);
  for (let i = 0; i < 2000; i++) PROMPTS.forEach((prompt) => sanitise(prompt));
  const rounds = 10_000;
  const start = cpuMs();
  for (let i = 0; i < rounds; i++) PROMPTS.forEach((prompt) => sanitise(prompt));
  return bytes * rounds / (cpuMs() - start) / 1000;
}

function kilobyte(): { p50: number; p99: number } {
  const text = PROMPTS.slice(0, 4).join("\n\n").padEnd(1000, " and so on").slice(0, 1000);
  const times = Array.from({ length: 20_000 }, () => {
    const start = performance.now();
    sanitise(text);
    return performance.now() - start;
  }).slice(2000).sort((a, b) => a - b);
  return { p50: times[Math.floor(times.length / 2)]!, p99: times[Math.floor(times.length * 0.99)]! };
}

function cost(unit: string, bytes: number): number {
  const text = unit.repeat(Math.floor(bytes / new TextEncoder().encode(unit).length));
  const start = cpuMs();
  sanitise(text);
  return cpuMs() - start;
}

const mbPerSecond = throughput();
const { p50, p99 } = kilobyte();
const hostile = HOSTILE.map((unit) => ({ unit, small: cost(unit, 100_000), large: cost(unit, 1_000_000) }))
  .sort((a, b) => b.large - a.large);
const ratio = Math.max(...hostile.filter(({ small }) => small >= 5).map(({ small, large }) => large / small));

if (json) {
  const worst = hostile.slice(0, 5).map(({ unit, large }) => ({ unit, ms: large }));
  console.log(JSON.stringify({ mbPerSecond, kilobyteMs: { p50, p99 }, hostile: { worst, ratio } }));
} else {
  console.log(`prompts            ${mbPerSecond.toFixed(1)} MB/s of CPU time`);
  console.log(`prompt of 1 KB     p50 ${p50.toFixed(3)} ms, p99 ${p99.toFixed(3)} ms`);
  console.log(`hostile, 1 MB      worst ratio to 100 KB ${ratio.toFixed(1)}; slowest:`);
  for (const { unit, large } of hostile.slice(0, 5)) {
    console.log(`  ${large.toFixed(0).padStart(5)} ms  ${JSON.stringify(unit)}`);
  }
}
