import { randomBytes } from "node:crypto";
import { basename, dirname, join, resolve, sep } from "node:path";
import {
  type Access,
  GROUP_READS,
  ifThere,
  isThere,
  narrowTree,
  readIfThere,
  removeIfThere,
  replaceFile,
  syncDirectory,
} from "../../../runtime/durable_file.ts";
import { SANITISER_VERSION } from "../../../processor/sanitise/mod.ts";
import {
  type ChatOptions,
  type ChatReport,
  copyLines,
  type DatasetReader,
  DatasetReplacedError,
  directoryOutput,
  erasuresOf,
  EXPORT_FORMATS,
  type ExportedFile,
  type ExportFormat,
  refuseWhileErasing,
  sinkOf,
} from "../../../processor/dataset/mod.ts";
import { CommandFailedError } from "../../command.ts";

/**
 * Writes the dataset in another format. Everything is written into `DIR.exporting-<random>` beside DIR and renamed into
 * place, so DIR is whole or not there.
 *
 * Each such directory has an empty directory {@link EXPORT_MARKER} in it from its first moment, by which an erasure finds and
 * deletes it, also where somebody has moved it. What there is to say about the export lies beside it ({@link reportPath}):
 * polars reads a directory only where every file in it has one extension, and `datasets` takes any JSON there for data.
 *
 * An export that an erasure overtook may hold the lines of whoever was erased: whether one has begun is looked at after the
 * rename, and the export is then taken back. An erasure begins before it looks for exports, so one of the two meets it.
 */

/** Name of the empty directory that marks the one it is in as an export of the dataset. */
const EXPORT_MARKER = "_export";

/** Where the report of an export to `to` lies: beside it. */
export function reportPath(to: string): string {
  return `${to}.export.json`;
}

/** What {@link reportPath} holds. */
export type ExportReport = {
  /** `id` of `_manifest/dataset.json`. */
  readonly dataset: string;
  readonly format: ExportFormat;
  /** Of the software that exported. */
  readonly sanitiserVersion: string;
  /** Those that wrote the exported lines. */
  readonly sanitiserVersions: readonly string[];
  /** ISO 8601. */
  readonly createdAt: string;
  readonly files: readonly ExportedFile[];
} & Partial<ChatReport>;

export type ExportOptions = {
  readonly format: ExportFormat;
  /** Of `chat-jsonl`; the other formats pass it over. */
  readonly chat?: ChatOptions | undefined;
  /** Missing or an empty directory. */
  readonly to: string;
  /** Who may read it; default: as the dataset. */
  readonly access?: Access;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Ends the export; nothing is left then. */
  readonly signal: AbortSignal;
};

/** Throws {@link CommandFailedError} with what to do; nothing is left at `to` then. */
export async function exportDataset(dataset: DatasetReader, options: ExportOptions): Promise<ExportReport> {
  const to = targetOf(options.to, dataset.place);
  const erasures = erasuresOf(dataset);
  refuseWhileErasing(dataset);
  const directory = `${to}.exporting-${randomBytes(4).toString("hex")}`;
  const access = options.access ?? GROUP_READS;
  Deno.mkdirSync(join(directory, EXPORT_MARKER), { recursive: true, mode: access.directory });
  let isReported = false;
  try {
    const report = await writeExport(dataset, { ...options, directory });
    narrowTree(directory, access);
    // Another export may have come there meanwhile: its report is its own.
    refuseTaken(options.to, to);
    isReported = true;
    // Before the export itself: what is there whole has its report.
    await replaceFile(reportPath(to), new TextEncoder().encode(`${JSON.stringify(report)}\n`), {
      mode: access.file,
    });
    putInPlace(directory, to);
    await syncDirectory(dirname(to));
    await dataset.refresh();
    if (dataset.isReplaced() || erasuresOf(dataset) !== erasures) {
      removeIfThere(to, { recursive: true });
      throw dataset.isReplaced() ? new DatasetReplacedError() : overtaken(to);
    }
    return report;
  } catch (error) {
    if (isReported) removeIfThere(reportPath(to));
    const isGone = isNotFound(error) && !isThere(directory);
    throw isGone ? removedBy(to, error) : error;
  } finally {
    removeIfThere(directory, { recursive: true });
  }
}

