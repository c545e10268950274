import { page } from "fresh";
import type { DatasetPage, DatasetTail, Figures, LineHits } from "../../contract/processor_api.ts";
import { ExportForm } from "../components/DatasetExport.tsx";
import { DatasetFigures } from "../components/DatasetFigures.tsx";
import { type Search, SearchForm, SearchResult } from "../components/DatasetSearch.tsx";
import { Empty, Unavailable } from "../components/Empty.tsx";
import { Readers } from "../components/Readers.tsx";
import DatasetTable from "../islands/DatasetTable.tsx";
import Tail from "../islands/Tail.tsx";
import { SEARCH_MS_MAX } from "../server/dataset.ts";
import { framed } from "../server/services.ts";
import { askProcessor, type Processor } from "../server/upstream.ts";
import { define, settings } from "../utils.ts";

/** Lines of a file on a page. */
const LINES = 200;

export const handler = define.handlers({
  async GET(ctx) {
    const config = settings();
    const params = ctx.url.searchParams;
    const query = pageQuery(ctx.url);
    const searching = searchOf(params, config);
    const askedFigures = askProcessor<Figures>("/api/figures", { processor: config });
    const asked = askProcessor<DatasetPage>(`/api/dataset${query}`, { processor: config });
    const listing = await framed(ctx.state, "Dataset", asked);
    const dataset = listing.ok ? listing.value : null;
    const [search, figures] = [await searching, await askedFigures];
    // Who searches looks at what was found.
    const file = params.get("file") ?? (search ? null : dataset?.partitions[0]?.paths[0] ?? null);
    const place = { below: lineNumber(params.get("below")), line: lineNumber(params.get("line")) };
    const lines = file === null ? null : await linesOf(file, { ...place, processor: config });
    return page({
      figures: figures.ok ? figures.value : null,
      dataset,
      query,
      file,
      lines,
      ...place,
      search,
      exportProblem: params.get("export"),
      datasetDir: config.datasetDir,
    });
  },
});

/** Which page of the list an address asks for, as a query: the newest, or what its links lead to; anything else is passed over. */
function pageQuery(url: URL): string {
  for (const name of ["before", "after"]) {
    const cursor = url.searchParams.get(name);
    if (cursor !== null && /^\d{4}-\d\d-\d\d\/./.test(cursor)) {
      return `?${new URLSearchParams({ [name]: cursor })}`;
    }
  }
  return "";
}

function lineNumber(text: string | null): number | null {
  return text !== null && /^[1-9]\d{0,14}$/.test(text) ? Number(text) : null;
}

async function searchOf(params: URLSearchParams, processor: Processor): Promise<Search | null> {
  const text = (params.get("q") ?? "").trim().slice(0, 200);
  const from = params.get("from");
  if (text === "") return null;
  const path = `/api/dataset/search?${new URLSearchParams({ q: text, ...(from === null ? {} : { from }) })}`;
  const answer = await askProcessor<LineHits>(path, { processor, limitMs: SEARCH_MS_MAX });
  const isFirst = from === null;
  if (answer.ok) return { text, found: answer.value, isFirst };
  const found = answer.status === 400 ? "refused" : answer.message.includes('"busy"') ? "busy" : "away";
  return { text, found, isFirst };
}

/** Null: there is no such file; "not now": the processor does not answer, or says why it cannot. */
async function linesOf(
  file: string,
  { below, line, processor }: { below: number | null; line: number | null; processor: Processor },
): Promise<DatasetTail | "not now" | null> {
  const place: Record<string, string> = below !== null
    ? { before: String(below) }
    : line !== null
    ? { around: String(line) }
    : {};
  const query = new URLSearchParams({ file, lines: String(LINES), ...place });
  const answer = await askProcessor<DatasetTail>(`/api/dataset?${query}`, {
    processor,
    limitMs: SEARCH_MS_MAX,
  });
  return answer.ok ? answer.value : answer.status === 404 ? null : "not now";
}

export default define.page<typeof handler>(function Dataset({ data }) {
  const { figures, dataset, query, file, lines, below, line, search, exportProblem, datasetDir } = data;
  if (!dataset) {
    return (
      <div class="page">
        <h1>Dataset</h1>
        <Unavailable what="The dataset is on disk and safe" />
      </div>
    );
  }
  return (
    <div class="page">
      <h1>Dataset</h1>
      <DatasetFigures figures={figures} />
      {dataset.records > 0 && <SearchForm text={search?.text ?? ""} />}
      {search && <SearchResult search={search} total={dataset.bytes} />}
      {dataset.records === 0
        ? (
          <Empty title="No line yet.">
            Click “Simulate Generation Failure” on the{" "}
            <a href="/" aria-current="false">live page</a>: its line stands here a moment later.
          </Empty>
        )
        : <DatasetTable initial={dataset} query={query} chosen={file} />}
      {file !== null && (
        <section id="tail" aria-labelledby="tail-title">
          <h2 id="tail-title">Lines of a file</h2>
          {lines === null
            ? <p class="note warn">There is no file “{file}” in the dataset. Choose one of the list.</p>
            : lines === "not now"
            ? <p class="note warn">These lines cannot be shown just now. Load this page again in a moment.</p>
            : (
              <Tail
                key={`${file} ${below} ${line}`}
                initial={lines}
                lines={LINES}
                query={query}
                line={line}
                isEnd={below === null && line === null}
              />
            )}
        </section>
      )}
      {(dataset.records > 0 || exportProblem !== null) && (
        <section id="export" aria-labelledby="export-title">
          <h2 id="export-title">Export</h2>
          <ExportForm problem={exportProblem} />
        </section>
      )}
      <section aria-labelledby="read-it">
        <h2 id="read-it">Read it</h2>
        <Readers datasetDir={datasetDir} />
      </section>
    </div>
  );
});
