import { DATASET_READERS, READER_TITLES, readerSnippet } from "../../contract/dataset_readers.ts";
import CopyButton from "../islands/CopyButton.tsx";

/** The snippets of `deno task dataset schema`, to be pasted in the folder that the services were started in. */
export function Readers({ datasetDir }: { datasetDir: string }) {
  return (
    <div class="readers">
      {DATASET_READERS.map((reader) => {
        const snippet = readerSnippet(reader, datasetDir);
        return (
          <details key={reader}>
            <summary>{READER_TITLES[reader]}</summary>
            <CopyButton text={snippet} />
            <pre class="mono"><code>{snippet}</code></pre>
          </details>
        );
      })}
    </div>
  );
}
