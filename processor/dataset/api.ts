import { type Context, Hono } from "hono";
import {
  type DatasetPage,
  type DatasetTail,
  DOWNLOAD_FORMATS,
  type DownloadFormat,
  type LineHits,
} from "../../contract/processor_api.ts";
import { once } from "../../runtime/remember.ts";
import { DatasetReadError } from "./core/read_error.ts";
import { parseDatasetPath } from "./core/path.ts";
import { exportStream, fileStream, type StreamOptions } from "./export/stream.ts";
import { FileLines, type LinesQuery } from "./reading/lines.ts";
import type { DatasetView, PageQuery } from "./reading/listing.ts";
import { type CurrentDataset, existing, known } from "./reading/reader.ts";

/** What the dataset's routes show; every part is asked at the time of the request. */
export type DatasetSources = {
  readonly page: (query: PageQuery) => Promise<DatasetPage>;
  readonly lines: (query: LinesQuery) => Promise<DatasetTail | null>;
  /** "busy": too many search; null: `from` is no place to go on from. */
  readonly search: (text: string, from: string | null) => Promise<LineHits | "busy" | null>;
  /** A whole file; null where there is none of this path. */
  readonly file: (path: string) => Promise<Download | null>;
  readonly export: (options: Omit<StreamOptions, "now">) => AsyncGenerator<Uint8Array<ArrayBuffer>>;
};

type Download = { readonly bytes: number; readonly blocks: AsyncGenerator<Uint8Array> };

/** The sources of the dataset, wherever it lies. */
export function datasetSources(
  dataset: CurrentDataset,
  { view, clock }: {
    readonly view: DatasetView;
    readonly clock: { readonly now: () => number; readonly monotonic: () => number };
  },
): DatasetSources {
  const lines = new FileLines(dataset);
  const search = once(async () =>
    new (await import("./reading/search.ts")).LineSearch(dataset, clock.monotonic)
  );
  return {
    page: (query) => view.page(query),
    lines: (query) => lines.page(query),
    search: async (text, from) => await (await search()).find(text, from),
    file: async (path) => {
      const now = await known(dataset);
      return now && await fileStream(now, path);
    },
    async *export(options) {
      yield* exportStream(await existing(dataset), { ...options, now: clock.now() });
    },
  };
}

const LINES_MAX = 1_000;
/** Dataset partitions of a page, at most and unless another number is asked for. */
const LIMIT_MAX = 500;
const LIMIT = 50;
/** Where a page of the dataset goes on: a date and an event's name as its directory has it. */
const CURSOR = /^\d{4}-\d\d-\d\d\/.{1,1000}$/s;
/** Characters of what is searched, and of a chat's system message. */
const TEXT_MAX = 200;
/** Files that are handed out at a time: each holds a few blocks of 1 MiB for as long as its reader takes. */
const DOWNLOADS_MAX = 16;
const SYSTEM_MAX = 10_000;

/**
 * `/api/dataset`: what there is, lines of a file, a search over all lines, a file or the whole as a download. One export at a
 * time, and a few files; it goes on as fast as its reader takes it, and ends when that leaves.
 */
