import { dirname } from "node:path";
import { accessOf } from "../../runtime/data_dir.ts";
import { readCommandConfig } from "../../processor/config.ts";
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
import { DATASET_READERS, type DatasetReader, readerSnippet } from "../../contract/dataset_readers.ts";
import { exportDataset, type ExportOptions, type ExportReport, reportPath } from "./export/export.ts";
import {
  type DatasetPlace,
  type DatasetReader as Dataset,
  EXPORT_FORMATS,
  type ExportFormat,
  openCurrent,
  openReader,
  openWhole,
  pathsOf,
} from "../../processor/dataset/mod.ts";
import { type BucketVerb, inBucket } from "./builds.ts";
import { printFiles } from "./files.ts";
import { printStats } from "./stats.ts";
import { verifyDataset } from "./verify.ts";

/** `deno task dataset`: what is in the dataset, whether it is whole, and out of it. No processor has to run, one may. */
export const datasetCommand: Command = {
  help: `Shows the dataset, checks it, and hands it out.

Usage: deno task dataset stats [--json]
       deno task dataset files [--json]
       deno task dataset schema --for READER [--json]
       deno task dataset verify [--json]
       deno task dataset cat
       deno task dataset export --format FORMAT --to DIR [--json]
       deno task dataset export --format chat-jsonl --to DIR [--system TEXT] [--drop-control-tokens] [--json]
       deno task dataset compact [--json]
       deno task dataset drop BUILD [--json]

  stats     lines, bytes, files and placeholders per event and day
  files     every file with lines, and how many bytes of it are the dataset's: a reader that stops there never meets the
            half line of a writer at work; of a bucket the exact list of its objects; with --json one object a line
  schema    a snippet that reads this dataset with every column as what it is; READER is ${
    DATASET_READERS.join(", ")
  }
  verify    checks every file against its manifest and every line against the format, of a bucket every object against
            its commit and every commit against those before it; exit 1 if anything is wrong
  cat       all lines as they are, by event, day and file
  export    writes DIR, which must not be there yet, or be empty:
              parquet     dataset.parquet, typed columns
              chat-jsonl  chat.jsonl, {"messages":[{"role":"user","content":"…"}]} per line
              hf          a Hugging Face folder: dataset card, train, validation and test by user
            DIR holds data alone; what it is stands beside it in DIR.export.json. By the empty directory _export in it an
            erasure finds and deletes it below DATA_DIR.
  compact   joins small objects of closed days (UTC) into ones of at most DATASET_OBJECT_BYTES, also while processors
            write; those that were joined stay an hour for readers that list
  drop      deletes a build that is not the current one: one that a replay has replaced, or has not ended; without BUILD,
            or with a name that is none, it says which there are
            compact and drop are for a dataset in a bucket (DATASET_URL)
  --system TEXT          chat-jsonl: a system message at the head of every conversation
  --drop-control-tokens  chat-jsonl: leaves out texts with control tokens of chat templates, such as <|im_start|>, which
                         are counted and named either way
  --json                 results as JSON
DATA_DIR or DATASET_DIR say where the dataset is, or DATASET_URL which bucket. docs/dataset.md describes its format and the exports.
`,
  options: {
    format: { type: "string" },
    to: { type: "string" },
    for: { type: "string" },
    system: { type: "string" },
    "drop-control-tokens": { type: "boolean" },
  },
  async run(line) {
    const verb = verbOf(line);
    if (verb.is === "compact" || verb.is === "drop") {
      return await inBucket(verb, { config: readCommandConfig(Deno.env.toObject()), line });
    }
    // An export has its own way of stopping, as it cleans up behind itself.
    if (verb.is !== "export") {
      line.ifStopped(() => "the dataset is as it was, and what was printed until then stands. Run it again.");
    }
    const place = readCommandConfig(Deno.env.toObject());
    const { datasetDir, dataDir } = place;
    const { objects } = place;
    if (verb.is === "schema") {
      const at = objects ? `s3://${objects.bucket}/${objects.prefix}` : datasetDir;
      return printSchema(verb.for, { place: at, json: line.json });
    }
    if (!objects) refuseMissing(dirname(datasetDir));
    switch (verb.is) {
      case "stats":
        return await printStats(await openCurrent(place, { waits: true }), line);
      case "files":
        return await printFiles(await openReader(place), line);
      case "verify":
        return await printVerification(place, line);
      case "cat":
        return await cat(await openReader(place));
      case "export":
        return await printExport(await openReader(place), {
          ...verb,
          access: accessOf(verb.to, dataDir),
          json: line.json,
        });
    }
  },
};

const PLAIN_VERBS = ["stats", "files", "verify", "cat"] as const;

type Verb =
  | { readonly is: typeof PLAIN_VERBS[number] }
  | BucketVerb
  | { readonly is: "schema"; readonly for: DatasetReader }
  | ({ readonly is: "export" } & Pick<ExportOptions, "format" | "to" | "chat">);

/** Options that belong to one verb. */
const OPTIONS = {
  export: ["format", "to", "system", "drop-control-tokens"],
  schema: ["for"],
};

