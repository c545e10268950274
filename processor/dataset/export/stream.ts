import { DatasetReadError } from "../core/read_error.ts";
import type { DownloadFormat } from "../../../contract/processor_api.ts";
import {
  type DatasetReader,
  DatasetReplacedError,
  erasuresOf,
  hasPath,
  openWhole,
  pathsOf,
  refuseWhileErasing,
} from "../reading/reader.ts";
import type { ChatOptions } from "./chat.ts";
import type { ExportFormat, Extent } from "./copy.ts";
import type { ExportedFile, ExportOutput } from "./file.ts";
import { splitOf, SPLITS } from "./hf.ts";
import { tarEnd, tarHead, tarPadding } from "./tar.ts";

/**
 * An export as bytes on their way out: the command's own, made while they are taken. Nothing of it touches the disk, so there
 * is nothing to clean up behind a reader who leaves or a processor that is killed.
 */
export type StreamOptions = {
  readonly format: DownloadFormat;
  readonly chat?: ChatOptions | undefined;
  /** Milliseconds since 1970. */
  readonly now: number;
};

/**
 * The bytes, piece by piece. Throws {@link DatasetReadError} where the dataset is not as it has to be, and at its end where
 * somebody was erased meanwhile: such an export breaks off, and is not to be kept.
 */
export async function* exportStream(
  reader: DatasetReader,
  { format, chat, now }: StreamOptions,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const erasures = erasuresOf(reader);
  refuseWhileErasing(reader);
  const createdAt = new Date(now).toISOString();
  if (format === "jsonl") yield* linesAsTheyAre(reader);
  else if (format === "hf") yield* archive(reader, { format, createdAt });
  else yield* oneFile(reader, { format, chat, createdAt });
  await reader.refresh();
  if (reader.isReplaced()) throw new DatasetReplacedError();
  refuseErased(reader, erasures, "export");
}

/**
 * One file, whole; null where the dataset has none of this path. As an export it breaks off before its end where somebody was
 * erased meanwhile, and does not begin where somebody is being erased.
 */
export async function fileStream(
  reader: DatasetReader,
  path: string,
): Promise<{ readonly bytes: number; readonly blocks: AsyncGenerator<Uint8Array> } | null> {
  if (!hasPath(reader, path)) return null;
  const erasures = erasuresOf(reader);
  refuseWhileErasing(reader);
  const opened = await openWhole(reader, path);
  if (opened === null) return null;
  const { entry: { bytes } } = opened;
  return { bytes, blocks: unlessErased(opened.stored(), { reader, erasures, bytes }) };
}

async function* unlessErased(
  blocks: AsyncGenerator<Uint8Array>,
  { reader, erasures, bytes }: {
    readonly reader: DatasetReader;
    readonly erasures: string;
    readonly bytes: number;
  },
): AsyncGenerator<Uint8Array> {
  let left = bytes;
  for await (const block of blocks) {
    left -= block.length;
    if (left === 0) {
      await reader.refresh();
      refuseErased(reader, erasures, "download");
    }
    yield block;
  }
}

function refuseErased(reader: DatasetReader, before: string, what: "export" | "download"): void {
  if (erasuresOf(reader) === before) return;
  throw new DatasetReadError(
    `Cannot end this ${what}: somebody was erased while it was made. Begin it again.`,
  );
}

async function* linesAsTheyAre(reader: DatasetReader): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  for (const path of pathsOf(reader)) {
    const opened = await openWhole(reader, path);
    if (opened === null) continue;
    // A block is good until the next one, and what is sent may wait.
    for await (const block of opened.blocks()) yield block.slice();
  }
}

type CopyOptions = {
  readonly format: ExportFormat;
  readonly chat?: ChatOptions | undefined;
  readonly createdAt: string;
};

