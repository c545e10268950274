import { dirname } from "node:path";
import { accessOf } from "../../runtime/data_dir.ts";
import { readProcessorConfig } from "../../processor/config.ts";
import {
  type Command,
  CommandFailedError,
  type CommandLine,
  grouped,
  print,
  printable,
  printableJson,
  printJson,
  refuseMissing,
  runCommand,
  table,
  untilStopped,
  UsageError,
  writeOut,
} from "../command.ts";
import {
  EXPORT_FORMATS,
  EXPORT_MARKER,
  exportDataset,
  type ExportFormat,
  type ExportOptions,
} from "./export/export.ts";
import { blocksOf, DatasetFiles, openWhole } from "../../processor/dataset/mod.ts";
import { printStats } from "./stats.ts";
import { verifyDataset } from "./verify.ts";

/** `deno task dataset`: what is in the dataset, whether it is whole, and out of it. No processor has to run, one may. */
export const datasetCommand: Command = {
  help: `Shows the dataset, checks it, and hands it out.

Usage: deno task dataset stats [--json]
       deno task dataset verify [--json]
       deno task dataset cat
       deno task dataset export --format FORMAT --to DIR [--json]

  stats     lines, bytes, files and placeholders per event and day
  verify    checks every file against its manifest and every line against the format; exit 1 if anything is wrong
  cat       all lines as they are, by event, day and file
  export    writes DIR, which must not be there yet, or be empty:
              parquet     dataset.parquet, typed columns
              chat-jsonl  chat.jsonl, {"messages":[{"role":"user","content":"…"}]} per line
              hf          a Hugging Face folder: dataset card, train, validation and test by user
            with ${EXPORT_MARKER}, by which an erasure finds and deletes it below DATA_DIR
  --json    results as JSON

DATA_DIR or DATASET_DIR say where the dataset is. docs/dataset.md describes its format and the exports.
`,
  options: { format: { type: "string" }, to: { type: "string" } },
  async run(line) {
    const verb = verbOf(line);
    // An export has its own way of stopping, as it cleans up behind itself.
    if (verb.is !== "export") {
      line.ifStopped(() => "the dataset is as it was, and what was printed until then stands. Run it again.");
    }
    const { datasetDir, dataDir } = readProcessorConfig(Deno.env.toObject());
    refuseMissing(dirname(datasetDir));
    switch (verb.is) {
      case "stats":
        return printStats(datasetDir, line);
      case "verify":
        return await printVerification(datasetDir, line);
      case "cat":
        return await cat(datasetDir);
      case "export":
        return await printExport(datasetDir, {
          ...verb,
          access: accessOf(verb.to, dataDir),
          json: line.json,
        });
    }
  },
};

type Verb =
  | { readonly is: "stats" | "verify" | "cat" }
  | { readonly is: "export"; readonly format: ExportFormat; readonly to: string };

function verbOf({ positionals, values }: CommandLine): Verb {
  const [is, ...rest] = positionals;
  if (rest.length > 0 || (is !== "stats" && is !== "verify" && is !== "cat" && is !== "export")) {
    throw new UsageError(
      `Cannot read "dataset ${positionals.join(" ")}": expected stats, verify, cat, or export.`,
    );
  }
  const { format, to } = values;
  if (is !== "export") {
    if (format === undefined && to === undefined) return { is };
    throw new UsageError(`Cannot run dataset ${is} with --format or --to: they belong to export.`);
  }
  const known = EXPORT_FORMATS.find((one) => one === format);
  if (known === undefined) {
    throw new UsageError(
      `Cannot export with --format "${format ?? ""}": expected ${EXPORT_FORMATS.join(", ")}.`,
    );
  }
  if (typeof to !== "string" || to === "") throw new UsageError("Cannot export without --to DIR.");
  return { is, format: known, to };
}

async function printVerification(datasetDir: string, { json }: CommandLine): Promise<void> {
  const verification = await verifyDataset(datasetDir);
  const { files, records, bytes, findings, notPartOfTheDataset } = verification;
  if (json) printJson(verification);
  else {
    print(`Verified ${grouped(records)} records, ${grouped(bytes)} bytes, in ${grouped(files)} files.`);
    if (notPartOfTheDataset.length > 0) {
      print(
        "\nNot part of the dataset: a writer is at work, or was killed and cuts it off when it starts again.",
      );
      print(table(["BYTES", "FILE"], notPartOfTheDataset.map((one) => [one.bytes, one.file])));
    }
    if (findings.length > 0) {
      const rows = findings.map(({ file, firstLine, lines, finding }) =>
        firstLine === null ? [file, "", "", finding] : [file, `${firstLine}`, grouped(lines), finding]
      );
      print(`\n${table(["FILE", "FIRST LINE", "LINES", "FINDING"], rows)}`);
    }
  }
  if (findings.length > 0) {
    const counted = `${grouped(findings.length)} ${findings.length === 1 ? "finding" : "findings"}`;
    throw new CommandFailedError(
      `The dataset is not as it has to be: ${counted}. Rebuild it from the topic with \`deno task replay\`.`,
    );
  }
}

/** Bytes go through as they are, block by block; a terminal is shown JSON that means the same. */
async function cat(datasetDir: string): Promise<void> {
  const files = new DatasetFiles(datasetDir);
  for (const path of files.paths()) {
    const opened = openWhole(files, path);
    if (opened === null) continue;
    const decoder = new TextDecoder();
    for await (const block of blocksOf(opened.file, opened.entry.bytes)) {
      if (!Deno.stdout.isTerminal()) writeOut(block);
      else writeOut(new TextEncoder().encode(printableJson(decoder.decode(block, { stream: true }))));
    }
  }
}

async function printExport(
  datasetDir: string,
  { json, ...options }: Omit<ExportOptions, "now" | "signal"> & { readonly json: boolean },
): Promise<void> {
  const signal = untilStopped("The export was stopped; nothing of it is left.");
  const marker = await exportDataset(datasetDir, { ...options, now: Date.now(), signal });
  if (json) return printJson(marker);
  const records = marker.files.reduce((sum, file) => sum + file.records, 0);
  print(`Exported ${grouped(records)} records to "${printable(options.to)}".`);
  if (marker.files.length === 0) return;
  print(table(["RECORDS", "BYTES", "FILE"], marker.files.map((one) => [one.records, one.bytes, one.path])));
}

if (import.meta.main) Deno.exit(await runCommand(datasetCommand, Deno.args));
