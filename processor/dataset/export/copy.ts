import { DatasetReadError } from "../core/read_error.ts";
import { parseLine, type StoredLine } from "../core/line_check.ts";
import { parseDatasetPath } from "../core/path.ts";
import { type DatasetReader, lineBlocksOf, LOOK, openWhole, pathsOf } from "../reading/reader.ts";
import { type ChatOptions, chatSink } from "./chat.ts";
import type { ExportFacts, ExportOutput, ExportSink } from "./file.ts";
import { hfSink } from "./hf.ts";

/** Every line of the dataset in another format: what the command writes to a disk, and the page hands out. */

export const EXPORT_FORMATS = ["parquet", "chat-jsonl", "hf"] as const;
export type ExportFormat = typeof EXPORT_FORMATS[number];

/** Takes the lines of one export; `chat` is for `chat-jsonl` alone. */
export async function sinkOf(
  format: ExportFormat,
  output: ExportOutput,
  chat?: ChatOptions,
): Promise<ExportSink> {
  switch (format) {
    case "parquet":
      return (await import("./parquet.ts")).parquetSink(output);
    case "chat-jsonl":
      return chatSink(output, chat);
    case "hf":
      return hfSink(output);
  }
}

/** How much of which files an export reads: the first time what their manifests say, then again just that. */
export type Extent = Map<string, number>;

/**
 * Copies all lines, a block of them at a time; what it returns is known of them all. Throws {@link DatasetReadError} where a
 * file or a line is not as it has to be.
 *
 * @param extent Filled where it is empty; read where it is not.
 */
export async function* copyLines(
  reader: DatasetReader,
  { sink, createdAt, extent = new Map() }: {
    readonly sink: Pick<ExportSink, "add">;
    /** ISO 8601. */
    readonly createdAt: string;
    readonly extent?: Extent;
  },
): AsyncGenerator<void, ExportFacts> {
  const versions = new Set<string>();
  const events = new Set<string>();
  const dates = new Set<string>();
  for (const path of extent.size > 0 ? [...extent.keys()] : pathsOf(reader)) {
    const opened = await openWhole(reader, path);
    if (opened === null) continue;
    for (const version of opened.entry.sanitiserVersions) versions.add(version);
    const bytes = extent.get(path) ?? opened.entry.bytes;
    extent.set(path, bytes);
    let number = 0;
    for await (const { lines, rest } of lineBlocksOf(opened.blocks({ bytes }))) {
      for (const raw of lines) {
        const line = lineOf(raw, { path, number: ++number });
        if (number === 1) events.add(line.event);
        sink.add(line, raw);
      }
      if (rest > 0) throw new DatasetReadError(`Cannot export "${path}": it ends within a line. ${LOOK}`);
      yield;
    }
    if (number > 0) dates.add(parseDatasetPath(path)!.date);
  }
  const days = [...dates].sort();
  return {
    datasetId: reader.identity().id,
    createdAt,
    sanitiserVersions: [...versions],
    events: [...events],
    dates: days.length === 0 ? null : { first: days[0]!, last: days.at(-1)! },
  };
}

function lineOf(raw: Uint8Array, { path, number }: { path: string; number: number }): StoredLine {
  try {
    return parseLine(raw);
  } catch {
    throw new DatasetReadError(
      `Cannot export line ${number} of "${path}": it is no line of a dataset. ${LOOK}`,
    );
  }
}
