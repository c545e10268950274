import { effect } from "@preact/signals";
import type { TraceRow } from "../core/trace.ts";
import { startFeed, trace } from "./feed.ts";

const GAP_MS_MIN = 500;

/**
 * Calls `look` after lines were written to the dataset: to `file`, or to any. Not for those of the trace's beginning
 * that the page already shows; at most every 500 ms. Returns how to stop.
 */
export function onWritten(look: () => void, { file }: { file?: string } = {}): () => void {
  return onChange((rows) => rows.findLast((row) => isWritten(row, file))?.key ?? "", look);
}

function isWritten(row: TraceRow, file: string | undefined): boolean {
  return row.kind === "event" && row.ending?.kind === "written" &&
    (file === undefined || row.ending.file === file);
}

/** Calls `look` after anything happened. */
export function onStep(look: () => void): () => void {
  // The trace is another object after each step.
  let version = 0;
  return onChange(() => String(version++), look);
}

/** Calls `look` after a mail had an outcome. */
export function onMail(look: () => void): () => void {
  return onChange(
    (rows) => rows.map((row) => row.kind === "mail" ? row.key : null).filter(Boolean).join(),
    look,
  );
}

function onChange(stampOf: (rows: readonly TraceRow[]) => string, look: () => void): () => void {
  startFeed();
  let last: string | null = null;
  let due: ReturnType<typeof setTimeout> | undefined;
  const stop = effect(() => {
    const stamp = stampOf([...trace.value.values()]);
    if (last !== null && stamp !== last) due ??= setTimeout(run, GAP_MS_MIN);
    last = stamp;
  });
  const run = () => {
    due = undefined;
    look();
  };
  return () => {
    stop();
    clearTimeout(due);
  };
}
