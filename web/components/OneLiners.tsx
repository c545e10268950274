import CopyButton from "../islands/CopyButton.tsx";

const readers = (files: string) => [
  { name: "tail", command: `tail -f ${files}` },
  {
    name: "DuckDB",
    command:
      `duckdb -c "SELECT failure_reason, count(*) FROM read_json('${files}', hive_partitioning = false) GROUP BY 1"`,
  },
  {
    name: "pandas",
    command:
      `python3 -c "import glob, pandas; print(pandas.concat(pandas.read_json(f, lines=True) for f in glob.glob('${files}')))"`,
  },
  {
    name: "Hugging Face datasets",
    command:
      `python3 -c "from datasets import load_dataset; print(load_dataset('json', data_files='${files}'))"`,
  },
];

/** Shell one-liners that read the dataset, from the folder that the services were started in. */
export function OneLiners({ datasetDir }: { datasetDir: string }) {
  return (
    <dl class="one-liners">
      {readers(`${datasetDir}/event=generation_failed/*/*.jsonl`).map(({ name, command }) => (
        <div key={name}>
          <dt>
            {name} <CopyButton text={command} />
          </dt>
          <dd>
            <code class="mono">{command}</code>
          </dd>
        </div>
      ))}
    </dl>
  );
}