export function datasetApi(sources: DatasetSources): Hono {
  const app = new Hono();
  let isExporting = false;
  let downloads = 0;
  app.get("/", async (c) => {
    const file = c.req.query("file");
    if (file === undefined) {
      const limit = Number(c.req.query("limit") ?? LIMIT);
      const [before = null, after = null] = [c.req.query("before"), c.req.query("after")];
      const isKnown = [before, after].every((cursor) => cursor === null || CURSOR.test(cursor));
      if (isWhole(limit, LIMIT_MAX) && isKnown && !(before && after)) {
        return c.json(await sources.page({ limit, before, after }));
      }
      const message =
        `Expected limit from 1 to ${LIMIT_MAX}, and before or after as "older" and "newer" of a page have it.`;
      return c.json(problem("bad_request", message), 400);
    }
    const lines = Number(c.req.query("lines") ?? "50");
    const [before, around] = [c.req.query("before"), c.req.query("around")]
      .map((line) => line === undefined ? null : Number(line)) as [number | null, number | null];
    const areLines = [before, around].every((line) =>
      line === null || isWhole(line, Number.MAX_SAFE_INTEGER)
    );
    if (!isWhole(lines, LINES_MAX) || !areLines || (before !== null && around !== null)) {
      const message =
        `lines: expected a whole number from 1 to ${LINES_MAX}; before or around: a line\u2019s number, from 1.`;
      return c.json(problem("bad_request", message), 400);
    }
    const page = await sources.lines({ file, lines, before, around });
    return page ? c.json(page) : c.json(problem("not_found", NO_SUCH_FILE), 404);
  });
  app.get("/search", async (c) => {
    const text = (c.req.query("q") ?? "").trim();
    if (text === "" || text.length > TEXT_MAX) {
      return c.json(problem("bad_request", `q: expected a text of 1 to ${TEXT_MAX} characters.`), 400);
    }
    const hits = await sources.search(text, c.req.query("from") ?? null);
    if (hits === null) {
      return c.json(problem("bad_request", "from: expected what an answer says as next."), 400);
    }
    return hits === "busy"
      ? c.json(problem("busy", "Others are searching now: try again in a moment."), 503)
      : c.json(hits);
  });
  app.get("/download", async (c) => {
    const path = c.req.query("file") ?? "";
    if (downloads >= DOWNLOADS_MAX) {
      return c.json(
        problem("busy", `Others are being handed out: ${DOWNLOADS_MAX} at a time. Try again in a moment.`),
        503,
      );
    }
    downloads++;
    const found = await sources.file(path).catch((error) => {
      downloads--;
      throw error;
    });
    if (found === null) {
      downloads--;
      return c.json(problem("not_found", NO_SUCH_FILE), 404);
    }
    return await download(c, untilEnded(found.blocks, () => downloads--), {
      name: nameOf(path),
      type: "application/x-ndjson",
      bytes: found.bytes,
    });
  });
  app.get("/export", async (c) => {
    const format = DOWNLOAD_FORMATS.find((one) => one === c.req.query("format"));
    const system = c.req.query("system") || undefined;
    const dropControlTokens = c.req.query("drop-control-tokens") !== undefined;
    if (format === undefined || (system?.length ?? 0) > SYSTEM_MAX) {
      const message = `Expected format=${
        DOWNLOAD_FORMATS.join("|")
      }, and system of at most ${SYSTEM_MAX} characters.`;
      return c.json(problem("bad_request", message), 400);
    }
    if (isExporting) {
      return c.json(
        problem("busy", "Another export is under way: one at a time. Try again when it has ended."),
        503,
      );
    }
    isExporting = true;
    const options = { format, chat: { system, dropControlTokens } };
    const made = untilEnded(sources.export(options), () => isExporting = false);
    return await download(c, made, { ...DOWNLOADS[format], bytes: null });
  });
  app.onError((error, c) => {
    if (!(error instanceof DatasetReadError)) throw error;
    return c.json(problem("not_now", error.message), 503);
  });
  return app;
}

const NO_SUCH_FILE = "The dataset has no such file.";

const DOWNLOADS: Readonly<Record<DownloadFormat, { readonly name: string; readonly type: string }>> = {
  "parquet": { name: "dataset.parquet", type: "application/vnd.apache.parquet" },
  "chat-jsonl": { name: "chat.jsonl", type: "application/x-ndjson" },
  "hf": { name: "dataset-hf.tar", type: "application/x-tar" },
  "jsonl": { name: "training_data.jsonl", type: "application/x-ndjson" },
};

/** `generation_failed-2025-11-30-p00003-0000.jsonl`: two files of the dataset that somebody keeps in one folder stay apart. */
function nameOf(path: string): string {
  const { date } = parseDatasetPath(path)!;
  const [event = "", , file = ""] = path.split("/");
  return `${event.slice("event=".length)}-${date}-${file}`.replace(/[^\w.~-]/g, "_");
}

/**
 * What keeps it from beginning is an answer of its own: later it can only break off. Begun it is in any case, so that it has an
 * end where its reader leaves before the first byte.
 */
async function download(
  c: Context,
  pieces: AsyncGenerator<Uint8Array>,
  { name, type, bytes }: { readonly name: string; readonly type: string; readonly bytes: number | null },
): Promise<Response> {
  let first: IteratorResult<Uint8Array> | null = await pieces.next();
  // Who asks for the head alone takes no body, and nobody cancels it either.
  const isBare = c.req.method === "HEAD";
  if (isBare) await pieces.return(undefined);
  const body = isBare ? null : new ReadableStream<Uint8Array<ArrayBuffer>>({
    async pull(controller) {
      const { value, done } = first ?? await pieces.next();
      first = null;
      if (done) controller.close();
      // A block of a file is good until the next one, and one is read ahead of what is sent.
      else controller.enqueue(new Uint8Array(value));
    },
    async cancel() {
      await pieces.return(undefined);
    },
  }, { highWaterMark: 0 });
  return new Response(body, {
    headers: {
      "content-type": type,
      "content-disposition": `attachment; filename="${name}"`,
      // Packed on its way it would have no length by which a reader knows that it is whole.
      "cache-control": "no-store, no-transform",
      "x-content-type-options": "nosniff",
      ...(bytes === null ? {} : { "content-length": String(bytes) }),
    },
  });
}

async function* untilEnded<T>(pieces: AsyncGenerator<T>, ended: () => void): AsyncGenerator<T> {
  try {
    yield* pieces;
  } finally {
    ended();
  }
}

function isWhole(value: number, max: number): boolean {
  return Number.isInteger(value) && value >= 1 && value <= max;
}

function problem(code: string, message: string) {
  return { error: { code, message } };
}