function verbOf({ positionals, values }: CommandLine): Verb {
  const [is, ...rest] = positionals;
  const plain = PLAIN_VERBS.find((one) => one === is);
  const others = ["schema", "export", "compact", "drop"];
  if (rest.length > (is === "drop" ? 1 : 0) || (plain === undefined && !others.includes(is ?? ""))) {
    throw new UsageError(
      `Cannot read "dataset ${
        positionals.join(" ")
      }": expected stats, files, schema, verify, cat, export, compact, or drop.`,
    );
  }
  for (const [verb, options] of Object.entries(OPTIONS)) {
    const given = verb === is ? undefined : options.find((option) => values[option] !== undefined);
    if (given === undefined) continue;
    throw new UsageError(`Cannot run dataset ${is} with --${given}: it belongs to ${verb}.`);
  }
  if (plain !== undefined) return { is: plain };
  if (is === "compact") return { is };
  if (is === "drop") return { is, build: rest[0] ?? "" };
  if (is === "schema") return { is, for: choiceOf(values.for, { option: "for", of: DATASET_READERS }) };
  return { is: "export", ...exportOf(values) };
}

function exportOf(values: CommandLine["values"]): Pick<ExportOptions, "format" | "to" | "chat"> {
  const format: ExportFormat = choiceOf(values.format, { option: "format", of: EXPORT_FORMATS });
  const { to, system, "drop-control-tokens": drop } = values;
  if (typeof to !== "string" || to === "") throw new UsageError("Cannot export without --to DIR.");
  if (format !== "chat-jsonl" && (system !== undefined || drop !== undefined)) {
    throw new UsageError(
      `Cannot export ${format} with --system or --drop-control-tokens: they are chat-jsonl's.`,
    );
  }
  const chat = {
    ...(typeof system === "string" ? { system } : {}),
    dropControlTokens: drop === true,
  };
  return { format, to, chat };
}

function choiceOf<T extends string>(
  given: string | boolean | undefined,
  { option, of }: { readonly option: string; readonly of: readonly T[] },
): T {
  const found = of.find((one) => one === given);
  if (found !== undefined) return found;
  throw new UsageError(`Cannot run with --${option} "${given ?? ""}": expected ${of.join(", ")}.`);
}

function printSchema(
  reader: DatasetReader,
  { place, json }: { readonly place: string; readonly json: boolean },
): void {
  const snippet = readerSnippet(reader, place);
  if (json) printJson({ for: reader, snippet });
  else print(snippet);
}

async function printVerification(place: DatasetPlace, { json }: CommandLine): Promise<void> {
  const verification = await verifyDataset(() => openReader(place));
  const { files, records, bytes, findings, notPartOfTheDataset } = verification;
  if (json) printJson(verification);
  else {
    print(
      `Verified ${grouped(records)} records, ${grouped(bytes)} bytes, in ${grouped(files)} ${
        files === 1 ? "file" : "files"
      }.`,
    );
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
async function cat(dataset: Dataset): Promise<void> {
  for (const path of pathsOf(dataset)) {
    const opened = await openWhole(dataset, path);
    if (opened === null) continue;
    const decoder = new TextDecoder();
    for await (const block of opened.blocks()) {
      if (!Deno.stdout.isTerminal()) writeOut(block);
      else writeOut(new TextEncoder().encode(printableJson(decoder.decode(block, { stream: true }))));
    }
  }
}

async function printExport(
  dataset: Dataset,
  { json, ...options }: Omit<ExportOptions, "now" | "signal"> & { readonly json: boolean },
): Promise<void> {
  const signal = untilStopped("The export was stopped; nothing of it is left.");
  const report = await exportDataset(dataset, { ...options, now: Date.now(), signal });
  if (json) return printJson(report);
  const records = report.files.reduce((sum, file) => sum + file.records, 0);
  print(`Exported ${grouped(records)} records to "${printable(options.to)}".`);
  if (report.files.length > 0) {
    print(
      table(["RECORDS", "BYTES", "FILE"], report.files.map((one) => [one.records, one.bytes, one.path])),
    );
  }
  printChat(report);
  // Beside where it really lies, whatever link or slash leads there.
  print(`This stands in "${printable(reportPath(Deno.realPathSync(options.to)))}" too.`);
}

function printChat(
  { tokensEstimate, controlTokens, linesWithControlTokens = 0, linesDropped = 0 }: ExportReport,
) {
  if (tokensEstimate === undefined) return;
  print(`About ${grouped(tokensEstimate)} tokens (a quarter of the texts' bytes).`);
  if (linesWithControlTokens === 0) return;
  const lines = linesWithControlTokens === 1 ? "text holds" : "texts hold";
  print(
    `${grouped(linesWithControlTokens)} ${lines} control tokens of chat templates; ${
      linesDropped > 0 ? `${grouped(linesDropped)} left out` : "--drop-control-tokens leaves them out"
    }:`,
  );
  print(
    table(["TIMES", "TOKEN"], Object.entries(controlTokens ?? {}).map(([token, times]) => [times, token])),
  );
}

if (import.meta.main) Deno.exit(await runCommand(datasetCommand, Deno.args));
