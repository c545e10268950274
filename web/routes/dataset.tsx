import { page } from "fresh";
import type { DatasetPage, DatasetTail, Figures } from "../../contract/processor_api.ts";
import { DatasetFigures } from "../components/DatasetFigures.tsx";
import { Empty, Unavailable } from "../components/Empty.tsx";
import { Readers } from "../components/Readers.tsx";
import DatasetTable from "../islands/DatasetTable.tsx";
import Tail from "../islands/Tail.tsx";
import { framed } from "../server/services.ts";
import { askProcessor } from "../server/upstream.ts";
import { define, settings } from "../utils.ts";

const TAIL_LINES = 200;

export const handler = define.handlers({
  async GET(ctx) {
    const config = settings();
    const asks = { processor: config };
    const query = pageQuery(ctx.url);
    const askedFigures = askProcessor<Figures>("/api/figures", asks);
    const asked = askProcessor<DatasetPage>(`/api/dataset${query}`, asks);
    const listing = await framed(ctx.state, "Dataset", asked);
    const dataset = listing.ok ? listing.value : null;
    const file = ctx.url.searchParams.get("file") ?? dataset?.partitions[0]?.paths.at(-1) ?? null;
    const tail = file === null ? null : await askProcessor<DatasetTail>(
      `/api/dataset?file=${encodeURIComponent(file)}&lines=${TAIL_LINES}`,
      asks,
    );
    const figures = await askedFigures;
    return page({
      figures: figures.ok ? figures.value : null,
      dataset,
      query,
      file,
      tail: tail?.ok ? tail.value : null,
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

export default define.page<typeof handler>(function Dataset({ data }) {
  const { figures, dataset, query, file, tail, datasetDir } = data;
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
          <h2 id="tail-title">End of a file</h2>
          {tail
            ? <Tail initial={tail} lines={TAIL_LINES} />
            : <p class="note warn">There is no file “{file}” in the dataset. Choose one of the table.</p>}
        </section>
      )}
      <section aria-labelledby="read-it">
        <h2 id="read-it">Read it</h2>
        <Readers datasetDir={datasetDir} />
      </section>
    </div>
  );
});
