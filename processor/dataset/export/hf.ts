import { hash } from "node:crypto";
import { datasetCard } from "./card.ts";
import { type ExportedFile, type ExportOutput, type ExportSink, LinesFile } from "./file.ts";

/**
 * A folder as the Hugging Face Hub and its `datasets` library read it: `README.md`, the dataset card, and
 * `data/<split>-00000.jsonl` with the lines as they are. A split without lines has no file: the library refuses those.
 */

export const SPLITS = ["train", "validation", "test"] as const;
export type Split = typeof SPLITS[number];

/** A file ends with the line that reaches this; the library's own writer cuts at 500 MB too. */
const SHARD_BYTES = 500_000_000;

/**
 * The split of everything that carries this distinct_id: a tenth each for validation and test. By SHA-256 of the
 * distinct_id alone, so that it is the same in every export, on every machine, however much data follows.
 */
export function splitOf(distinctId: string): Split {
  const tenths = Number(`0x${hash("sha256", distinctId, "hex").slice(0, 12)}`) / 2 ** 48 * 10;
  return tenths < 8 ? "train" : tenths < 9 ? "validation" : "test";
}

/** Takes lines into `data/`; a file ends at `shardBytes` (default 500 MB). */
export function hfSink(output: ExportOutput, { shardBytes = SHARD_BYTES } = {}): ExportSink {
  const open = new Map<Split, LinesFile>();
  const finished: Record<Split, ExportedFile[]> = { train: [], validation: [], test: [] };
  const finish = (split: Split, file: LinesFile) => {
    finished[split].push(file.finish());
    open.delete(split);
  };
  return {
    add: (line, raw) => {
      const split = splitOf(line.distinct_id);
      const file = open.get(split) ?? new LinesFile(output, shardPath(split, finished[split].length));
      open.set(split, file);
      file.addLine(raw);
      if (file.bytes >= shardBytes) finish(split, file);
    },
    finish: (facts) => {
      for (const [split, file] of [...open]) finish(split, file);
      const splits = SPLITS.map((split) => ({ split, files: finished[split] })).filter((one) =>
        one.files.length > 0
      );
      const card = output.open("README.md");
      card.write(new TextEncoder().encode(datasetCard(facts, splits)));
      card.finish();
      return Promise.resolve(splits.flatMap(({ files }) => files));
    },
    close: () => open.forEach((file) => file.close()),
  };
}

function shardPath(split: Split, number: number): string {
  return `data/${split}-${String(number).padStart(5, "0")}.jsonl`;
}
