import { scoresInMarkdown } from "../processor/sanitise/testdata/labelled/scores.ts";

/**
 * How well the sanitiser finds each entity in generated texts: the table of docs/sanitiser.md, the same on every machine.
 *
 *     deno run -A bench/sanitise_scores.ts
 */
console.log(scoresInMarkdown());