async function* oneFile(
  reader: DatasetReader,
  { format, chat, createdAt }: CopyOptions,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const { copyLines, sinkOf } = await import("./copy.ts");
  const made: Uint8Array<ArrayBuffer>[] = [];
  const sink = await sinkOf(format, takingInto(made), chat);
  const copying = copyLines(reader, { sink, createdAt });
  let step = await copying.next();
  try {
    for (; !step.done; step = await copying.next()) yield* made.splice(0);
  } finally {
    await copying.return(undefined as never);
  }
  await sink.finish(step.value);
  yield* made.splice(0);
}

function takingInto(made: Uint8Array<ArrayBuffer>[]): ExportOutput {
  return {
    open: () => ({ write: (bytes) => void made.push(bytes.slice()), finish: () => {}, close: () => {} }),
  };
}

/**
 * A folder as one tar archive. A tar says how long a file is before the file comes, so that the lines are read once for that,
 * and then once for each split: the same lines, whatever has been written since.
 */
async function* archive(
  reader: DatasetReader,
  { format, createdAt }: CopyOptions,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const { copyLines, sinkOf } = await import("./copy.ts");
  const extent: Extent = new Map();
  const { card, written } = yield* measure(reader, { format, createdAt, extent });
  const mtime = Date.parse(createdAt);
  yield tarHead({ path: "README.md", bytes: card.length, mtime });
  yield card;
  yield tarPadding(card.length);
  for (const split of SPLITS) {
    const shards = written.filter(({ path }) => path.startsWith(`data/${split}-`));
    if (shards.length === 0) continue;
    const made: Uint8Array<ArrayBuffer>[] = [];
    const sink = await sinkOf(format, inArchive(made, { shards, mtime }));
    const ofSplit: Pick<typeof sink, "add"> = {
      add: (line, raw) => splitOf(line.distinct_id) === split && sink.add(line, raw),
    };
    const copying = copyLines(reader, { sink: ofSplit, createdAt, extent });
    let step = await copying.next();
    try {
      for (; !step.done; step = await copying.next()) yield* made.splice(0);
    } finally {
      await copying.return(undefined as never);
    }
    await sink.finish(step.value);
    yield* made.splice(0);
  }
  yield tarEnd();
}

/**
 * What the archive will hold: its card, and the size of each file. Until that is known it gives pieces of no bytes, so that
 * whoever sends them sees a reader who has left.
 */
async function* measure(
  reader: DatasetReader,
  { format, createdAt, extent }: CopyOptions & { readonly extent: Extent },
): AsyncGenerator<
  Uint8Array<ArrayBuffer>,
  { readonly card: Uint8Array<ArrayBuffer>; readonly written: readonly ExportedFile[] }
> {
  const { copyLines, sinkOf } = await import("./copy.ts");
  const card: Uint8Array<ArrayBuffer>[] = [];
  const nowhere = { write: () => {}, finish: () => {}, close: () => {} };
  const sink = await sinkOf(format, {
    open: (path) => path === "README.md" ? takingInto(card).open(path) : nowhere,
  });
  const copying = copyLines(reader, { sink, createdAt, extent });
  let step = await copying.next();
  try {
    for (; !step.done; step = await copying.next()) yield new Uint8Array();
  } finally {
    await copying.return(undefined as never);
  }
  const written = await sink.finish(step.value);
  return { card: await new Blob(card).bytes(), written };
}

/** The files of one split, each behind its head; the card has gone before. */
function inArchive(
  made: Uint8Array<ArrayBuffer>[],
  { shards, mtime }: { readonly shards: readonly ExportedFile[]; readonly mtime: number },
): ExportOutput {
  return {
    open(path) {
      const shard = shards.find((one) => one.path === path);
      if (shard === undefined) return { write: () => {}, finish: () => {}, close: () => {} };
      made.push(tarHead({ path, bytes: shard.bytes, mtime }));
      return {
        write: (bytes) => void made.push(bytes.slice()),
        finish: () => void made.push(tarPadding(shard.bytes)),
        close: () => {},
      };
    },
  };
}
