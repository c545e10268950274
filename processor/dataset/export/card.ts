import type { ExportedFile, ExportFacts } from "./file.ts";

/** One split as the card has it. */
export type CardSplit = { readonly split: string; readonly files: readonly ExportedFile[] };

/**
 * The dataset card of a Hugging Face folder: front matter that its `datasets` library reads (files, types, counts), and
 * what is known about the data. What nobody here can know, such as the licence, is left for whoever publishes it.
 * Format: https://huggingface.co/docs/hub/datasets-cards
 */
export function datasetCard(facts: ExportFacts, splits: readonly CardSplit[]): string {
  const sums = splits.map(({ split, files }) => ({
    split,
    records: files.reduce((sum, file) => sum + file.records, 0),
    bytes: files.reduce((sum, file) => sum + file.bytes, 0),
  }));
  const records = sums.reduce((sum, split) => sum + split.records, 0);
  return `---
# license: fill in before you publish, with an identifier of https://huggingface.co/docs/hub/repositories-licenses
size_categories:
- ${sizeCategory(records)}
configs:
- config_name: default
  data_files:${listOf(sums.map(({ split }) => `  - split: ${split}\n    path: data/${split}-*.jsonl`))}
dataset_info:
  features:
${FEATURES.map(([name, dtype]) => `  - name: ${name}\n    dtype: ${dtype}`).join("\n")}
  splits:${
    listOf(sums.map((one) =>
      `  - name: ${one.split}\n    num_bytes: ${one.bytes}\n    num_examples: ${one.records}`
    ))
  }
---

# Training prompts

${grouped(records)} prompts that users of a product wrote, as its analytics events brought them.

| | |
| --- | --- |
| events | ${facts.events.map(code).join(", ") || "none"} |
| days (UTC) | ${facts.dates ? `${facts.dates.first} to ${facts.dates.last}` : "none"} |
| sanitiser versions | ${facts.sanitiserVersions.map(code).join(", ") || "none"} |
| dataset | ${code(facts.datasetId)}, exported ${facts.createdAt} |

| split | rows | bytes |
| --- | ---: | ---: |
${sums.map((one) => `| ${one.split} | ${grouped(one.records)} | ${grouped(one.bytes)} |`).join("\n")}

The split hangs on the SHA-256 of \`distinct_id\`: no \`distinct_id\` is in two splits, and each stays in its split in every
later export. Somebody who used the product under several ids may be in several.

## Fields

| field | |
| --- | --- |
| \`timestamp\` | the event's time, UTC |
| \`event\` | its name |
| \`failure_reason\` | its property of this name; null where it had none |
| \`input_prompt\` | its property of this name: what the user wrote |
| \`distinct_id\` | who, as the product's analytics know them; \`person-…\` stands for an id that was personal itself |

## Personal data

Prompts and reasons went through a sanitiser, which replaces structured personal data and secrets (e-mail addresses, phone
numbers, card numbers, keys and the like) by placeholders such as \`<EMAIL_ADDRESS>\`. It does not look for free names,
postal addresses or dates: **the texts are sanitised, not anonymous**, and a \`distinct_id\` may lead to a person. Read a
sample, and drop \`distinct_id\`, before anything is published.

## Licence

To be filled in by whoever publishes this: the licence, the source of the users' consent, and how to ask for removal.
`;
}

/** As the `datasets` library names types. */
const FEATURES = [
  ["timestamp", "timestamp[ms, tz=UTC]"],
  ["event", "string"],
  ["failure_reason", "string"],
  ["input_prompt", "string"],
  ["distinct_id", "string"],
] as const;

const SIZES = [
  [1e3, "n<1K"],
  [1e4, "1K<n<10K"],
  [1e5, "10K<n<100K"],
  [1e6, "100K<n<1M"],
  [1e7, "1M<n<10M"],
  [1e8, "10M<n<100M"],
  [1e9, "100M<n<1B"],
] as const;

function sizeCategory(records: number): string {
  return SIZES.find(([below]) => records < below)?.[1] ?? "1B<n<10B";
}

function listOf(items: readonly string[]): string {
  return items.length === 0 ? " []" : `\n${items.join("\n")}`;
}

/** A text of somebody else's as code in a Markdown table. */
function code(text: string): string {
  const escaped = JSON.stringify(text).slice(1, -1).replace(
    /[`|<>&]/g,
    (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return `\`${escaped}\``;
}

function grouped(value: number): string {
  return value.toLocaleString("en-US");
}