async function writeExport(
  dataset: DatasetReader,
  { directory, format, chat, now, signal }: ExportOptions & { readonly directory: string },
): Promise<ExportReport> {
  const { id } = dataset.identity();
  const createdAt = new Date(now).toISOString();
  const sink = await sinkOf(format, directoryOutput(directory), chat);
  try {
    const copying = copyLines(dataset, { sink, createdAt });
    let step = await copying.next();
    for (; !step.done; step = await copying.next()) signal.throwIfAborted();
    const facts = step.value;
    const written = await sink.finish(facts);
    for (const path of new Set(written.map(({ path }) => dirname(join(directory, path))))) {
      await syncDirectory(path);
    }
    await syncDirectory(directory);
    return {
      dataset: id,
      format,
      sanitiserVersion: SANITISER_VERSION,
      sanitiserVersions: facts.sanitiserVersions,
      createdAt,
      ...sink.report?.(),
      files: written,
    };
  } finally {
    sink.close();
  }
}

/** Where the export goes, links followed. Throws where something is there already, or it would lie in the dataset. */
function targetOf(to: string, root: string): string {
  const parent = dirname(resolve(to));
  Deno.mkdirSync(parent, { recursive: true });
  const target = ifThere(() => Deno.realPathSync(resolve(to))) ??
    join(Deno.realPathSync(parent), basename(resolve(to)));
  if (`${target}${sep}`.startsWith(`${root}${sep}`)) {
    throw new CommandFailedError(
      `Cannot export to "${to}": it lies in the dataset itself. Name another directory.`,
    );
  }
  refuseTaken(to, target);
  return target;
}

function refuseTaken(to: string, target: string): void {
  if (isEmptyOrMissing(target) && isReportOrMissing(reportPath(target))) return;
  throw new CommandFailedError(
    `Cannot export to "${to}": something is there already, or a file that is none of ours at "${
      reportPath(target)
    }". Name a new directory, or remove what is there first.`,
  );
}

function isEmptyOrMissing(path: string): boolean {
  try {
    return (ifThere(() => [...Deno.readDirSync(path)])?.length ?? 0) === 0;
  } catch (error) {
    if (error instanceof Deno.errors.NotADirectory) return false;
    throw error;
  }
}

/** The report of an export that has gone is written over; a file of somebody else's never. */
function isReportOrMissing(path: string): boolean {
  const bytes = readIfThere(path);
  if (bytes === null) return true;
  try {
    const { dataset, format } = JSON.parse(new TextDecoder().decode(bytes));
    return typeof dataset === "string" && EXPORT_FORMATS.includes(format);
  } catch {
    return false;
  }
}

function putInPlace(directory: string, to: string): void {
  try {
    // The empty directory that may stand there; a rename over it is not possible everywhere.
    if (isThere(to)) Deno.removeSync(to);
    Deno.renameSync(directory, to);
  } catch (error) {
    if (isNotFound(error)) throw error;
    throw new CommandFailedError(
      `Cannot put the export in place at "${to}": ${(error as Error).message}. Name a new directory.`,
      { cause: error },
    );
  }
}

function overtaken(to: string): CommandFailedError {
  return new CommandFailedError(
    `Cannot keep the export to "${to}": somebody was erased while it was written. Run the command again.`,
  );
}

function removedBy(to: string, cause: unknown): CommandFailedError {
  return new CommandFailedError(
    `Cannot finish the export to "${to}": it was removed while it was written, as an erasure does. Run the command again.`,
    { cause },
  );
}

/** As Deno says it, and as Node does, by which the Parquet library writes. */
function isNotFound(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || (error as { code?: unknown }).code === "ENOENT";
}
