import { DOWNLOAD_FORMATS, type DownloadFormat } from "../../contract/processor_api.ts";

const FORMATS: Readonly<Record<DownloadFormat, string>> = {
  "parquet": "parquet: one file, typed columns",
  "chat-jsonl": "chat-jsonl: one conversation a line, for fine-tuning",
  "hf": "hf: a Hugging Face folder, as .tar",
  "jsonl": "jsonl: the lines as they are",
};

/** Why an export brought nothing, by what stands in the address. */
const PROBLEMS: Readonly<Record<string, string>> = {
  busy: "Another export is under way: one goes at a time. Try again when it has ended.",
  not_now: "Not now: somebody is being erased from the dataset, or a file of it is damaged. Try again; " +
    "“deno task dataset verify” says more.",
  wrong: "There is no such format, or the system message is too long.",
  away: "The processor does not answer, so nothing was exported.",
};

/** The command's exports as a download, made while it is taken. */
export function ExportForm({ problem }: { problem: string | null }) {
  const words = problem !== null && Object.hasOwn(PROBLEMS, problem) ? PROBLEMS[problem] : null;
  return (
    <form method="get" action="/api/dataset/export" class="stack">
      {words && <p class="banner warn" role="status">{words}</p>}
      <div class="explore">
        <div class="field grow">
          <label for="export-format">Format</label>
          <select id="export-format" name="format">
            {DOWNLOAD_FORMATS.map((format) => <option key={format} value={format}>{FORMATS[format]}</option>)}
          </select>
        </div>
        <button type="submit">Export</button>
      </div>
      <details>
        <summary>Options of chat-jsonl</summary>
        <div class="stack options">
          <div class="field">
            <label for="export-system">System message</label>
            <input id="export-system" name="system" maxLength={10_000} dir="auto" autoComplete="off" />
          </div>
          <label class="check">
            <input type="checkbox" name="drop-control-tokens" value="1" />
            Leave out texts with control tokens of chat templates
          </label>
        </div>
      </details>
      <p class="note">
        The same bytes as <code>deno task dataset export</code>{" "}
        writes, of the lines that are there when it begins. Where somebody is erased meanwhile it breaks off;
        what was exported before is yours to look after.
      </p>
    </form>
  );
}
