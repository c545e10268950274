import { hitsIn, LANGUAGES, sourcesOf, TRUE_FINDS } from "../processor/sanitise/testdata/source_code.ts";
import { readScriptOptions } from "../runtime/script_options.ts";

/**
 * What the sanitiser takes for personal or secret in the source code of well-known packages, per language.
 *
 *     deno run -A bench/sanitise_code.ts [--all]
 *
 * `--all` prints the true finds too.
 */
const { all } = readScriptOptions("Usage: deno task bench sanitise_code [--all]", { flags: ["all"] });

console.log("| language | MB | false hits | per MB | true finds |\n| --- | --- | --- | --- | --- |");
const lines: string[] = [];
for (const language of LANGUAGES) {
  const sources = await sourcesOf(language);
  if ("missing" in sources) {
    console.log(`| ${language} | not reached | | | |`);
    continue;
  }
  const { bytes, hits } = hitsIn(language, sources.folders, Infinity);
  const wrong = hits.filter((hit) => !TRUE_FINDS.some(({ is }) => is(hit)));
  const megabytes = bytes / 1e6;
  console.log(
    `| ${language} | ${megabytes.toFixed(1)} | ${wrong.length} | ${(wrong.length / megabytes).toFixed(2)} | ${
      hits.length - wrong.length
    } |`,
  );
  for (const { entity, value, around } of all ? hits : wrong) {
    lines.push(`${language} ${entity} ${value.slice(0, 80)} … ${around.slice(0, 160)}`);
  }
}
console.log(`\n${lines.join("\n")}`);
