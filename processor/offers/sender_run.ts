import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { PRIVATE, readIfThere, replaceFileSync } from "../../runtime/durable_file.ts";

/** Which run of which DATA_DIR a claim is made by: what tells an earlier self, which is gone, from another processor. */
export type SenderRun = {
  /** Random, made once per DATA_DIR. */
  readonly dataDir: string;
  /** Number of this start there, from 1. */
  readonly start: number;
};

/** Counts a start in DATA_DIR/run.json, durably: two runs never share a number. The caller holds the DATA_DIR's lock. */
export function beginSenderRun(dataDir: string): SenderRun {
  const path = join(dataDir, "run.json");
  const before = readRun(path);
  const run: SenderRun = {
    dataDir: before?.dataDir ?? randomBytes(8).toString("hex"),
    start: (before?.start ?? 0) + 1,
  };
  replaceFileSync(path, new TextEncoder().encode(JSON.stringify(run) + "\n"), PRIVATE);
  return run;
}

function readRun(path: string): SenderRun | null {
  const bytes = readIfThere(path);
  if (bytes === null) return null;
  const run = JSON.parse(new TextDecoder().decode(bytes)) as Partial<SenderRun>;
  if (typeof run.dataDir === "string" && Number.isSafeInteger(run.start)) return run as SenderRun;
  throw new Error(
    `Cannot read "${path}": it is no run file. Delete it; claims of earlier runs are then taken for another's.`,
  );
}
